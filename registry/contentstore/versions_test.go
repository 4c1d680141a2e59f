package contentstore_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kiln/registry"
	"kiln/registry/contentstore"
	"kiln/registry/registrytest"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const repo = "acme/shop"

func versions(t *testing.T, r *contentstore.Registry, repo, after string) []contentstore.Version {
	t.Helper()
	var got []contentstore.Version
	for v, err := range r.Versions(t.Context(), repo, after) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, v)
	}
	return got
}

func tagsOf(vs []contentstore.Version) []string {
	var tags []string
	for _, v := range vs {
		tags = append(tags, v.Tag)
	}
	return tags
}

func TestVersions(t *testing.T) {
	r := contentOf(openStore(t))
	newest := []string{
		"2.0-20260104T000000Z-00000000000d-dirty",
		"1.1-20260103T000000Z-00000000000c",
		"20260102T000000Z-00000000000b",
		"1.0-20260101T000000Z-00000000000a",
	}
	for _, i := range []int{2, 0, 3, 1} { // the tag's time counts, not the push's
		registrytest.PushImage(t, r, repo, fmt.Sprint(i), []string{newest[i], "latest"})
		registrytest.PushImage(t, r, repo, fmt.Sprint(i), []string{newest[i]}) // the same again adds none
	}
	registrytest.PushImage(t, r, "acme/shop-x", "x", []string{"20260109T000000Z-00000000000f"})
	all := versions(t, r, repo, "")
	if got := tagsOf(all); !slices.Equal(got, newest) {
		t.Fatalf("versions %q, want %q", got, newest)
	}
	v := all[0]
	if !v.Dirty || v.Revision != "00000000000d" || !v.Created.Equal(time.Date(2026, 1, 4, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("version %+v", v)
	}
	for i, v := range all {
		if got := tagsOf(versions(t, r, repo, v.Cursor)); !slices.Equal(got, newest[i+1:]) {
			t.Errorf("after %s: %q", v.Tag, got)
		}
		tags, err := r.TagsOf(t.Context(), repo, v.Digest)
		if want := []string{v.Tag}; err != nil || i > 0 && !slices.Equal(tags, want) && !slices.Contains(tags, "latest") {
			t.Errorf("tags of %s: %q, %v", v.Digest, tags, err)
		}
	}
	if err := r.DeleteTag(t.Context(), repo, newest[1]); err != nil {
		t.Fatal(err)
	}
	if got := tagsOf(versions(t, r, repo, "")); !slices.Equal(got, slices.Delete(slices.Clone(newest), 1, 2)) {
		t.Errorf("after a deletion: %q", got)
	}
}

func TestVersionsOfOneDigest(t *testing.T) {
	r := contentOf(openStore(t))
	tags := []string{"1.0-20260101T000000Z-00000000000a", "2.0-20260101T000000Z-00000000000a", "20260102T000000Z-00000000000b"}
	d := registrytest.PushImage(t, r, repo, "x", tags).Digest
	got := tagsOf(versions(t, r, repo, ""))
	slices.Sort(got)
	if !slices.Equal(got, tags) {
		t.Errorf("versions %q, want %q", got, tags)
	}
	if of, err := r.TagsOf(t.Context(), repo, d); err != nil || !slices.Equal(of, tags) {
		t.Errorf("tags %q, %v", of, err)
	}
}

// In a bucket every version that is read is a request.
func TestVersionTagsOf(t *testing.T) {
	w := newWorld()
	for i := range 20 {
		tag := fmt.Sprintf("202601%02dT000000Z-00000000000a", i+1)
		registrytest.PushImage(t, w.r, repo, fmt.Sprint(i%10), []string{tag, fmt.Sprint("other", i)})
	}
	d := registrytest.PushImage(t, w.r, repo, "3", nil).Digest
	if err := w.r.DeleteTag(t.Context(), repo, "20260114T000000Z-00000000000a"); err != nil {
		t.Fatal(err)
	}
	var reads atomic.Int32
	w.m.setHook(func(_ context.Context, op, _ string) error {
		if op != "list" {
			reads.Add(1)
		}
		return nil
	})
	got, err := w.r.VersionTagsOf(t.Context(), repo, d)
	if want := []string{"20260104T000000Z-00000000000a"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("tags %q, %v, want %q", got, err, want)
	}
	if n := reads.Load(); n > 4 {
		t.Errorf("%d reads", n)
	}
	if got, err := w.r.VersionTagsOf(t.Context(), repo, digest.FromString("none")); err != nil || len(got) > 0 {
		t.Errorf("of nothing: %q, %v", got, err)
	}
	if got, err := w.r.VersionTagsOf(t.Context(), "acme/none", d); err != nil || len(got) > 0 {
		t.Errorf("of an unknown image: %q, %v", got, err)
	}
}

func TestVersionTimes(t *testing.T) {
	r := contentOf(openStore(t))
	for _, c := range []struct {
		tag  string
		want time.Time
	}{
		{"20251231T235959Z-0123456789ab", time.Date(2025, 12, 31, 23, 59, 59, 0, time.UTC)},
		{"20261399T999999Z-0123456789ab", noon}, // no date
		{"99990101T000000Z-0123456789ab", noon}, // not to be counted in nanoseconds
		{"00010101T000000Z-0123456789ab", noon},
	} {
		registrytest.PushImage(t, r, repo, c.tag, []string{c.tag})
		found := false
		for _, v := range versions(t, r, repo, "") {
			if v.Tag == c.tag {
				found = v.Created.Equal(c.want)
			}
		}
		if !found {
			t.Errorf("%s has not the time %v", c.tag, c.want)
		}
	}
}

func TestDescendants(t *testing.T) {
	s := openStore(t)
	r := contentOf(s)
	base := digest.FromString("base")
	const tag = "20260102T000000Z-00000000000b"
	d := registrytest.PushImage(t, r, repo, "x", []string{tag}, func(m *ocispec.Manifest) {
		m.Annotations = map[string]string{ocispec.AnnotationBaseImageDigest: string(base), ocispec.AnnotationBaseImageName: "acme/base"}
	}).Digest
	registrytest.PushImage(t, r, repo, "y", []string{"latest"}, func(m *ocispec.Manifest) { // no version
		m.Annotations = map[string]string{ocispec.AnnotationBaseImageDigest: string(base)}
	})
	registrytest.PushImage(t, r, repo, "z", []string{"20260103T000000Z-00000000000b"}, func(m *ocispec.Manifest) {
		m.Annotations = map[string]string{ocispec.AnnotationBaseImageDigest: "sha256:../../x"}
	})
	var keys []string
	for info, err := range s.List(t.Context(), store.DescendsPrefix, "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	if want := []string{store.DescendantKey(base, repo, d)}; !slices.Equal(keys, want) {
		t.Fatalf("descendants %q, want %q", keys, want)
	}
	rc, err := s.Open(t.Context(), keys[0], 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	data, err := io.ReadAll(rc)
	var v contentstore.Version
	if err != nil || json.Unmarshal(data, &v) != nil || v.Tag != tag || v.Base != base || v.BaseName != "acme/base" {
		t.Errorf("entry %s, %v", data, err)
	}
}

// TestRacingVersions: of many that push one version tag, one wins.
func TestRacingVersions(t *testing.T) {
	s := openStore(t)
	const tag = "20260102T000000Z-00000000000b"
	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range 6 {
		r := contentOf(s)
		desc := registrytest.PushImage(t, r, repo, fmt.Sprint(i), nil)
		_, content, err := r.Manifest(t.Context(), repo, desc.Digest)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			_, err := r.PushManifest(t.Context(), repo, registry.Manifest{MediaType: desc.MediaType, Content: content, Tags: []string{tag}})
			if err == nil {
				won.Add(1)
			} else if registry.ErrorCode(err) != registry.CodeDenied {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := versions(t, contentOf(s), repo, ""); won.Load() != 1 || len(got) != 1 {
		t.Errorf("%d pushes won, versions %v", won.Load(), got)
	}
}

// TestDeleteRacesPush: an acknowledged version is whole, whatever is deleted
// while it is pushed.
func TestDeleteRacesPush(t *testing.T) {
	r := contentOf(openStore(t))
	for i := range 30 {
		tag := fmt.Sprintf("20260102T0000%02dZ-00000000000b", i)
		desc := registrytest.PushImage(t, r, repo, "layer", nil)
		_, content, err := r.Manifest(t.Context(), repo, desc.Digest)
		if err != nil {
			t.Fatal(err)
		}
		layer := digest.FromString("layer")
		var wg sync.WaitGroup
		wg.Go(func() { _ = r.DeleteManifest(t.Context(), repo, desc.Digest) })
		wg.Go(func() { _ = r.DeleteBlob(t.Context(), repo, layer) })
		_, err = r.PushManifest(t.Context(), repo, registry.Manifest{MediaType: desc.MediaType, Content: content, Tags: []string{tag}})
		wg.Wait()
		if err != nil {
			continue
		}
		if _, err := r.Tag(t.Context(), repo, tag); err != nil {
			t.Errorf("tag: %v", err)
		}
		if _, err := r.StatBlob(t.Context(), repo, layer); err != nil {
			t.Errorf("layer: %v", err)
		}
		if err := r.DeleteTag(t.Context(), repo, tag); err != nil {
			t.Fatal(err)
		}
	}
}

// whileDeleting calls pushed right before an object is deleted.
type whileDeleting struct {
	store.Store
	pushed func()
}

func (w whileDeleting) Delete(ctx context.Context, key string) error {
	w.pushed()
	return w.Store.Delete(ctx, key)
}

// TestVersionDuringDelete: a version that is pushed between a deletion's look
// at the tags and its end is whole afterwards.
func TestVersionDuringDelete(t *testing.T) {
	layer := digest.FromString("layer")
	for name, remove := range map[string]func(registry.Registry, digest.Digest) error{
		"manifest": func(r registry.Registry, d digest.Digest) error { return r.DeleteManifest(t.Context(), repo, d) },
		"layer":    func(r registry.Registry, _ digest.Digest) error { return r.DeleteBlob(t.Context(), repo, layer) },
	} {
		s := openStore(t)
		r := contentOf(s)
		d := registrytest.PushImage(t, r, repo, "layer", nil).Digest
		racing := contentstore.New(whileDeleting{s, func() {
			registrytest.PushImage(t, r, repo, "layer", []string{version})
		}}, s.Pointers(), contentstore.Options{})
		if err := remove(racing, d); registry.ErrorCode(err) != registry.CodeDenied {
			t.Errorf("%s: got %v, want %s", name, err, registry.CodeDenied)
		}
		if _, err := r.Tag(t.Context(), repo, version); err != nil {
			t.Errorf("%s: tag: %v", name, err)
		}
		if _, err := r.StatBlob(t.Context(), repo, layer); err != nil {
			t.Errorf("%s: layer: %v", name, err)
		}
	}
}
