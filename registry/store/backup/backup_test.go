package backup_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kiln/registry"
	"kiln/registry/contentstore"
	"kiln/registry/registrytest"
	"kiln/registry/store"
	"kiln/registry/store/backup"
	"kiln/registry/store/filestore"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const repo = "acme/shop"

// world is a store with a registry over it.
type world struct {
	*filestore.Store
	place backup.Place
	reg   *contentstore.Registry
}

func newWorld(t *testing.T, o filestore.Options) *world {
	t.Helper()
	return openWorld(t, filepath.Join(t.TempDir(), "s"), o)
}

func openWorld(t *testing.T, dir string, o filestore.Options) *world {
	t.Helper()
	s, err := filestore.Open(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return &world{s, backup.Place{Objects: s, Pointers: s.Pointers()}, contentstore.New(s, s.Pointers(), contentstore.Options{})}
}

var (
	create = filestore.Options{Create: true}
	bare   = filestore.Options{Create: true, Bare: true}
)

// fill pushes what has every kind of key, and leaves what is in no backup.
func (w *world) fill(t *testing.T) {
	t.Helper()
	index := registrytest.PushJSON(t, w.reg, repo, ocispec.MediaTypeImageIndex, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageIndex,
		"manifests":   []ocispec.Descriptor{registrytest.PushImage(t, w.reg, repo, strings.Repeat("a large layer", 1<<18), []string{"latest"})},
		"annotations": map[string]string{ocispec.AnnotationBaseImageDigest: string(digest.FromString("base"))},
	}, "1.0-20260102T000000Z-00000000000b")
	registrytest.PushImage(t, w.reg, repo, "signature", nil, func(m *ocispec.Manifest) { m.Subject = &index })
	for _, name := range []string{"trust", "images/acme~shop/state", "leases/x/y"} {
		if _, err := w.Pointers().Swap(t.Context(), store.Absent(name), []byte("value of "+name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"uploads/x/chunk", "quarantine/x/y/bytes", "images/acme~shop/ledger/sequence/1"} {
		if err := w.Put(t.Context(), key, strings.NewReader("not in a backup")); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"gc/sha256:x", "uploads/x/session", "images/acme~shop/indexed"} {
		if _, err := w.Pointers().Swap(t.Context(), store.Absent(name), []byte("not in a backup")); err != nil {
			t.Fatal(err)
		}
	}
}

// all is everything that a backup is to hold, and the format.
func (w *world) all(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for info, err := range w.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		rc, err := w.Open(t.Context(), info.Key, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(rc)
		if err != nil {
			t.Fatal(err)
		}
		rc.Close()
		if string(data) != "not in a backup" {
			all[info.Key] = string(data)
		}
	}
	for p, err := range w.Pointers().List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		if string(p.Value) != "not in a backup" {
			all["pointer "+p.Name] = string(p.Value)
		}
	}
	return all
}

func wantSame(t *testing.T, got, want map[string]string) {
	t.Helper()
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if value, ok := got[key]; !ok || value != want[key] {
			t.Errorf("%s is %.40q (there: %v), want %.40q", key, value, ok, want[key])
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			t.Errorf("%s is too much", key)
		}
	}
}

func write(t *testing.T, w *world) []byte {
	t.Helper()
	var out bytes.Buffer
	report, err := backup.Write(t.Context(), w.place, &out)
	if err != nil || report.StoreID != w.ID() || report.Objects < 7 || len(report.Damaged) > 0 {
		t.Fatalf("write: %+v, %v", report, err)
	}
	return out.Bytes()
}

