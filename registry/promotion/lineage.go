package promotion

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"kiln/registry"
	"kiln/sign"

	"github.com/opencontainers/go-digest"
)

// Names of a provenance's dependencies that are parents: what the image stands
// on, and, where that is the image of a platform, the version it is one of.
const (
	parentName      = "parent"
	parentIndexName = "parent-index"
)

// maxAncestors bounds the ancestors of a version that are looked at.
const maxAncestors = 200

// kin is an ancestor, as signed provenance names it.
type kin struct {
	Host   string // "" for this store
	Image  string
	Digest digest.Digest // of the version; the index where it has several platforms
	// Parts are the images of the version's platforms that were stood on.
	Parts []digest.Digest
	// Unsigned: only the manifest names it.
	Unsigned bool
}

func (k kin) String() string {
	return strings.TrimPrefix(k.Host+"/"+k.Image, "/") + "@" + string(k.Digest)
}

// lineage is what a version was baked on, the nearest first.
type lineage struct {
	ancestors []kin
	// known: the provenance of the version and of each ancestor in this store
	// is signed by a key that the trust lists for baking it, down to images
	// without a parent and to those from elsewhere.
	known   bool
	problem string // why it is not
}

// lineage follows signed provenance, whenever the key was good that signed it.
// Where that is not to be had it goes on with what the manifest says, and is not
// known: who lost trust in a key still wants revocations to be inherited. It is
// an error if a version has more ancestors than are looked at.
func (s *Service) lineage(ctx context.Context, t Trust, image string, d digest.Digest) (lineage, error) {
	line := lineage{known: true}
	seen, count := map[string]bool{}, 0
	for queue := []kin{{Image: image, Digest: d}}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		parents, problem, err := s.parentsOf(ctx, t, at)
		if err != nil {
			return lineage{}, err
		}
		if problem != "" {
			if line.known {
				line.known, line.problem = false, at.String()+": "+problem
			}
			if parents, err = s.orAnnotated(ctx, at, parents); err != nil {
				return lineage{}, err
			}
		}
		for _, p := range parents {
			if seen[p.String()] {
				continue
			}
			seen[p.String()] = true
			if count += 1 + len(p.Parts); count > maxAncestors {
				return lineage{}, errorf(KindVerification, "%s@%s has more than %d ancestors", image, d, maxAncestors)
			}
			line.ancestors = append(line.ancestors, p)
			if p.Host == "" {
				queue = append(queue, p)
			}
		}
	}
	return line, nil
}

// parentsOf reads what the signed provenance of a version names as parents: of
// each that speaks of the image, since none takes back what another says. A
// problem says why that may not be all.
func (s *Service) parentsOf(ctx context.Context, t Trust, of kin) (parents []kin, problem string, err error) {
	v, err := s.bakers(t, of.Image)
	if KindOf(err) == KindDenied {
		return nil, err.Error(), nil
	}
	if err != nil {
		return nil, "", err
	}
	found, err := v.Attestations(ctx, s.registry, of.Image, of.Digest, sign.ProvenancePredicate)
	switch {
	case errors.Is(err, sign.ErrUnsigned) || errors.Is(err, sign.ErrInvalid):
		return nil, "it has no provenance by a key that is trusted to bake it", nil
	case err != nil:
		return nil, "", fmt.Errorf("provenance of %s: %w", of, err)
	}
	all := map[string]kin{}
	spoken := false
	for _, a := range found {
		named, about, wrong := provenanceParents(a.Predicate, of.Image)
		if !about {
			continue
		}
		spoken = true
		if wrong != nil {
			problem = wrong.Error()
		}
		for _, k := range named {
			k.Parts = distinctDigests(all[k.String()].Parts, k.Parts)
			all[k.String()] = k
		}
	}
	if !spoken {
		problem = "its provenance is of another image"
	}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		parents = append(parents, all[key])
	}
	return parents, problem, nil
}

// orAnnotated adds the parent that a manifest names.
func (s *Service) orAnnotated(ctx context.Context, of kin, parents []kin) ([]kin, error) {
	base, name, err := s.base(ctx, of.Image, of.Digest)
	if KindOf(err) == KindNotFound {
		return parents, nil
	}
	if err != nil {
		return nil, err
	}
	is := func(k kin) bool { return k.is(Ancestor{Image: name, Digest: base}) }
	if base == "" || slices.ContainsFunc(parents, is) {
		return parents, nil
	}
	return append(parents, kin{Image: name, Digest: base, Unsigned: true}), nil
}

// bakers verifies what those sign who may bake an image, whatever their dates;
// KindDenied if there is nobody.
func (s *Service) bakers(t Trust, image string) (*sign.Verifier, error) {
	principals := t.Principals(RoleBake, image, "")
	if len(principals) == 0 {
		return nil, errorf(KindDenied, "the trust lists nobody who may bake %s", image)
	}
	for i := range principals {
		principals[i].NotBefore, principals[i].NotAfter = time.Time{}, time.Time{}
	}
	return sign.NewVerifierFor(sign.VerifierConfig{Principals: principals, TrustedRoot: t.Root, Now: s.now})
}

// provenanceParents reads the parents that a provenance names. about tells
// whether it is one of the image.
func provenanceParents(predicate []byte, image string) (parents []kin, about bool, err error) {
	var p struct {
		BuildDefinition struct {
			ExternalParameters struct {
				Image string `json:"image"`
			} `json:"externalParameters"`
			ResolvedDependencies []struct {
				Name   string            `json:"name"`
				URI    string            `json:"uri"`
				Digest map[string]string `json:"digest"`
			} `json:"resolvedDependencies"`
		} `json:"buildDefinition"`
	}
	if err := json.Unmarshal(predicate, &p); err != nil {
		return nil, false, nil
	}
	if p.BuildDefinition.ExternalParameters.Image != image {
		return nil, false, nil
	}
	parts, versions := []kin{}, []kin{}
	for _, dep := range p.BuildDefinition.ResolvedDependencies {
		if dep.Name != parentName && dep.Name != parentIndexName {
			continue
		}
		ref, err := registry.ParseReference(strings.TrimPrefix(dep.URI, "oci://"))
		if err != nil || ref.Digest == "" || dep.Digest[string(ref.Digest.Algorithm())] != ref.Digest.Encoded() {
			return nil, true, fmt.Errorf("its provenance names a parent that cannot be read: %s", clip(dep.URI))
		}
		k := kin{Host: ref.Host, Image: ref.Name, Digest: ref.Digest}
		if dep.Name == parentIndexName {
			versions = append(versions, k)
		} else {
			parts = append(parts, k)
		}
	}
	return united(parts, versions), true, nil
}

// united makes the images of platforms parts of the versions of the same name.
// Where there is none they are versions themselves.
func united(parts, versions []kin) []kin {
	var alone []kin
	for _, part := range parts {
		i := slices.IndexFunc(versions, func(v kin) bool { return v.Host == part.Host && v.Image == part.Image })
		if i < 0 {
			alone = append(alone, part)
			continue
		}
		versions[i].Parts = append(versions[i].Parts, part.Digest)
	}
	return append(versions, alone...)
}

// distinctDigests joins two lists, each digest once.
func distinctDigests(a, b []digest.Digest) []digest.Digest {
	out := slices.Clone(a)
	for _, d := range b {
		if !slices.Contains(out, d) {
			out = append(out, d)
		}
	}
	return out
}
