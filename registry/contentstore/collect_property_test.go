package contentstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"kiln/registry"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"pgregory.net/rapid"
)

// tryImage pushes an image of one layer, and may be refused.
func tryImage(r registry.Writer, image, content string, tags []string, change ...func(*ocispec.Manifest)) (ocispec.Descriptor, error) {
	m := imageOf(content)
	for _, f := range change {
		f(&m)
	}
	for _, c := range []string{"{}", content} {
		if err := r.PushBlob(context.Background(), image, blobDesc("", c), strings.NewReader(c)); err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	return tryManifest(r, image, m.MediaType, mustJSON(m), tags)
}

func imageOf(content string) ocispec.Manifest {
	return ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: blobDesc(ocispec.MediaTypeImageConfig, "{}"),
		Layers: []ocispec.Descriptor{blobDesc(ocispec.MediaTypeImageLayerGzip, content)},
	}
}

func imageJSON(content string) []byte { return mustJSON(imageOf(content)) }

func tryManifest(r registry.Writer, image, mediaType string, content []byte, tags []string) (ocispec.Descriptor, error) {
	return r.PushManifest(context.Background(), image, registry.Manifest{MediaType: mediaType, Content: content, Tags: tags})
}

func blobDesc(mediaType, content string) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromString(content), Size: int64(len(content))}
}

// history draws what happens to a store.
type history struct {
	t        *rapid.T
	w        *world
	known    map[string][]ocispec.Descriptor // manifests by image, also gone ones
	versions int
}

var bothImages = []string{repo, other}

func (h *history) image() string { return rapid.SampledFrom(bothImages).Draw(h.t, "image") }

func (h *history) one(image string) (ocispec.Descriptor, bool) {
	if len(h.known[image]) == 0 {
		return ocispec.Descriptor{}, false
	}
	return rapid.SampledFrom(h.known[image]).Draw(h.t, "manifest"), true
}

func (h *history) tags() []string {
	switch tag := rapid.SampledFrom([]string{"", "", "latest", "v1", "version"}).Draw(h.t, "tag"); tag {
	case "":
		return nil
	case "version":
		h.versions++
		return []string{fmt.Sprintf("1.%d-20260102T000000Z-00000000000b", h.versions)}
	default:
		return []string{tag}
	}
}

// pushed takes note of a push. Refused may be what names something that is gone.
func (h *history) pushed(image string, desc ocispec.Descriptor, err error) {
	switch {
	case errors.Is(err, registry.CodeManifestBlobUnknown):
	case err != nil:
		h.t.Fatal(err)
	case !slices.ContainsFunc(h.known[image], func(d ocispec.Descriptor) bool { return d.Digest == desc.Digest }):
		h.known[image] = append(h.known[image], desc)
	}
}

func (h *history) pushImage(*rapid.T) {
	image := h.image()
	var change []func(*ocispec.Manifest)
	if subject, ok := h.one(image); ok && rapid.Bool().Draw(h.t, "subject") {
		change = append(change, withSubject(subject))
	} else if parent, ok := h.one(h.image()); ok && rapid.Bool().Draw(h.t, "parent") {
		change = append(change, withParent(parent.Digest))
	}
	desc, err := tryImage(h.w.r, image, rapid.SampledFrom([]string{"a", "b", "c"}).Draw(h.t, "content"), h.tags(), change...)
	h.pushed(image, desc, err)
}

func (h *history) pushIndex(*rapid.T) {
	image := h.image()
	a, ok := h.one(image)
	if !ok {
		return
	}
	b, _ := h.one(image)
	desc, err := tryManifest(h.w.r, image, ocispec.MediaTypeImageIndex, mustJSON(indexOf([]ocispec.Descriptor{a, b})), h.tags())
	desc.MediaType = ocispec.MediaTypeImageIndex
	h.pushed(image, desc, err)
}

func (h *history) pushSignature(*rapid.T) {
	image := h.image()
	if subject, ok := h.one(image); ok {
		desc, err := tryImage(h.w.r, image, "sig", []string{cosignTag(subject.Digest, ".sig")})
		h.pushed(image, desc, err)
	}
}

