package backup

import (
	"context"
	"errors"
	"fmt"

	"kiln/registry/store"
)

// Mirror brings a backup in another place up to date, or begins one there: an
// empty place, or one that Mirror wrote for the same store, is needed;
// ErrTaken otherwise. It holds what a restore needs at every moment since it
// was finished for the first time. What is no longer in the store is removed
// from it at the end.
func Mirror(ctx context.Context, from, to Place) (Report, error) {
	id, err := readStoreID(ctx, from.Pointers)
	if err != nil {
		return Report{}, err
	}
	marker, h, err := claim(ctx, to, head{Schema: Schema, StoreID: id, Begun: now()})
	if err != nil {
		return Report{}, fmt.Errorf("back up: %w", err)
	}
	s, sink, err := transfer(ctx, from, to, id)
	if err != nil {
		return Report{}, err
	}
	if err := sink.removeOthers(ctx, s.names); err != nil {
		return s.report, fmt.Errorf("back up: %w", err)
	}
	h.Finished = now()
	if _, err := swapMarker(ctx, to.Pointers, marker, h); err != nil {
		return s.report, fmt.Errorf("back up: %w", err)
	}
	return s.report, nil
}

// Restore makes an empty place the store that Mirror backed up. Interrupted,
// it can be run again; the place is no store before it has ended.
func Restore(ctx context.Context, from, to Place) (Report, error) {
	h, _, err := readMarker(ctx, from.Pointers)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return Report{}, fmt.Errorf("restore: %w: it holds no backup", err)
	case err != nil:
		return Report{}, fmt.Errorf("restore: %w", err)
	case h.Restoring || h.Finished.IsZero():
		return Report{}, fmt.Errorf("restore: %w: it was never finished", ErrDamaged)
	}
	marker, _, err := claim(ctx, to, head{Schema: Schema, StoreID: h.StoreID, Restoring: true, Begun: now()})
	if err != nil {
		return Report{}, fmt.Errorf("restore: %w", err)
	}
	s, _, err := transfer(ctx, from, to, h.StoreID)
	if err != nil {
		return Report{}, err
	}
	if err := finish(ctx, to, marker, h.StoreID); err != nil {
		return s.report, fmt.Errorf("restore: %w", err)
	}
	return s.report, nil
}

// transfer copies all objects and then the pointers.
func transfer(ctx context.Context, from, to Place, id string) (*snapshot, *placeSink, error) {
	sink, err := newPlaceSink(ctx, to)
	if err != nil {
		return nil, nil, err
	}
	s, err := take(ctx, from, sink)
	if err != nil {
		return nil, nil, errors.Join(err, sink.flush(ctx))
	}
	s.report.StoreID = id
	for key := range s.void {
		if err := to.Objects.Delete(ctx, key); err != nil {
			return nil, nil, fmt.Errorf("back up: %w", err)
		}
	}
	if err := setPointers(ctx, to.Pointers, s.names); err != nil {
		return nil, nil, fmt.Errorf("back up: %w", err)
	}
	return s, sink, nil
}

// removeOthers takes away what is no longer in the store: pointers, then
// links, then bytes. What went only after it was seen is left for the next
// time: the pointers that were copied may need it.
func (s *placeSink) removeOthers(ctx context.Context, names []store.Pointer) error {
	named := map[string]bool{store.BackupPointer: true}
	for _, p := range names {
		named[p.Name] = true
	}
	for ptr, err := range s.to.Pointers.List(ctx, "", "") {
		if err == nil && !named[ptr.Name] {
			err = s.to.Pointers.Delete(ctx, ptr)
		}
		if err != nil {
			return err
		}
	}
	for _, c := range []class{classEntry, classBlobLink, classBlob} {
		for key := range s.there {
			if s.seen[key] || classify(key) != c {
				continue
			}
			if err := s.to.Objects.Delete(ctx, key); err != nil {
				return err
			}
		}
	}
	return nil
}
