package bake

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"kiln/bake/template"
	"kiln/registry"
	"kiln/registry/contentstore"
	"kiln/registry/store/filestore"
)

// recordWorld is a store that bakes publish to, and the records in it.
type recordWorld struct {
	dir      string
	registry *contentstore.Registry
	records  *Records
	clock    time.Time
}

func newRecordWorld(t *testing.T) *recordWorld {
	t.Helper()
	dir := t.TempDir()
	files, err := filestore.Open(t.Context(), dir, filestore.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	w := &recordWorld{dir: dir, registry: contentstore.New(files, files.Pointers(), contentstore.Options{}), clock: time.Unix(1_700_000_000, 0)}
	w.records = &Records{Registry: w.registry, Newest: w.newest}
	return w
}

func (w *recordWorld) newest(ctx context.Context, image string, limit int) ([]digest.Digest, error) {
	var list []digest.Digest
	for v, err := range w.registry.Versions(ctx, image, "") {
		if err != nil {
			return nil, err
		}
		if list = append(list, v.Digest); len(list) == limit {
			break
		}
	}
	return list, nil
}

func (w *recordWorld) builder(t *testing.T, cache string) *Builder {
	t.Helper()
	c, err := OpenCache(cache)
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewBuilder(BuilderOptions{
		Cache: c, Parents: w.registry, Lock: &template.Lock{Images: map[string]template.LockedImage{}},
		Records: &Records{Registry: w.registry, Newest: w.newest},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (w *recordWorld) bake(t *testing.T, b *Builder, recipe *template.Recipe) []Baked {
	t.Helper()
	p := &RegistryPublisher{
		Registry: w.registry, Versions: w.registry, Revision: Revision{Dirty: true}, KeepInputs: true,
		Now: func() time.Time { w.clock = w.clock.Add(time.Second); return w.clock },
	}
	baked, err := Bake(t.Context(), Request{Recipe: recipe, Builder: b, Publisher: p})
	if err != nil {
		t.Fatal(err)
	}
	return baked
}

// rebased makes the newest image of a bake again on another parent.
func (w *recordWorld) rebased(t *testing.T, of, onto Baked) digest.Digest {
	t.Helper()
	rec, err := w.records.Of(t.Context(), of.Name, of.Digest)
	if err != nil {
		t.Fatal(err)
	}
	img, err := rec.Remake(template.From{Kind: template.FromStore, Name: onto.Name, Digest: string(onto.Digest)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	baked := w.bake(t, w.builder(t, t.TempDir()), &template.Recipe{Images: []*template.Image{img}})
	return baked[0].Digest
}

// layout is a base whose folders differ from one seed to the next,
// where an app's files land.
func layout(r *rand.Rand) map[string]string {
	files := map[string]string{"base/keep": fmt.Sprint(r.IntN(5))}
	for _, p := range []string{"srv/app", "opt/app/x", "usr/lib/z"} {
		if r.IntN(2) == 0 {
			files["base/"+p+"/file"] = fmt.Sprint(r.IntN(3))
		}
	}
	return files
}

// A rebased image has the digest that a bake on the new parent gives, whatever
// folders that has where its files land.
func TestRebaseIsBake(t *testing.T) {
	const hcl = `project = "acme"
image "base" {
  tier = "base"
  copy {
    source = "base"
    target = "/"
  }
  config {
    env = { BASE = "%d" }
  }
}
image "app" {
  tier = "app"
  from = image.base
  copy {
    source = "app"
    target = "/srv/app"
    owner  = "%d:7"
  }
  copy {
    source = "app/one"
    target = "/opt/app/x/one"
  }
  config {
    entrypoint = ["/srv/app/one"]
    env        = { B = "2", BASE = "own" }
    ports      = [80]
  }
}
`
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 7))
			w := newRecordWorld(t)
			dir := t.TempDir()
			owner := r.IntN(3)
			write := func(env int) *template.Recipe {
				os.RemoveAll(filepath.Join(dir, "base"))
				files := layout(r)
				files["kiln.hcl"] = fmt.Sprintf(hcl, env, owner)
				files["app/one"], files["app/two/three"] = "1", "3"
				for name, content := range files {
					path := filepath.Join(dir, name)
					if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				recipe, err := template.Load(dir, template.Options{})
				if err != nil {
					t.Fatal(err)
				}
				return recipe
			}
			before := w.bake(t, w.builder(t, t.TempDir()), write(1))
			after := w.bake(t, w.builder(t, t.TempDir()), write(2))
			if got, want := w.rebased(t, before[1], after[0]), after[1].Digest; got != want || before[1].Digest == want {
				t.Errorf("rebased to %s, baked as %s (before: %s)", got, want, before[1].Digest)
			}
		})
	}
}

// A layer that is damaged in the store is made again.
func TestDamagedInStore(t *testing.T) {
	w := newRecordWorld(t)
	dir := t.TempDir()
	for name, content := range map[string]string{"kiln.hcl": `project = "acme"
image "one" {
  tier = "base"
  copy {
    source = "a"
    target = "/a"
  }
}
`, "a": strings.Repeat("content ", 100)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	recipe, err := template.Load(dir, template.Options{})
	if err != nil {
		t.Fatal(err)
	}
	first := w.bake(t, w.builder(t, t.TempDir()), recipe)[0]
	layer := first.Steps[0].Digest
	blob := filepath.Join(w.dir, "blobs", "sha256", layer.Encoded()[:2], layer.Encoded())
	info, err := os.Stat(blob)
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func() error{
		"other bytes": func() error { return os.WriteFile(blob, make([]byte, info.Size()), 0o644) },
		"gone":        func() error { return os.Remove(blob) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		b := w.builder(t, t.TempDir())
		img, err := b.Build(t.Context(), recipe.Images[0])
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if img.Steps[0].Cached { // found, and not looked into yet
			r, err := img.Steps[0].layer.Uncompressed()
			if err == nil {
				_, err = io.Copy(io.Discard, r)
			}
			if err == nil || !b.cache.lost() {
				t.Fatalf("%s: read without complaint: %v", name, err)
			}
			if img, err = b.Build(t.Context(), recipe.Images[0]); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if img.Steps[0].Cached || img.Digest != first.Digest {
			t.Errorf("%s: cached %v, %s instead of %s", name, img.Steps[0].Cached, img.Digest, first.Digest)
		}
	}
}

// A record holds no value of a secret, and no key that hashes one.
func TestRecordHoldsNoSecret(t *testing.T) {
	b := builder(t, BuilderOptions{})
	recipe := &template.Image{Name: "shop", FullName: "acme/shop", Platforms: []string{"linux/amd64"}}
	run := &template.Run{Command: []string{"true"}, Env: map[string]string{"TOKEN": "hunter2", "A": "b"}, Secret: []string{"TOKEN"}}
	k := key("run", "hunter2")
	rec, err := b.record(t.Context(), &state{recipe: recipe, result: &Image{}, steps: []StepResult{{Step: "run true", Kind: RunStep, key: k, run: run}}})
	if err != nil {
		t.Fatal(err)
	}
	text := string(rec.record.content)
	if strings.Contains(text, "hunter2") || strings.Contains(text, k) || !strings.Contains(text, "TOKEN") {
		t.Error(text)
	}
	if run.Env["TOKEN"] != "hunter2" {
		t.Error("the step lost its secret")
	}
	stored, err := ParseRecord(rec.record.content)
	if err != nil {
		t.Fatal(err)
	}
	_, err = (&StoredRecord{Record: stored, Name: "acme/shop"}).Remake(template.From{}, nil)
	if err == nil || !strings.Contains(err.Error(), "--var TOKEN=VALUE") {
		t.Errorf("without the secret: %v", err)
	}
	img, err := (&StoredRecord{Record: stored, Name: "acme/shop"}).Remake(template.From{}, map[string]string{"TOKEN": "x"})
	if err != nil || img.Steps[0].(*template.Run).Env["TOKEN"] != "x" {
		t.Errorf("with it: %v", err)
	}
}

func goodRecord(t testing.TB) []byte {
	data, err := json.Marshal(Record{
		Schema: RecordSchema, Components: []Component{}, Steps: []RecordStep{},
		Image: template.Image{Name: "shop", FullName: "acme/shop", Platforms: []string{"linux/amd64"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestParseRecord(t *testing.T) {
	good := string(goodRecord(t))
	if _, err := ParseRecord([]byte(good)); err != nil {
		t.Fatal(err)
	}
	swap := func(old, next string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("no %s in %s", old, good)
		}
		return strings.Replace(good, old, next, 1)
	}
	for name, c := range map[string]struct{ text, want string }{
		"no JSON":       {"x", "invalid character"},
		"other schema":  {swap(RecordSchema, "kiln.recipe/v9"), "cannot read it"},
		"unknown field": {swap(`"steps"`, `"more":1,"steps"`), "unknown field"},
		"text behind":   {good + "{}", "after top-level value"},
		"bad name":      {swap("acme/shop", "../shop"), "../shop"},
		"platforms":     {swap(`["linux/amd64"]`, `[]`), "one platform"},
		"kind":          {swap(`"steps":[]`, `"steps":[{"name":"x","kind":"magic"}]`), "unknown kind"},
		"key":           {swap(`"steps":[]`, `"steps":[{"name":"x","kind":"run","key":"../../x"}]`), "key"},
		"layer":         {swap(`"steps":[]`, `"steps":[{"name":"x","kind":"run","layer":{}}]`), "layer"},
		"parent":        {swap(`"steps":[]`, `"steps":[],"parent":{"name":"a","digest":"sha256:1"}`), "parent"},
	} {
		if _, err := ParseRecord([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is read from a store is strangers' bytes.
func FuzzParseRecord(f *testing.F) {
	f.Add(goodRecord(f))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseRecord(data)
		if err != nil {
			return
		}
		if registry.CheckName(r.Image.FullName) != nil || len(r.Image.Platforms) != 1 {
			t.Errorf("accepted %+v", r.Image)
		}
		stored := &StoredRecord{Record: r, Name: r.Image.FullName}
		_, _ = stored.Remake(template.From{}, nil)
	})
}

func FuzzParseDetail(f *testing.F) {
	good, err := detail{Schema: detailSchema, Items: []detailItem{{Target: "/a", Kind: '5'}}}.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good.content)
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := parseDetail(data)
		if err != nil {
			return
		}
		for _, it := range d.Items {
			if !filepath.IsAbs(it.Target) || filepath.Clean(it.Target) != it.Target {
				t.Errorf("accepted %q", it.Target)
			}
		}
	})
}
