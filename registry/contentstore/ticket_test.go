package contentstore_test

import (
	"context"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kiln/registry"
	"kiln/registry/contentstore"
	"kiln/registry/store/filestore"

	"github.com/opencontainers/go-digest"
)

type ownerKey struct{}

func as(ctx context.Context, owner string) context.Context {
	return context.WithValue(ctx, ownerKey{}, owner)
}

// owned is a registry whose uploads have the owner that as says.
func owned(s *filestore.Store, now func() time.Time) *contentstore.Registry {
	return contentstore.New(s, s.Pointers(), contentstore.Options{
		Now: now, UploadLifetime: time.Hour,
		Owner: func(ctx context.Context) string { owner, _ := ctx.Value(ownerKey{}).(string); return owner },
	})
}

// TestUploadTickets: the id of an upload, with a chunk or without, serves its
// image and its owner, on any replica, until it expires; no other string does
// (FAULTS 6: CVE-2026-32589).
func TestUploadTickets(t *testing.T) {
	s, elsewhere := openStore(t), openStore(t)
	now := time.Now()
	clock := func() time.Time { return now }
	alice := as(t.Context(), "alice")
	r := owned(s, clock)
	for name, chunk := range map[string]string{"empty": "", "begun": "bytes"} {
		t.Run(name, func(t *testing.T) {
			u, err := r.StartUpload(alice, repo)
			if err != nil {
				t.Fatal(err)
			}
			if err := u.Append(alice, 0, strings.NewReader(chunk)); err != nil {
				t.Fatal(err)
			}
			unknown := func(what string, r *contentstore.Registry, ctx context.Context, repo, id string) {
				t.Helper()
				if _, err := r.ResumeUpload(ctx, repo, id); !errors.Is(err, registry.CodeUploadUnknown) {
					t.Errorf("%s: got %v, want CodeUploadUnknown", what, err)
				}
			}
			unknown("another owner", r, as(t.Context(), "mallory"), repo, u.ID())
			unknown("nobody", r, t.Context(), repo, u.ID())
			unknown("another image", r, alice, "acme/other", u.ID())
			unknown("another store", owned(elsewhere, clock), alice, repo, u.ID())
			raw, err := base64.RawURLEncoding.DecodeString(u.ID())
			if err != nil {
				t.Fatal(err)
			}
			for i := range raw {
				forged := append([]byte{}, raw...)
				forged[i] ^= 1
				unknown("forged", r, alice, repo, base64.RawURLEncoding.EncodeToString(forged))
			}
			for _, id := range []string{"", "x", u.ID()[1:], u.ID() + "AAAA", strings.ToUpper(u.ID()), strings.Repeat("A", len(u.ID()))} {
				unknown("malformed", r, alice, repo, id)
			}
			again, err := owned(s, clock).ResumeUpload(alice, repo, u.ID())
			if err != nil || again.Size() != int64(len(chunk)) {
				t.Fatalf("on another replica: %v", err)
			}
			now = now.Add(time.Hour)
			unknown("expired", owned(s, clock), alice, repo, u.ID())
		})
	}
}

// TestStartUploadWritesNothing: thousands of uploads that get no bytes cost
// nothing (FAULTS 22).
func TestStartUploadWritesNothing(t *testing.T) {
	s := openStore(t)
	r := contentOf(s)
	for range 100 {
		u, err := r.StartUpload(t.Context(), repo)
		if err != nil {
			t.Fatal(err)
		}
		if err := u.Cancel(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := r.ResumeUpload(t.Context(), repo, u.ID()); !errors.Is(err, registry.CodeUploadUnknown) {
			t.Errorf("cancelled: %v", err)
		}
	}
	if keys := uploadKeys(t, s.Dir()); len(keys) > 0 {
		t.Errorf("left %q", keys)
	}
	locks, err := os.ReadDir(filepath.Join(s.Dir(), "locks"))
	if err != nil || len(locks) > 2 { // of the format and the secret
		t.Errorf("%d locks, %v", len(locks), err)
	}
}

// TestChunkLostInPowerCut: a chunk whose bytes the disk has not kept makes no
// blob, nor does a session of which nothing is left; the client begins anew.
func TestChunkLostInPowerCut(t *testing.T) {
	s := openStore(t)
	u, err := contentOf(s).StartUpload(t.Context(), repo)
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Append(t.Context(), 0, strings.NewReader("content")); err != nil {
		t.Fatal(err)
	}
	for _, key := range uploadKeys(t, s.Dir()) {
		if !strings.HasSuffix(key, "/session") {
			if err := os.WriteFile(filepath.Join(s.Dir(), key), make([]byte, len("content")), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	d := digest.FromString("content")
	again, err := contentOf(s).ResumeUpload(t.Context(), repo, u.ID())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Commit(t.Context(), d); !errors.Is(err, registry.CodeDigestInvalid) {
		t.Errorf("commit: %v", err)
	}
	if _, err := contentOf(s).StatBlob(t.Context(), repo, d); !errors.Is(err, registry.CodeBlobUnknown) {
		t.Errorf("blob: %v", err)
	}

	sessions, err := filepath.Glob(filepath.Join(s.Dir(), "uploads", "*", "session%pointer"))
	if err != nil || len(sessions) != 1 {
		t.Fatal(sessions, err)
	}
	if err := os.Truncate(sessions[0], 0); err != nil {
		t.Fatal(err)
	}
	if _, err := contentOf(s).ResumeUpload(t.Context(), repo, u.ID()); !errors.Is(err, registry.CodeUploadUnknown) {
		t.Errorf("torn session: %v", err)
	}
	if gone, err := contentOf(s).PruneUploads(t.Context()); err != nil || gone != 1 {
		t.Errorf("pruned %d, %v", gone, err)
	}
}
