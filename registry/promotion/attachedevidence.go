package promotion

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"slices"

	"kiln/sign"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Bounds on the evidence of a version that a decision reads. Beyond them a
// promotion is denied: what is left out could be what speaks against it.
const (
	maxOfType        = 1000      // bundles of one predicate type
	maxEvidenceBytes = 256 << 20 // of all that is read
	evidenceChunk    = 50        // bundles that are handed to sign at once, which has a bound of its own
)

// attached is the evidence of one version, listed once and read within bounds.
type attached struct {
	registry sign.Reader
	image    string
	digest   digest.Digest
	bundles  []ocispec.Descriptor
	left     int64 // bytes that may still be read
}

// attachedTo lists the bundles of a version.
func (s *Service) attachedTo(ctx context.Context, image string, d digest.Digest) (*attached, error) {
	a := &attached{registry: s.registry, image: image, digest: d, left: maxEvidenceBytes}
	tally := map[string]int{}
	for desc, err := range s.registry.Referrers(ctx, image, d, sign.BundleMediaType) {
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("evidence of %s@%s: %w", image, d, err)
		}
		said := desc.Annotations[predicateAnnotation]
		if said != "" && !slices.Contains(factPredicates(), said) {
			continue
		}
		if tally[said]++; tally[said] > maxOfType {
			return nil, tooMuch(image, d, fmt.Sprintf("more than %d pieces of evidence of type %q are attached to it", maxOfType, clip(said)))
		}
		a.bundles = append(a.bundles, desc)
	}
	return a, nil
}

// factPredicates are the types that facts are gathered from.
func factPredicates() []string {
	return []string{
		sign.SignaturePredicate, sign.ProvenancePredicate, sign.SPDXPredicate, sign.CycloneDXPredicate,
		sign.TestPredicate, sign.VulnPredicate,
	}
}

// tooMuch denies what has more evidence than is read.
func tooMuch(image string, d digest.Digest, what string) *Error {
	e := errorf(KindDenied, "%s@%s: %s", image, d, what)
	e.Reasons = []Reason{{
		Rule: "evidence", Message: what + ", which is more than a decision reads",
		Fix: "remove what nobody needs (kiln inspect " + image + "@" + string(d) + " lists it, kiln delete removes it), and let only trusted parties attach",
	}}
	return e
}

// each hands the bundles that may be of a type to verify, some at a time, with
// a reader that has these and no others. What lies under cosign's tags is in
// the first only.
func (a *attached) each(predicateType string, verify func(sign.Reader) error) error {
	var may []ocispec.Descriptor
	for _, desc := range a.bundles {
		if said := desc.Annotations[predicateAnnotation]; said == "" || said == predicateType {
			may = append(may, desc)
		}
	}
	for first := true; first || len(may) > 0; first = false {
		n := min(len(may), evidenceChunk)
		err := verify(&someEvidence{attached: a, some: may[:n], tags: first})
		if denied, ok := errors.AsType[*Error](err); ok && denied.Kind == KindDenied {
			return denied
		}
		if err != nil && !errors.Is(err, sign.ErrUnsigned) && !errors.Is(err, sign.ErrInvalid) {
			return err
		}
		may = may[n:]
	}
	return nil
}

// someEvidence is a sign.Reader of a part of what is attached.
type someEvidence struct {
	*attached
	some []ocispec.Descriptor
	tags bool
}

// Referrers implements sign.Reader.
func (e *someEvidence) Referrers(ctx context.Context, image string, d digest.Digest, artifactType string) iter.Seq2[ocispec.Descriptor, error] {
	if image != e.image || d != e.digest || artifactType != sign.BundleMediaType {
		return e.registry.Referrers(ctx, image, d, artifactType)
	}
	return func(yield func(ocispec.Descriptor, error) bool) {
		for _, desc := range e.some {
			if !yield(desc, nil) {
				return
			}
		}
	}
}

// Tag implements sign.Reader.
func (e *someEvidence) Tag(ctx context.Context, image, tag string) (ocispec.Descriptor, error) {
	if !e.tags {
		return ocispec.Descriptor{}, fs.ErrNotExist
	}
	return e.registry.Tag(ctx, image, tag)
}

// Manifest implements sign.Reader.
func (e *someEvidence) Manifest(ctx context.Context, image string, d digest.Digest) (ocispec.Descriptor, []byte, error) {
	desc, content, err := e.registry.Manifest(ctx, image, d)
	if err != nil {
		return desc, content, err
	}
	return desc, content, e.spend(int64(len(content)))
}

// OpenBlob implements sign.Reader.
func (e *someEvidence) OpenBlob(ctx context.Context, image string, d digest.Digest, offset, length int64) (io.ReadCloser, error) {
	r, err := e.registry.OpenBlob(ctx, image, d, offset, length)
	if err != nil {
		return nil, err
	}
	return &spending{ReadCloser: r, of: e.attached}, nil
}

// spend counts what is read.
func (a *attached) spend(n int64) error {
	if a.left -= n; a.left < 0 {
		return tooMuch(a.image, a.digest, fmt.Sprintf("more than %d MiB of evidence are attached to it", maxEvidenceBytes>>20))
	}
	return nil
}

// spending counts what is read of a blob.
type spending struct {
	io.ReadCloser
	of *attached
}

func (s *spending) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if over := s.of.spend(int64(n)); over != nil {
		return n, over
	}
	return n, err
}
