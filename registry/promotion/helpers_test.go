package promotion

import (
	"strings"
	"testing"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
)

func digestOf(s string) digest.Digest { return digest.Digest(s) }

func denied(t testing.TB, err error, text string) {
	t.Helper()
	if registry.ErrorCode(err) != registry.CodeDenied || !strings.Contains(err.Error(), text) {
		t.Errorf("error %v, want DENIED with %q", err, text)
	}
}

// revoke declares a version unusable.
func (w *world) revoke(d digest.Digest) {
	w.Helper()
	if _, err := w.service.Revoke(w.Context(), RevokeRequest{Image: shop, Digest: d, Reason: "it leaks"}); err != nil {
		w.Fatal(err)
	}
}

// forgetIndex deletes the derived index.
func (w *world) forgetIndex() {
	w.Helper()
	ctx := w.Context()
	for info, err := range w.store.List(ctx, indexKey(shop), "") {
		if err != nil {
			w.Fatal(err)
		}
		if err := w.store.Delete(ctx, info.Key); err != nil {
			w.Fatal(err)
		}
	}
	if ptr, err := w.pointers.Load(ctx, indexedPointer(shop)); err == nil {
		if err := w.pointers.Delete(ctx, ptr); err != nil {
			w.Fatal(err)
		}
	}
}
