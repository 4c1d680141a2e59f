package promotion

import (
	"context"
	"strings"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
)

// kept refuses to remove what something needs.
func (s *Service) kept(ctx context.Context, image string, d digest.Digest, st snapshot) error {
	reasons, err := s.needs(ctx, image, d, st)
	if err != nil || len(reasons) == 0 {
		return err
	}
	return needed(image, d, reasons)
}

// keptWhole does so also for evidence of what something needs, and for records
// of the ledger.
func (s *Service) keptWhole(ctx context.Context, image string, d digest.Digest, st snapshot) error {
	if err := s.checkNoRecord(ctx, image, d, st); err != nil {
		return err
	}
	if err := s.kept(ctx, image, d, st); err != nil {
		return err
	}
	subject, err := s.subject(ctx, image, d)
	if err != nil || subject == "" {
		return err
	}
	return s.kept(ctx, image, subject, st)
}

// deleteVersionTag removes one version tag, unless something needs its version.
func (s *Service) deleteVersionTag(ctx context.Context, image, tag string) error {
	desc, err := s.registry.Tag(ctx, image, tag)
	if err != nil {
		return err
	}
	return s.retire(ctx, image, false,
		func(ctx context.Context, st snapshot) (chosen, error) {
			return chosen{desc.Digest: {tag}}, s.kept(ctx, image, desc.Digest, st)
		},
		func(ctx context.Context, _ digest.Digest, _ []string) error {
			return s.registry.DeleteTag(ctx, image, tag)
		})
}

// deleteManifest removes a manifest that no version tag names, unless something
// needs it.
func (s *Service) deleteManifest(ctx context.Context, image string, d digest.Digest) error {
	return s.retire(ctx, image, true,
		func(ctx context.Context, st snapshot) (chosen, error) {
			return chosen{d: nil}, s.keptWhole(ctx, image, d, st)
		},
		func(ctx context.Context, d digest.Digest, _ []string) error {
			if err := s.stillFree(ctx, image, d); err != nil {
				return err
			}
			return s.registry.DeleteManifest(ctx, image, d)
		})
}

// namesake is the version that one of cosign's tags is named after.
func namesake(tag string) (digest.Digest, bool) {
	alg, rest, ok := strings.Cut(tag, "-")
	hex, _, _ := strings.Cut(rest, ".")
	d := digest.Digest(alg + ":" + hex)
	return d, ok && registry.CheckDigest(d) == nil
}

// onWire is an error of this package as one of a registry.
func onWire(err error) error {
	e, ok := err.(*Error)
	if !ok {
		return err
	}
	text := e.Message
	for i, r := range e.Reasons {
		text += map[bool]string{true: ": ", false: "; "}[i == 0] + r.Message
	}
	switch e.Kind {
	case KindDenied:
		return registry.Errorf(registry.CodeDenied, "%s", text)
	case KindConflict:
		return registry.Errorf(registry.CodeConflict, "%s", text)
	case KindNotFound:
		return registry.Errorf(registry.CodeManifestUnknown, "%s", text)
	}
	return err
}