func (h *history) pushBlob(*rapid.T) {
	content := rapid.SampledFrom([]string{"a", "lone"}).Draw(h.t, "content")
	if err := h.w.r.PushBlob(context.Background(), h.image(), blobDesc("", content), strings.NewReader(content)); err != nil {
		h.t.Fatal(err)
	}
}

func (h *history) deleteTag(*rapid.T) {
	image := h.image()
	for tag, err := range h.w.r.Tags(context.Background(), image, "") {
		if err == nil && rapid.Bool().Draw(h.t, "this tag") {
			err = h.w.r.DeleteTag(context.Background(), image, tag)
		}
		if err != nil && !errors.Is(err, registry.CodeNameUnknown) {
			h.t.Fatal(err)
		}
	}
}

func (h *history) deleteManifest(*rapid.T) {
	image := h.image()
	desc, ok := h.one(image)
	if !ok {
		return
	}
	before := h.w.snapshot(h.t)
	err := h.w.r.DeleteManifest(context.Background(), image, desc.Digest)
	if code := registry.ErrorCode(err); err != nil && code != registry.CodeDenied && code != registry.CodeManifestUnknown {
		h.t.Fatal(err)
	}
	after := h.w.snapshot(h.t)
	for key := range before { // what an index still names may be missing from now on
		if _, there := after[key]; !there && strings.Contains(key, "/manifests/") {
			d := digest.Digest(key[strings.LastIndexByte(key, '/')+1:])
			h.w.deleted[key], h.w.deleted[store.BlobKey(d)] = true, true
			h.w.release(image, d) // nobody deletes what has a root
		}
	}
}

func (h *history) root(*rapid.T) {
	image := h.image()
	desc, ok := h.one(image)
	if !ok {
		return
	}
	h.w.keep(image, desc.Digest)
	if err := h.w.r.Rescue(context.Background(), image, desc.Digest); err != nil {
		h.w.release(image, desc.Digest)
	}
}

func (h *history) unroot(*rapid.T) {
	for _, r := range h.w.rootsNow() {
		h.w.release(r.image, r.digest)
		return
	}
}

func (h *history) time(*rapid.T) {
	h.w.pass(rapid.SampledFrom([]time.Duration{time.Minute, 13 * time.Hour, 25 * time.Hour}).Draw(h.t, "time"))
}

// collect: a dry run writes nothing and tells what a run does.
func (h *history) collect(*rapid.T) {
	before := h.w.snapshot(h.t)
	plan := h.w.collect(h.t, false)
	if after := h.w.snapshot(h.t); !bytes.Equal(mustJSON(before), mustJSON(after)) {
		h.t.Fatal("a dry run wrote")
	}
	done := h.w.collect(h.t, true)
	if a, b := mustJSON(plan), mustJSON(done); !bytes.Equal(a, b) {
		h.t.Fatalf("the dry run tells\n%s\nthe run does\n%s", a, b)
	}
	for _, g := range done.Removed {
		if _, there := h.w.snapshot(h.t)[g.Key]; there {
			h.t.Errorf("%s is told to be removed", g.Key)
		}
	}
}

// TestCollectProperty draws histories of a store: at every moment all that is
// reachable is there, every dry run is right, and in the end nothing else is
// left.
func TestCollectProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &history{t: t, w: newWorld(), known: map[string][]ocispec.Descriptor{}}
		t.Repeat(map[string]func(*rapid.T){
			"image": h.pushImage, "index": h.pushIndex, "signature": h.pushSignature, "blob": h.pushBlob,
			"delete tag": h.deleteTag, "delete manifest": h.deleteManifest,
			"root": h.root, "unroot": h.unroot, "time": h.time, "time again": h.time,
			"collect": h.collect, "collect again": h.collect,
			"": func(t *rapid.T) { h.w.reachable(t) },
		})
		h.w.settle(t)
		h.w.wantExact(t)
	})
}
