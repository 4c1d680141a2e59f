package contentstore

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"strings"
	"time"

	"kiln/registry"
	"kiln/registry/store"
)

// session is the value of the pointer uploads/<name>/session, as JSON, made by
// the first chunk; the name is the random part of the ticket. Chunks are
// objects beside it; one that the session does not name does not count.
type session struct {
	Image   string    `json:"image"`
	Expires time.Time `json:"expires"`
	Size    int64     `json:"size"` // bytes received
	// Hash is the state of sha256 behind those bytes
	// (encoding.BinaryMarshaler of crypto/sha256).
	Hash   []byte  `json:"sha256_state"`
	Chunks []chunk `json:"chunks,omitempty"`
}

type chunk struct {
	Name string `json:"name"` // random: a chunk sent again never meets its broken forerunner
	Size int64  `json:"size"`
}

// maxChunks keeps a session within store.MaxPointerSize.
const maxChunks = 10_000

func randomName() string {
	b := make([]byte, 16)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

func uploadKey(name string) string   { return store.UploadsPrefix + name + "/" }
func sessionName(name string) string { return uploadKey(name) + "session" }

func (s session) hasher() (hash.Hash, error) {
	h := sha256.New()
	if len(s.Hash) == 0 {
		return h, nil
	}
	if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(s.Hash); err != nil {
		return nil, fmt.Errorf("hash state of the upload: %w", err)
	}
	return h, nil
}

// loadSession reads what the upload of a ticket has stored: nothing yet, or a
// session that has not expired. CodeUploadUnknown if the upload is over.
func (r *Registry) loadSession(ctx context.Context, repo string, t ticket) (session, store.Pointer, error) {
	unknown := registry.Errorf(registry.CodeUploadUnknown, "image %s has no such upload", repo)
	if r.spent.has(t.session()) {
		return session{}, store.Pointer{}, unknown
	}
	name := sessionName(t.session())
	ptr, err := r.pointers.Load(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		s := session{Image: repo, Expires: t.expires.UTC()}
		if !r.now().Before(s.Expires) {
			return session{}, store.Pointer{}, unknown
		}
		return s, store.Absent(name), nil
	}
	if err != nil {
		return session{}, store.Pointer{}, err
	}
	if len(ptr.Value) == 0 { // torn by a power cut: see store.UploadsPrefix
		return session{}, store.Pointer{}, unknown
	}
	var s session
	if err := json.Unmarshal(ptr.Value, &s); err != nil {
		return session{}, store.Pointer{}, registry.Errorf(registry.CodeCorrupt, "pointer %s is damaged: %w", ptr.Name, err)
	}
	if s.Image != repo || !r.now().Before(s.Expires) {
		return session{}, store.Pointer{}, unknown
	}
	return s, ptr, nil
}

func (r *Registry) saveSession(ctx context.Context, old store.Pointer, s session) (store.Pointer, error) {
	value, err := json.Marshal(s)
	if err != nil {
		return store.Pointer{}, err
	}
	ptr, err := r.pointers.Swap(ctx, old, value)
	return ptr, coded(err)
}

// CountUploads counts the uploads that have stored bytes and are not over, up
// to limit.
func (r *Registry) CountUploads(ctx context.Context, limit int) (int, error) {
	n := 0
	for ptr, err := range r.pointers.List(ctx, store.UploadsPrefix, "") {
		if err != nil {
			return n, coded(err)
		}
		var s session
		if json.Unmarshal(ptr.Value, &s) == nil && r.now().Before(s.Expires) {
			n++
		}
		if n >= limit {
			break
		}
	}
	return n, nil
}

// PruneUploads forgets uploads that have expired, with their chunks, and
// chunks without an upload. It returns how many uploads went.
func (r *Registry) PruneUploads(ctx context.Context) (int, error) {
	gone := 0
	for ptr, err := range r.pointers.List(ctx, store.UploadsPrefix, "") {
		if err != nil {
			return gone, err
		}
		var s session
		if err := json.Unmarshal(ptr.Value, &s); err == nil && r.now().Before(s.Expires) {
			continue
		}
		if err := r.pointers.Delete(ctx, ptr); err == nil {
			gone++
		} else if !errors.Is(err, store.ErrConflict) {
			return gone, coded(err)
		}
	}
	return gone, r.pruneChunks(ctx)
}

func (r *Registry) pruneChunks(ctx context.Context) error {
	for info, err := range r.store.List(ctx, store.UploadsPrefix, "") {
		if err != nil {
			return err
		}
		if r.now().Sub(info.ModTime) < r.lifetime {
			continue // perhaps its session is about to name it
		}
		id, _, _ := strings.Cut(strings.TrimPrefix(info.Key, store.UploadsPrefix), "/")
		switch _, err := r.pointers.Load(ctx, sessionName(id)); {
		case err == nil:
			continue
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
		if err := r.store.Delete(ctx, info.Key); err != nil {
			return coded(err)
		}
	}
	return nil
}
