package promotion

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"kiln/registry"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
)

// The index of a ledger: which record has which sequence, which digest was ever
// in which channel, and which records revoke, restore or approve it. Objects are written behind the ledger, then the
// pointer says up to where; records after that are walked from the head.

func indexKey(image string) string { return store.ImageKey(image) + "ledger/" }

// indexedPointer says up to which sequence the index is whole.
func indexedPointer(image string) string { return store.ImageKey(image) + "indexed" }

func sequenceKey(image string, sequence int64) string {
	return fmt.Sprintf("%ssequence/%019d", indexKey(image), sequence)
}

func reachedKey(image, channel string, d digest.Digest) string {
	return indexKey(image) + "reached/" + channel + "/" + string(d)
}

// newestFirst is a sequence as the part of a key that sorts the newest first.
func newestFirst(sequence int64) string { return fmt.Sprintf("%019d", math.MaxInt64-sequence) }

// indexKeys are the entries of a record. Each holds its digest.
func indexKeys(image string, r Record) []string {
	var keys []string
	switch r.Action {
	case ActionPromote, ActionRollback:
		keys = append(keys, reachedKey(image, r.Channel, r.Digest))
	case ActionRevoke, ActionRestore:
		for _, d := range append([]digest.Digest{r.Digest}, r.Covers...) {
			keys = append(keys, revokedKey(image, d, r.Sequence))
		}
	case ActionApprove:
		keys = append(keys, approvalKey(image, r.Digest, r.Sequence))
	}
	return append(keys, sequenceKey(image, r.Sequence))
}

// index writes what the index lacks of the ledger that ends at st.
func (s *Service) index(ctx context.Context, image string, st snapshot) error {
	done, ptr, err := s.indexed(ctx, image)
	if err != nil {
		return err
	}
	if done >= st.Sequence {
		return nil
	}
	for d, r := range s.walk(ctx, image, st.Head, done) {
		if r.err != nil {
			return r.err
		}
		for _, key := range indexKeys(image, r.Record) {
			if err := s.store.Put(ctx, key, strings.NewReader(string(d))); err != nil {
				return fmt.Errorf("index of %s: %w", image, err)
			}
		}
	}
	_, err = s.pointers.Swap(ctx, ptr, []byte(strconv.FormatInt(st.Sequence, 10)))
	if errors.Is(err, store.ErrConflict) {
		return nil // another one is at it
	}
	return err
}

// indexed reads up to where the index is whole; 0 if it is gone or unreadable.
func (s *Service) indexed(ctx context.Context, image string) (int64, store.Pointer, error) {
	ptr, err := s.pointers.Load(ctx, indexedPointer(image))
	if errors.Is(err, store.ErrNotFound) {
		return 0, store.Absent(indexedPointer(image)), nil
	}
	if err != nil {
		return 0, store.Pointer{}, fmt.Errorf("index of %s: %w", image, err)
	}
	done, err := strconv.ParseInt(string(ptr.Value), 10, 64)
	if err != nil {
		return 0, ptr, nil
	}
	return done, ptr, nil
}

// reached says whether d was ever in a channel, as of st. If the index cannot
// be brought up to date (a medium that takes no writes) the rest is walked.
func (s *Service) reached(ctx context.Context, image, channel string, d digest.Digest, st snapshot) (bool, error) {
	if err := s.index(ctx, image, st); err != nil && !errors.Is(err, store.ErrReadOnly) && !errors.Is(err, store.ErrFull) {
		return false, err
	}
	_, err := s.store.Stat(ctx, reachedKey(image, channel, d))
	if err == nil || !errors.Is(err, store.ErrNotFound) {
		return err == nil, err
	}
	done, _, err := s.indexed(ctx, image)
	if err != nil || done >= st.Sequence {
		return false, err
	}
	for _, r := range s.walk(ctx, image, st.Head, done) {
		if r.err != nil {
			return false, r.err
		}
		if r.Channel == channel && r.Digest == d && (r.Action == ActionPromote || r.Action == ActionRollback) {
			return true, nil
		}
	}
	return false, nil
}

// bySequence finds the record of a sequence by the index; "" if it is not
// there.
func (s *Service) bySequence(ctx context.Context, image string, sequence int64) (digest.Digest, error) {
	r, err := s.store.Open(ctx, sequenceKey(image, sequence), 0, -1)
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("index of %s: %w", image, err)
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, 256))
	if err != nil {
		return "", fmt.Errorf("index of %s: %w", image, err)
	}
	d := digest.Digest(text)
	return d, registry.CheckDigest(d)
}
