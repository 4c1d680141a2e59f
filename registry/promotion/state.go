package promotion

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"kiln/registry"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
)

const stateSchema = "kiln.state/v1"

// state is the value of an image's state pointer. Nothing in it grows with the
// length of the ledger.
type state struct {
	Schema   string        `json:"schema"`
	Sequence int64         `json:"sequence"` // of the head; 0 is an empty ledger
	Head     digest.Digest `json:"head"`     // newest record
	// Clock is the newest time in any record or statement. Times are never
	// before it, however the clock jumps.
	Clock    time.Time               `json:"clock"`
	Channels map[string]channelState `json:"channels"`
	// Revoked are the revocations in force or yet to come, the newest
	// maxRevoked of them.
	Revoked map[digest.Digest]revocation `json:"revoked,omitempty"`
	// MoreRevoked: there may be older ones, which the index answers for.
	MoreRevoked bool `json:"more_revoked,omitempty"`
	// Retiring are the versions whose tags are being removed right now, so
	// that no promotion misses it; see retire.
	Retiring map[digest.Digest]retirement `json:"retiring,omitempty"`
	// Removals counts the announcements of that, so that no state ever comes
	// back as it was: a store may compare pointers by their bytes.
	Removals int64 `json:"removals,omitempty"`
}

// channelState is where a channel is, and the word for it.
type channelState struct {
	Digest    digest.Digest   `json:"digest"`
	Record    digest.Digest   `json:"record"`   // that moved it here
	Sequence  int64           `json:"sequence"` // of Record
	At        time.Time       `json:"at"`
	By        string          `json:"by"`
	Issue     issue           `json:"issue"`
	Statement json.RawMessage `json:"statement"` // DSSE envelope that holds Issue
}

// issue is what can be read of a statement without opening it.
type issue struct {
	Sequence int64     `json:"sequence"`
	Issued   time.Time `json:"issued"`
	Expires  time.Time `json:"expires"`
}

// halfway is when a statement is due to be issued anew.
func (i issue) halfway() time.Time { return i.Issued.Add(i.Expires.Sub(i.Issued) / 2) }

// due says whether a statement is to be issued anew: past half of its life, or
// when it outlives what it says, which is revoked from until on.
func (i issue) due(now, until time.Time) bool {
	return !now.Before(i.halfway()) || i.outlives(until)
}

// outlives says whether it expires after a time, which may be zero for never.
func (i issue) outlives(until time.Time) bool { return !until.IsZero() && i.Expires.After(until) }

// snapshot is a state as it was read, with what Swap compares against.
type snapshot struct {
	state
	pointer store.Pointer
}

// tick is now, but never before a time that was used before.
func (s state) tick(now time.Time) time.Time {
	now = now.UTC().Truncate(time.Second)
	if now.Before(s.Clock) {
		return s.Clock
	}
	return now
}

// with is the state with one channel changed; s is left as it is.
func (s state) with(channel string, c channelState) state {
	s.Channels = maps.Clone(s.Channels)
	s.Channels[channel] = c
	return s
}

func (s state) encode() ([]byte, error) {
	value, err := json.Marshal(s)
	if err == nil && len(value) > store.MaxPointerSize {
		err = fmt.Errorf("%d bytes, at most %d", len(value), store.MaxPointerSize)
	}
	if err != nil {
		return nil, fmt.Errorf("encode state: %w", err)
	}
	return value, nil
}

// decodeState reads a state and refuses one that contradicts itself.
func decodeState(value []byte) (state, error) {
	var s state
	if err := json.Unmarshal(value, &s); err != nil {
		return state{}, fmt.Errorf("parse state: %w", err)
	}
	if s.Schema != stateSchema {
		return state{}, fmt.Errorf("parse state: unknown schema %q, this kiln knows %s", s.Schema, stateSchema)
	}
	if err := s.checkHead(); err != nil {
		return state{}, fmt.Errorf("parse state: %w", err)
	}
	for name, c := range s.Channels {
		if err := c.check(name, s.Sequence); err != nil {
			return state{}, fmt.Errorf("parse state: channel %.128q: %w", name, err)
		}
	}
	for d, r := range s.Revoked {
		if err := errors.Join(registry.CheckDigest(d), registry.CheckDigest(r.Record)); err != nil || r.Sequence < 1 || r.Sequence > s.Sequence {
			return state{}, fmt.Errorf("parse state: revoked %.128q: number %d: %w", d, r.Sequence, err)
		}
	}
	for d, r := range s.Retiring {
		if err := errors.Join(registry.CheckDigest(d), r.check()); err != nil {
			return state{}, fmt.Errorf("parse state: retiring: %w", err)
		}
	}
	if s.Channels == nil {
		s.Channels = map[string]channelState{}
	}
	return s, nil
}

// checkHead refuses a head that does not fit the rest. A ledger is empty where
// versions were removed and none was ever promoted.
func (s state) checkHead() error {
	if s.Sequence == 0 && s.Head == "" && len(s.Channels) == 0 && len(s.Revoked) == 0 && !s.MoreRevoked {
		return nil
	}
	if s.Sequence < 1 {
		return fmt.Errorf("sequence %d", s.Sequence)
	}
	if err := registry.CheckDigest(s.Head); err != nil {
		return fmt.Errorf("head: %w", err)
	}
	return nil
}

func (c channelState) check(name string, head int64) error {
	if err := registry.CheckTag(name); err != nil {
		return err
	}
	if err := errors.Join(registry.CheckDigest(c.Digest), registry.CheckDigest(c.Record)); err != nil {
		return err
	}
	if c.Sequence < 1 || c.Sequence > head || c.Issue.Sequence < c.Sequence || c.Issue.Sequence > head {
		return fmt.Errorf("sequences %d and %d do not fit the head's %d", c.Sequence, c.Issue.Sequence, head)
	}
	if len(c.Statement) == 0 {
		return errors.New("no statement")
	}
	return nil
}

// state reads an image's state; that of an image without a ledger is empty.
func (s *Service) state(ctx context.Context, image string) (snapshot, error) {
	name := store.StatePointer(image)
	ptr, err := s.pointers.Load(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		empty := state{Schema: stateSchema, Channels: map[string]channelState{}}
		return snapshot{state: empty, pointer: store.Absent(name)}, nil
	}
	if err != nil {
		return snapshot{}, fmt.Errorf("state of %s: %w", image, err)
	}
	st, err := decodeState(ptr.Value)
	if err != nil {
		return snapshot{}, fmt.Errorf("state of %s: %w", image, err)
	}
	return snapshot{state: st, pointer: ptr}, nil
}
