package promotion

import (
	"context"
	"encoding/json"
	"fmt"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// DeleteRequest asks to remove Digest of Image.
type DeleteRequest struct {
	Image  string        `json:"image"`
	Digest digest.Digest `json:"digest"`
	By     string        `json:"-"`
}

// DeletionSchema is the schema of a Deletion.
const DeletionSchema = "kiln.deletion/v1"

// Deletion says what was removed.
type Deletion struct {
	Schema string        `json:"schema"`
	Image  string        `json:"image"`
	Digest digest.Digest `json:"digest"`
	// Tags are all that named it: version tags, which are never used again, and
	// then the others.
	Tags []string `json:"tags"`
	// Attached are the signatures and attestations that went with it.
	Attached []digest.Digest `json:"attached"`
}

// Delete implements Operations.
func (s *Service) Delete(ctx context.Context, req DeleteRequest) (Deletion, error) {
	if err := checkImage(req.Image); err != nil {
		return Deletion{}, err
	}
	if err := checkDigest(req.Digest); err != nil {
		return Deletion{}, err
	}
	if there, err := s.linked(ctx, req.Image, req.Digest); err != nil {
		return Deletion{}, err
	} else if !there {
		return Deletion{}, errorf(KindNotFound, "%s has no version %s", req.Image, req.Digest).hinted("kiln versions %s lists them", req.Image)
	}
	out := Deletion{Schema: DeletionSchema, Image: req.Image, Digest: req.Digest, Tags: []string{}}
	var err error
	if out.Attached, err = s.attached(ctx, req.Image, req.Digest); err != nil {
		return Deletion{}, err
	}
	others, err := s.plainTags(ctx, req.Image, func(d digest.Digest) bool { return d == req.Digest })
	if err != nil {
		return Deletion{}, err
	}
	err = s.retire(ctx, req.Image, true,
		func(ctx context.Context, st snapshot) (chosen, error) {
			tags, err := s.removable(ctx, req.Image, req.Digest, st)
			return chosen{req.Digest: tags}, err
		},
		func(ctx context.Context, d digest.Digest, tags []string) error {
			if err := s.stillFree(ctx, req.Image, d); err != nil {
				return err
			}
			if err := s.dropTags(ctx, req.Image, tags); err != nil {
				return err
			}
			out.Tags = append(out.Tags, tags...)
			return s.registry.DeleteManifest(ctx, req.Image, d)
		})
	if err != nil {
		return Deletion{}, err
	}
	out.Tags = append(out.Tags, others[req.Digest]...)
	s.log.Info("version deleted", "repo", req.Image, "digest", req.Digest, "by", req.By)
	return out, nil
}

// removable lists the version tags of a digest that nothing needs; KindDenied
// if something does.
func (s *Service) removable(ctx context.Context, image string, d digest.Digest, st snapshot) ([]string, error) {
	if err := s.keptWhole(ctx, image, d, st); err != nil {
		return nil, err
	}
	tags, err := s.versionTags(ctx, image, d)
	if err != nil || len(tags) == 0 {
		return tags, err
	}
	return tags, s.inNoIndex(ctx, image, d)
}

// stillFree looks again, once the removal is announced, for what needs a digest
// without the state knowing.
func (s *Service) stillFree(ctx context.Context, image string, d digest.Digest) error {
	reasons, err := s.outside(ctx, image, d, 0)
	if err != nil || len(reasons) == 0 {
		return err
	}
	return needed(image, d, reasons)
}

func needed(image string, d digest.Digest, reasons []Reason) error {
	e := errorf(KindDenied, "%s@%s is needed and stays", image, d)
	e.Reasons = reasons
	return e
}

// inNoIndex refuses a version that is part of another one.
func (s *Service) inNoIndex(ctx context.Context, image string, d digest.Digest) error {
	for v, err := range s.entries(ctx, image, "", "") {
		if err != nil {
			return err
		}
		if v.Digest == d {
			continue
		}
		_, content, err := s.registry.Manifest(ctx, image, v.Digest)
		if KindOf(err) == KindNotFound {
			continue
		}
		if err != nil {
			return fmt.Errorf("version %s:%s: %w", image, v.Tag, err)
		}
		var index struct {
			Manifests []ocispec.Descriptor `json:"manifests"`
		}
		if json.Unmarshal(content, &index) != nil {
			continue
		}
		for _, m := range index.Manifests {
			if m.Digest == d {
				return needed(image, d, []Reason{{
					Rule: "index", Message: fmt.Sprintf("%s:%s is made of it", image, v.Tag), Fix: fmt.Sprintf("kiln delete %s:%s first", image, v.Tag),
				}})
			}
		}
	}
	return nil
}

// attached lists what lives and dies with a digest.
func (s *Service) attached(ctx context.Context, image string, d digest.Digest) ([]digest.Digest, error) {
	list := []digest.Digest{}
	for desc, err := range s.registry.Referrers(ctx, image, d, "") {
		if err != nil {
			return nil, fmt.Errorf("what is attached to %s@%s: %w", image, d, err)
		}
		if desc.ArtifactType != RecordArtifactType {
			list = append(list, desc.Digest)
		}
	}
	for _, suffix := range []string{"", ".sig", ".att", ".sbom"} {
		tag := string(d.Algorithm()) + "-" + d.Encoded() + suffix
		desc, err := s.registry.Tag(ctx, image, tag)
		if registry.ErrorCode(err) == registry.CodeManifestUnknown {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("what is attached to %s@%s: %w", image, d, err)
		}
		list = append(list, desc.Digest)
	}
	return list, nil
}
