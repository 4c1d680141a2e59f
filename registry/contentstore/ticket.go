package contentstore

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"sync"
	"time"

	"kiln/registry/store"
)

// An upload costs nothing until its first chunk: its id is a ticket that says
// all there is to say. A ticket cannot be guessed, and serves only the image
// and the owner that it was made for, until it expires.
//
//	16 random bytes | expiry, unix seconds, big endian | first 18 bytes of
//	HMAC-SHA256(secret, "upload" 0 image 0 owner 0 random expiry)
//
// in unpadded base64url. The secret is made once for a store, so that every
// replica knows the tickets of all.
type ticket struct {
	random  [ticketRandom]byte
	expires time.Time
}

const (
	ticketRandom = 16
	ticketMAC    = 18
	ticketLength = ticketRandom + 8 + ticketMAC
	secretLength = 32
)

var ticketEncoding = base64.RawURLEncoding.Strict()

func newTicket(expires time.Time) ticket {
	t := ticket{expires: expires}
	rand.Read(t.random[:]) // never fails
	return t
}

// session is the name below uploads/ of what the upload has stored.
func (t ticket) session() string { return hex.EncodeToString(t.random[:]) }

// id writes the ticket for an owner.
func (t ticket) id(secret []byte, image, owner string) string {
	b := binary.BigEndian.AppendUint64(t.random[:], uint64(t.expires.Unix()))
	return ticketEncoding.EncodeToString(append(b, ticketSum(secret, image, owner, b)...))
}

// parseTicket reads an id that was written with the same secret, image and owner.
func parseTicket(id string, secret []byte, image, owner string) (ticket, bool) {
	b, err := ticketEncoding.DecodeString(id)
	if err != nil || len(b) != ticketLength {
		return ticket{}, false
	}
	said, sum := b[:ticketRandom+8], b[ticketRandom+8:]
	if !hmac.Equal(sum, ticketSum(secret, image, owner, said)) {
		return ticket{}, false
	}
	t := ticket{expires: time.Unix(int64(binary.BigEndian.Uint64(said[ticketRandom:])), 0)}
	copy(t.random[:], said)
	return t, true
}

func ticketSum(secret []byte, image, owner string, said []byte) []byte {
	h := hmac.New(sha256.New, secret)
	for _, part := range []string{"upload", image, owner} {
		h.Write(append([]byte(part), 0)) // neither has a NUL
	}
	h.Write(said)
	return h.Sum(nil)[:ticketMAC]
}

// ticketSecret is a store's secret, read once.
type ticketSecret struct {
	mu    sync.Mutex
	value []byte
}

// ticketSecret reads the secret, and makes it where there is none.
func (r *Registry) ticketSecret(ctx context.Context) ([]byte, error) {
	r.secret.mu.Lock()
	defer r.secret.mu.Unlock()
	for r.secret.value == nil {
		ptr, err := r.pointers.Load(ctx, store.UploadSecretPointer)
		switch {
		case err == nil && len(ptr.Value) == secretLength:
			r.secret.value = ptr.Value
			continue
		case err == nil:
		case errors.Is(err, store.ErrNotFound):
			ptr = store.Absent(store.UploadSecretPointer)
		default:
			return nil, err
		}
		value := make([]byte, secretLength)
		rand.Read(value) // never fails
		if _, err := r.pointers.Swap(ctx, ptr, value); err != nil && !errors.Is(err, store.ErrConflict) {
			return nil, coded(err)
		}
	}
	return r.secret.value, nil
}
