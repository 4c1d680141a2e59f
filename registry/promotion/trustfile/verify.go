package trustfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"kiln/sign"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Subject is an image somewhere: what is verified, by its digest.
type Subject struct {
	Host   string        // of a registry; "" in a store or a layout
	Image  string        // its name, without host
	Digest digest.Digest // the one that will be used
	Repo   string        // where its evidence lies, if not under Image
}

// Verified is what a rule found.
type Verified struct {
	Rule         Rule
	Signatures   []sign.Signature   // at least one
	Attestations []sign.Attestation // of the required types, each at least once, and of those that were looked for
	// Skipped says of types that were only looked for why none counts, where
	// those who signed one could not do so then.
	Skipped []error
}

// VerifyImage checks an image in a registry, a store or a layout: that the file
// has a rule for it, that somebody whom the rule names signed this digest, and
// that of every predicate type that the rule or types require there is an
// attestation by one of them. Those of wanted types are returned where they are,
// and skipped where only the dates of their signers are against them.
// KindDenied without a rule; sign.ErrUnsigned, sign.ErrInvalid; any other error
// means that nothing is known.
func (f *File) VerifyImage(ctx context.Context, ev sign.Reader, s Subject, types, wanted []string, now func() time.Time) (Verified, error) {
	rule, err := f.Rule(s.Host, s.Image)
	if err != nil {
		return Verified{}, err
	}
	v, err := rule.Verifier(now)
	if err != nil {
		return Verified{}, err
	}
	if s.Repo == "" {
		s.Repo = s.Image
	}
	required := slices.Concat(rule.Require, types)
	out, err := Verify(ctx, v, Renamed(ev, rule.Image, s.Repo), rule.Image, s.Digest, required, wanted)
	out.Rule = rule
	return out, err
}

// Verify checks that an image is signed by one of v's principals, and that of
// every required predicate type there is an attestation by one of them. Those
// of wanted types are returned where they are, and skipped where only the dates
// of their signers are against them.
func Verify(ctx context.Context, v *sign.Verifier, ev sign.Reader, image string, d digest.Digest, required, wanted []string) (Verified, error) {
	var out Verified
	var err error
	if out.Signatures, err = v.VerifyImage(ctx, ev, image, d); err != nil {
		return Verified{}, err
	}
	seen := map[string]bool{}
	for i, predicateType := range slices.Concat(required, wanted) {
		if seen[predicateType] {
			continue
		}
		seen[predicateType] = true
		found, err := v.Attestations(ctx, ev, image, d, predicateType)
		if optional := i >= len(required); optional && (errors.Is(err, sign.ErrUnsigned) || errors.Is(err, sign.ErrDates)) {
			if errors.Is(err, sign.ErrDates) {
				out.Skipped = append(out.Skipped, fmt.Errorf("%s: %w", predicateType, err))
			}
			continue
		}
		if err != nil {
			return Verified{}, fmt.Errorf("%s: %w", predicateType, err)
		}
		out.Attestations = append(out.Attestations, found...)
	}
	return out, nil
}

// Renamed reads the evidence of image under another name.
func Renamed(ev sign.Reader, image, repo string) sign.Reader {
	if image == repo {
		return ev
	}
	return renamedReader{ev, image, repo}
}

type renamedReader struct {
	sign.Reader
	image, repo string
}

func (r renamedReader) name(image string) string {
	if image == r.image {
		return r.repo
	}
	return image
}

func (r renamedReader) OpenBlob(ctx context.Context, image string, d digest.Digest, offset, length int64) (io.ReadCloser, error) {
	return r.Reader.OpenBlob(ctx, r.name(image), d, offset, length)
}

func (r renamedReader) Manifest(ctx context.Context, image string, d digest.Digest) (ocispec.Descriptor, []byte, error) {
	return r.Reader.Manifest(ctx, r.name(image), d)
}

func (r renamedReader) Tag(ctx context.Context, image, tag string) (ocispec.Descriptor, error) {
	return r.Reader.Tag(ctx, r.name(image), tag)
}

func (r renamedReader) Referrers(ctx context.Context, image string, d digest.Digest, artifactType string) iter.Seq2[ocispec.Descriptor, error] {
	return r.Reader.Referrers(ctx, r.name(image), d, artifactType)
}
