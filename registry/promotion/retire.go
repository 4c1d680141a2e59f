package promotion

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"time"

	"kiln/registry"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
)

// A version tag and the state of its image are two pointers, and a promotion
// that reads the one and moves the other must not meet a removal in between.
// So every removal of a version is announced in the state first: the swap that
// announces it fails if a promotion was faster, and a promotion's swap fails if
// the announcement was. A promotion looks at the tags after each time it reads
// the state, so it also notices a removal that has come and gone.

// retirement announces the removal of version tags.
type retirement struct {
	ID   string    `json:"id"` // of the process that is at it
	At   time.Time `json:"at"`
	Tags []string  `json:"tags"`
	// Manifest: the manifest goes too. Then nobody may lease it meanwhile.
	Manifest bool `json:"manifest,omitempty"`
}

// Times of a removal. Nobody waits for one that is older than abandoned: its
// process is dead, since it stops after retireTime; the rest is for clocks that
// differ.
const (
	retireTime = 5 * time.Minute
	abandoned  = 15 * time.Minute
)

// maxRetiring bounds what is announced at once in one image.
const maxRetiring = 100

func (r retirement) check() error {
	for _, tag := range r.Tags {
		if registry.CheckTag(tag) != nil || !registry.IsVersionTag(tag) {
			return fmt.Errorf("%q is no version tag", clip(tag))
		}
	}
	return nil
}

// retiring tells whether a removal of d is under way.
func (s state) retiring(d digest.Digest, now time.Time) (retirement, bool) {
	r, ok := s.Retiring[d]
	return r, ok && now.Sub(r.At).Abs() < abandoned
}

// without is the state without the announcement of d; s is left as it is.
func (s state) without(d digest.Digest) state {
	if _, ok := s.Retiring[d]; ok {
		s.Retiring = maps.Clone(s.Retiring)
		delete(s.Retiring, d)
	}
	return s
}

// announced is what the process id has announced.
func (s state) announced(id string) chosen {
	mine := chosen{}
	for d, r := range s.Retiring {
		if r.ID == id {
			mine[d] = r.Tags
		}
	}
	return mine
}

// chosen is what a removal takes: the version tags of digests.
type chosen map[digest.Digest][]string

// retire removes versions of an image: it asks choose what, given the state
// that this is announced on, and then calls remove for each. choose is asked
// again when the state moved. An error of remove ends it.
func (s *Service) retire(ctx context.Context, image string, manifest bool,
	choose func(context.Context, snapshot) (chosen, error),
	remove func(context.Context, digest.Digest, []string) error,
) error {
	ctx, cancel := context.WithTimeout(ctx, retireTime)
	defer cancel()
	id := make([]byte, 16)
	rand.Read(id) // never fails
	mark := hex.EncodeToString(id)
	picked, err := s.announce(ctx, image, mark, manifest, choose)
	if err == nil {
		for d, tags := range picked {
			if err = remove(ctx, d, tags); err != nil {
				break
			}
		}
	}
	// What is over is over, done or not: nothing of it goes on.
	if over := s.conclude(context.WithoutCancel(ctx), image, mark); over != nil {
		s.log.Warn("removal not concluded; promotions of these versions wait", "repo", image, "err", over)
	}
	return err
}

// announce swaps the removal into the state.
func (s *Service) announce(ctx context.Context, image, id string, manifest bool,
	choose func(context.Context, snapshot) (chosen, error),
) (chosen, error) {
	for range maxAttempts {
		st, err := s.state(ctx, image)
		if err != nil {
			return nil, err
		}
		if mine := st.announced(id); len(mine) > 0 {
			return mine, nil // a swap that said conflict was one of ours
		}
		picked, err := choose(ctx, st)
		if err != nil || len(picked) == 0 {
			return nil, err
		}
		next := st.state
		next.Removals++
		next.Retiring = maps.Clone(next.Retiring)
		if next.Retiring == nil {
			next.Retiring = map[digest.Digest]retirement{}
		}
		for d, tags := range picked {
			if r, active := st.retiring(d, s.now()); active {
				return nil, busy(image, d, r)
			}
			next.Retiring[d] = retirement{ID: id, At: s.now().UTC(), Tags: tags, Manifest: manifest}
		}
		if err := s.swapState(ctx, st, next); !errors.Is(err, store.ErrConflict) {
			return picked, err
		}
		if err := pause(ctx); err != nil {
			return nil, err
		}
	}
	return nil, errorf(KindConflict, "the ledger of %s is too busy", image).hinted("try again")
}

func busy(image string, d digest.Digest, r retirement) error {
	return errorf(KindConflict, "%s@%s is being removed right now", image, d).
		hinted("try again; if who began that was killed, it counts as over at %s", r.At.Add(abandoned).UTC().Format(time.RFC3339))
}

// conclude takes the announcements of id out of the state.
func (s *Service) conclude(ctx context.Context, image, id string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		st, err := s.state(ctx, image)
		if err != nil {
			return err
		}
		next := st.state
		for d, r := range st.Retiring {
			if r.ID == id {
				next = next.without(d)
			}
		}
		if len(next.Retiring) == len(st.Retiring) {
			return nil
		}
		if err := s.swapState(ctx, st, next); !errors.Is(err, store.ErrConflict) {
			return err
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

func (s *Service) swapState(ctx context.Context, st snapshot, next state) error {
	value, err := next.encode()
	if err != nil {
		return err
	}
	_, err = s.pointers.Swap(ctx, st.pointer, value)
	return err
}

// dropTags removes version tags; one that is gone is fine.
func (s *Service) dropTags(ctx context.Context, image string, tags []string) error {
	for _, tag := range tags {
		err := s.registry.DeleteTag(ctx, image, tag)
		if err != nil && KindOf(err) != KindNotFound {
			return fmt.Errorf("remove tag %s:%s: %w", image, tag, err)
		}
	}
	return nil
}