func TestTar(t *testing.T) {
	w := newWorld(t, create)
	w.fill(t)
	file := write(t, w)
	to := newWorld(t, bare)
	report, err := backup.Read(t.Context(), bytes.NewReader(file), to.place)
	if err != nil || report.StoreID != w.ID() {
		t.Fatalf("read: %+v, %v", report, err)
	}
	wantSame(t, to.all(t), w.all(t))
	if again := openWorld(t, to.Dir(), filestore.Options{}); again.ID() != w.ID() {
		t.Errorf("restored with id %s, was %s", again.ID(), w.ID())
	}
	if _, err := backup.Read(t.Context(), bytes.NewReader(file), to.place); !errors.Is(err, backup.ErrTaken) {
		t.Errorf("restored over a store: %v", err)
	}
}

// TestMirror: a second backup in the same place copies what is new and removes
// what is gone; a restore from it is the store.
func TestMirror(t *testing.T) {
	w, at := newWorld(t, create), newWorld(t, bare)
	w.fill(t)
	mirror := func() backup.Report {
		t.Helper()
		report, err := backup.Mirror(t.Context(), w.place, at.place)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := filestore.Open(t.Context(), at.Dir(), create); !errors.Is(err, store.ErrFormat) {
			t.Errorf("the backup opens as a store: %v", err)
		}
		return report
	}
	first := mirror()
	if again := mirror(); again.Objects != 0 || again.Pointers != first.Pointers {
		t.Errorf("nothing changed, copied %+v", again)
	}
	registrytest.PushImage(t, w.reg, repo, "new", []string{"latest", "new"})
	if err := w.reg.DeleteTag(t.Context(), repo, "1.0-20260102T000000Z-00000000000b"); err != nil {
		t.Fatal(err)
	}
	other := registrytest.PushImage(t, w.reg, repo, "gone", []string{"gone"})
	mirror()
	if err := w.reg.DeleteManifest(t.Context(), repo, other.Digest); err != nil {
		t.Fatal(err)
	}
	if report := mirror(); report.Objects > 0 {
		t.Errorf("after a deletion: %+v", report)
	}
	to := newWorld(t, bare)
	if _, err := backup.Restore(t.Context(), at.place, to.place); err != nil {
		t.Fatal(err)
	}
	wantSame(t, to.all(t), w.all(t))
}

// TestDestinations: a backup or restore goes nowhere that holds something else.
func TestDestinations(t *testing.T) {
	w := newWorld(t, create)
	w.fill(t)
	file := write(t, w)
	stranger := newWorld(t, bare)
	if err := stranger.Put(t.Context(), "some/object", strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	pointed := newWorld(t, bare)
	if _, err := pointed.Pointers().Swap(t.Context(), store.Absent("some/pointer"), nil); err != nil {
		t.Fatal(err)
	}
	others := newWorld(t, bare)
	if _, err := backup.Mirror(t.Context(), newWorld(t, create).place, others.place); err != nil {
		t.Fatal(err)
	}
	mirrored := newWorld(t, bare)
	if _, err := backup.Mirror(t.Context(), w.place, mirrored.place); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]*world{
		"the store itself": w, "a store": newWorld(t, create), "objects": stranger, "pointers": pointed, "another store's backup": others,
	} {
		before := to.all(t)
		if _, err := backup.Mirror(t.Context(), w.place, to.place); !errors.Is(err, backup.ErrTaken) {
			t.Errorf("mirror to %s: %v", name, err)
		}
		if _, err := backup.Read(t.Context(), bytes.NewReader(file), to.place); !errors.Is(err, backup.ErrTaken) {
			t.Errorf("read to %s: %v", name, err)
		}
		if _, err := backup.Restore(t.Context(), mirrored.place, to.place); !errors.Is(err, backup.ErrTaken) {
			t.Errorf("restore to %s: %v", name, err)
		}
		wantSame(t, to.all(t), before)
	}
	if _, err := backup.Read(t.Context(), bytes.NewReader(file), mirrored.place); !errors.Is(err, backup.ErrTaken) {
		t.Errorf("read over a backup: %v", err)
	}
	if _, err := backup.Restore(t.Context(), w.place, newWorld(t, bare).place); err == nil {
		t.Error("restored from what is no backup")
	}
}

