package s3store

import (
	"context"
	"errors"
	"slices"

	"kiln/registry/store"
)

// swap replaces old by next, to which it gives a nonce of its own.
func (p *Pointers) swap(ctx context.Context, old store.Pointer, next record) (revision, error) {
	if err := p.s.write(ctx); err != nil {
		return revision{}, err
	}
	w := swapping{p: p, key: p.s.pointerKey(old.Name), create: !old.Exists(), nonce: newNonce(), next: next, patience: patience{s: p.s}}
	if old.Exists() {
		var ok bool
		if w.from, ok = parseRevision(old.Revision); !ok {
			return revision{}, store.ErrConflict
		}
	}
	return w.run(ctx)
}

// swapping is one swap under way.
type swapping struct {
	p        *Pointers
	key      string
	create   bool     // the pointer is to be absent
	from     revision // what is replaced: what the caller read; with create nothing, or a tombstone
	nonce    string
	next     record
	patience patience
	doubt    bool // an answer was lost: the swap may be done
}

func (w *swapping) run(ctx context.Context) (revision, error) {
	s := w.p.s
	for {
		w.next.nonces = follow(w.nonce, w.from.nonces)
		etag, err := attempt(ctx, s.limits.timeout, func(ctx context.Context) (string, error) {
			return s.send(ctx, w.key, w.next.encode(), w.from.etag)
		})
		if err == nil {
			return revision{etag, w.next.nonces}, nil
		}
		if ctx.Err() != nil {
			return revision{}, ctx.Err()
		}
		verdict := judge(ctx, err)
		if isAbsent(err) && w.from.etag != "" {
			verdict = refused // Amazon's answer where the key to match is gone
		}
		if verdict == fatal {
			return revision{}, refusedWrite(s.explain(err))
		}
		w.doubt = w.doubt || verdict == unknown
		if verdict == refused || w.doubt {
			rev, over, err := w.look(ctx)
			if over || err != nil {
				return rev, err
			}
		}
		if err := w.patience.next(ctx, err); err != nil {
			return revision{}, err
		}
	}
}

// look reads what the pointer is now, and tells whether that ends the swap. It
// is asked after a refusal as well: someone between us and the service may
// have sent our request twice.
func (w *swapping) look(ctx context.Context) (rev revision, over bool, err error) {
	etag, now, err := w.p.read(ctx, w.key)
	if err != nil {
		return revision{}, true, err
	}
	fate := settle(w.from, w.nonce, now)
	switch {
	case fate == succeeded && now.nonces[0] == w.nonce:
		return revision{etag, now.nonces}, true, nil
	case fate == succeeded:
		return revision{passed, now.nonces[slices.Index(now.nonces, w.nonce):]}, true, nil
	case fate == pending:
		return revision{}, false, nil
	case fate == doubtful && w.doubt:
		return revision{}, true, errLostAnswer
	case w.create && now.tombstone:
		w.from = revision{etag, now.nonces}
		return revision{}, false, nil
	}
	return revision{}, true, store.ErrConflict
}

// errLostAnswer: the swap may or may not have been done. Load and decide again.
var errLostAnswer = errors.New("the answer was lost and too many swaps came since: it may or may not have been done")
