package bake

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"kiln/bake/sandbox"
	"kiln/bake/template"
	"kiln/registry"
)

// lostError says that a name in a Dockerfile stands for nothing.
type lostError struct {
	pos  template.Pos
	text string
	err  error
}

func (e *lostError) Error() string { return e.text }
func (e *lostError) Unwrap() error { return e.err }

// lost says of a name in an image's Dockerfile that the store does not have it:
// where it stands and what may be meant. Any other error stays as it is.
func lost(img *template.Image, f *template.From, err error) error {
	def := img.Dockerfile()
	if def == nil || f.Kind != template.FromChannel || !unknown(err) {
		return err
	}
	pos, ref, meant := def.Lost(f)
	e := &lostError{pos: pos, err: err, text: fmt.Sprintf("there is no stage or image %q", ref)}
	project := strings.TrimSuffix(img.FullName, img.Name)
	switch {
	case meant != "":
		e.text += " (" + meant + ")"
	case project != "" && strings.HasPrefix(f.Name, project):
		e.text += " (bake or promote it first)"
	default:
		from := f.Name
		if !strings.Contains(from, "/") {
			from = "library/" + from
		}
		return &sandbox.HintError{Err: e, Hint: fmt.Sprintf("kiln copy docker.io/%s:%s %s:%s brings it in, if it is Docker Hub's", from, f.Channel, f.Name, f.Channel)}
	}
	return e
}

func unknown(err error) bool {
	return errors.Is(err, registry.CodeNameUnknown) || errors.Is(err, registry.CodeManifestUnknown)
}

// unlocked says which image could not be pinned, and where that is written.
func unlocked(img *template.Image, err error) error {
	pos := img.Pos
	if e := (*lostError)(nil); errors.As(err, &e) {
		pos = e.pos
	}
	return fmt.Errorf("%s: image %q: %w", pos, img.LockName(), err)
}

// Lost is why images that a lock does not cover could not be locked, where that
// is a name in a Dockerfile that stands for nothing; else nil.
func (l *Locker) Lost(ctx context.Context, recipe *template.Recipe, old *template.Lock) error {
	builder, err := NewBuilder(BuilderOptions{Cache: l.Cache, Parents: l.Parents, Remote: l.Remote, Lock: old})
	if err != nil {
		return err
	}
	l.builder = builder
	for _, img := range old.Stale(recipe) {
		if img.Dockerfile() == nil {
			continue
		}
		for _, f := range append([]*template.From{&img.From}, img.Reads()...) {
			if f.Kind != template.FromChannel || !f.Moves() {
				continue
			}
			if _, err := l.tagged(ctx, *f); unknown(err) {
				return unlocked(img, lost(img, f, err))
			}
		}
	}
	return nil
}