// TestTampered cuts a backup short at every entry and in between, and changes
// bytes everywhere: it is refused, and nothing of it is a store.
func TestTampered(t *testing.T) {
	w := newWorld(t, create)
	registrytest.PushImage(t, w.reg, repo, "layer", []string{"1.0-20260102T000000Z-00000000000b", "latest"})
	file := write(t, w)
	refused := func(what string, data []byte) {
		t.Helper()
		to := newWorld(t, bare)
		_, err := backup.Read(t.Context(), bytes.NewReader(data), to.place)
		if !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("%s: got %v, want ErrDamaged", what, err)
		}
		if _, err := filestore.Open(t.Context(), to.Dir(), filestore.Options{}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: opens as a store: %v", what, err)
		}
		untouched := len(to.all(t)) == 0
		if _, err := filestore.Open(t.Context(), to.Dir(), create); !errors.Is(err, store.ErrFormat) && !untouched {
			t.Errorf("%s: can be made a store: %v", what, err)
		}
	}
	for cut := 0; cut < len(file)-1024; cut += 512 + 100 {
		refused(fmt.Sprintf("cut at %d", cut), file[:cut])
	}
	entries := split(t, file)
	for i := range entries {
		name := entries[i].header.Name
		if name != "kiln-backup-end.json" && name != "kiln-backup.json" {
			refused("without "+name, join(t, slices.Delete(slices.Clone(entries), i, i+1)))
			refused("twice "+name, join(t, slices.Insert(slices.Clone(entries), i, entries[i])))
		}
		if len(entries[i].data) > 0 && name != "kiln-backup.json" {
			changed := slices.Clone(entries)
			changed[i].data = bytes.Clone(changed[i].data)
			changed[i].data[len(changed[i].data)/2] ^= 1
			refused("changed "+name, join(t, changed))
		}
	}
	for _, name := range []string{"objects/../x", "objects/tmp/x", "objects/uploads/x/y", "objects/blobs/sha256/xx/yy", "pointers/format", "pointers/gc/x", "elsewhere", "pointers/../../x"} {
		refused(name, join(t, slices.Insert(slices.Clone(entries), 1, entry{&tar.Header{Name: name, Typeflag: tar.TypeReg}, nil})))
	}
	if _, err := backup.Read(t.Context(), bytes.NewReader(join(t, entries)), newWorld(t, bare).place); err != nil {
		t.Errorf("untouched: %v", err)
	}
}

type entry struct {
	header *tar.Header
	data   []byte
}

func split(t *testing.T, file []byte) []entry {
	t.Helper()
	var list []entry
	for r := tar.NewReader(bytes.NewReader(file)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, entry{h, data})
	}
}

func join(t *testing.T, list []entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range list {
		h := *e.header
		h.Size = int64(len(e.data))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(e.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestInterrupted stops a restore and a mirror after each of their writes. The
// place is no store then, and running it again ends well.
func TestInterrupted(t *testing.T) {
	w := newWorld(t, create)
	registrytest.PushImage(t, w.reg, repo, "layer", []string{"1.0-20260102T000000Z-00000000000b", "latest"})
	file, mirrored := write(t, w), newWorld(t, bare)
	if _, err := backup.Mirror(t.Context(), w.place, mirrored.place); err != nil {
		t.Fatal(err)
	}
	for name, run := range map[string]func(to backup.Place) error{
		"read":    func(to backup.Place) error { _, err := backup.Read(t.Context(), bytes.NewReader(file), to); return err },
		"restore": func(to backup.Place) error { _, err := backup.Restore(t.Context(), mirrored.place, to); return err },
		"mirror":  func(to backup.Place) error { _, err := backup.Mirror(t.Context(), w.place, to); return err },
	} {
		for n := 0; ; n++ {
			to := newWorld(t, bare)
			err := run(dyingAfter(to.place, n))
			if err == nil {
				if n < 10 {
					t.Errorf("%s: only %d writes", name, n)
				}
				break
			}
			if !errors.Is(err, errDead) {
				t.Fatalf("%s after %d writes: %v", name, n, err)
			}
			if name == "mirror" {
				if _, err := backup.Restore(t.Context(), to.place, newWorld(t, bare).place); err == nil {
					t.Errorf("restored from a mirror that was not finished, after %d writes", n)
				}
			}
			_, openErr := filestore.Open(t.Context(), to.Dir(), filestore.Options{})
			if openErr == nil && name != "mirror" { // only what comes after the format was left to do
				wantSame(t, without(to.all(t), "pointer backup"), w.all(t))
				continue
			}
			if !errors.Is(openErr, store.ErrNotFound) {
				t.Errorf("%s after %d writes: opens as a store: %v", name, n, openErr)
			}
			if err := run(to.place); err != nil {
				t.Errorf("%s again after %d writes: %v", name, n, err)
			}
			if name != "mirror" {
				wantSame(t, to.all(t), w.all(t))
			}
		}
	}
}

func without(m map[string]string, key string) map[string]string {
	delete(m, key)
	return m
}

var errDead = errors.New("killed")

// dying fails every write from the n-th on: a process killed there.
type dying struct {
	mu   sync.Mutex
	left int
}

func (d *dying) write() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left--; d.left < 0 {
		return errDead
	}
	return nil
}

type dyingStore struct {
	store.Store
	d *dying
}

func (s dyingStore) Put(ctx context.Context, key string, r io.Reader) error {
	if err := s.d.write(); err != nil {
		return err
	}
	return s.Store.Put(ctx, key, r)
}

type dyingPointers struct {
	store.Pointers
	d *dying
}

func (p dyingPointers) Swap(ctx context.Context, old store.Pointer, next []byte) (store.Pointer, error) {
	if err := p.d.write(); err != nil {
		return store.Pointer{}, err
	}
	return p.Pointers.Swap(ctx, old, next)
}

func (p dyingPointers) Delete(ctx context.Context, old store.Pointer) error {
	if err := p.d.write(); err != nil {
		return err
	}
	return p.Pointers.Delete(ctx, old)
}

func dyingAfter(p backup.Place, n int) backup.Place {
	d := &dying{left: n}
	return backup.Place{Objects: dyingStore{p.Objects, d}, Pointers: dyingPointers{p.Pointers, d}}
}

// TestDamagedSource: a blob that is damaged where it comes from is left out and
// reported, whether it is shorter, longer or other than it should be.
func TestDamagedSource(t *testing.T) {
	for _, content := range []string{"lay", "layer and more", "LAYER", ""} {
		w := newWorld(t, create)
		registrytest.PushImage(t, w.reg, repo, "layer", []string{"latest"})
		layer := digest.FromString("layer")
		if err := w.Delete(t.Context(), store.BlobKey(layer)); err != nil {
			t.Fatal(err)
		}
		if err := w.Put(t.Context(), store.BlobKey(layer), strings.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		report, err := backup.Write(t.Context(), w.place, &out)
		if err != nil || !slices.Equal(report.Damaged, []digest.Digest{layer}) {
			t.Errorf("%q: %+v, %v", content, report, err)
		}
		to := newWorld(t, bare)
		if report, err = backup.Read(t.Context(), &out, to.place); err != nil || !slices.Equal(report.Damaged, []digest.Digest{layer}) {
			t.Errorf("%q: read: %+v, %v", content, report, err)
		}
		if _, err := to.Stat(t.Context(), store.BlobKey(layer)); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%q: damaged bytes are restored: %v", content, err)
		}
		at := newWorld(t, bare)
		if report, err = backup.Mirror(t.Context(), w.place, at.place); err != nil || !slices.Equal(report.Damaged, []digest.Digest{layer}) {
			t.Errorf("%q: mirror: %+v, %v", content, report, err)
		}
		registrytest.PushBlob(t, to.reg, repo, "", "layer") // and can be healed
		registrytest.PushImage(t, to.reg, repo, "layer", []string{"latest"})
		wantSound(t, to)
	}
}

func wantSound(t *testing.T, w *world) {
	t.Helper()
	out, err := w.reg.Scrub(t.Context(), contentstore.ScrubOptions{Settle: time.Nanosecond})
	if err != nil || len(out.Problems) > 0 {
		t.Errorf("scrub finds %v, %v", out.Problems, err)
	}
}

// TestLive backs a store up while images are pushed, moved and deleted. Every
// backup restores to a store that is whole, with all that was acknowledged
// before it began.
func TestLive(t *testing.T) {
	w, at := newWorld(t, create), newWorld(t, bare)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	acked := &tagList{}
	for i := range 2 {
		wg.Go(func() { churn(ctx, t, w.reg, i, acked) })
	}
	check := func(to *world, before []string) {
		t.Helper()
		found, err := to.reg.Scrub(t.Context(), contentstore.ScrubOptions{Settle: time.Millisecond})
		if err != nil || found.Broken() { // what was deleted meanwhile may lack its entry
			t.Errorf("scrub finds %v, %v", found.Problems, err)
		}
		for _, tag := range before {
			desc, err := to.reg.Tag(t.Context(), repo, tag)
			if err == nil {
				_, _, err = to.reg.Manifest(t.Context(), repo, desc.Digest)
			}
			if err != nil {
				t.Errorf("version %s: %v", tag, err)
			}
		}
	}
	for range 2 {
		time.Sleep(100 * time.Millisecond)
		before := acked.list()
		var out bytes.Buffer
		if _, err := backup.Write(t.Context(), w.place, &out); err != nil {
			t.Fatal(err)
		}
		to := newWorld(t, bare)
		if _, err := backup.Read(t.Context(), &out, to.place); err != nil {
			t.Fatal(err)
		}
		check(to, before)
		before = acked.list()
		if _, err := backup.Mirror(t.Context(), w.place, at.place); err != nil {
			t.Fatal(err)
		}
		to = newWorld(t, bare)
		if _, err := backup.Restore(t.Context(), at.place, to.place); err != nil {
			t.Fatal(err)
		}
		check(to, before)
	}
	stop()
	wg.Wait()
	if n := len(acked.list()); n < 8 {
		t.Errorf("only %d versions were pushed", n)
	}
}

type tagList struct {
	mu   sync.Mutex
	tags []string
}

func (l *tagList) add(tag string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tags = append(l.tags, tag)
}

func (l *tagList) list() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.tags)
}

// churn pushes versions, and images that it deletes again.
func churn(ctx context.Context, t *testing.T, r registry.Registry, who int, acked *tagList) {
	for i := 0; ctx.Err() == nil; i++ {
		time.Sleep(30 * time.Millisecond) // or the store grows faster than it is copied
		tag := fmt.Sprintf("%d-20260102T0000%02dZ-%012x", who, i%60, i)
		d := registrytest.PushImage(t, r, repo, fmt.Sprint("layer ", who, i), []string{tag, "latest"})
		acked.add(tag)
		registrytest.PushImage(t, r, repo, fmt.Sprint("signature ", who, i), nil, func(m *ocispec.Manifest) { m.Subject = &d })
		moving := fmt.Sprint("moving", who)
		gone := registrytest.PushImage(t, r, repo, fmt.Sprint("gone ", who, i), []string{moving})
		if i%2 == 0 {
			registrytest.PushImage(t, r, repo, fmt.Sprint("kept ", who, i), []string{moving})
		}
		if err := r.DeleteManifest(t.Context(), repo, gone.Digest); err != nil {
			t.Error(err)
		}
	}
}
