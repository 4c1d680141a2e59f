package bake

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kiln/bake/template"
)

// stage is a Publisher that only notes what it is given.
type stage struct {
	current func(ctx context.Context, name string) error // may be nil

	mu        sync.Mutex
	published []string
}

func (s *stage) Current(ctx context.Context, img *Image) (string, error) {
	if s.current == nil {
		return "", nil
	}
	return "", s.current(ctx, img.Recipe.Name)
}

func (s *stage) Publish(_ context.Context, img *Image) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.published = append(s.published, img.Recipe.Name)
	return "20260101T000000Z-0123456789ab", nil
}

func (s *stage) Lacking(context.Context, *Image) []Input { return nil }

// side by side: two bases, an app on the first, an app on that, and an app on the
// second.
const family = `
project = "acme"
image "one" {
  tier = "base"
  copy {
    source = "one"
    target = "/one"
  }
}
image "onetop" {
  tier = "app"
  from = image.one
  copy {
    source = "shared"
    target = "/shared"
  }
}
image "onemost" {
  tier = "app"
  from = image.onetop
  copy {
    source = "shared"
    target = "/again"
  }
}
image "two" {
  tier = "base"
  copy {
    source = "two"
    target = "/two"
  }
}
image "twotop" {
  tier = "app"
  from = image.two
  copy {
    source = "shared"
    target = "/shared"
  }
}
`

// baking is a template in a folder, a builder for it, and what it told.
type baking struct {
	*Builder
	dir    string
	recipe *template.Recipe
	mu     sync.Mutex
	events []Event
}

func newBaking(t *testing.T, text string, jobs int) *baking {
	t.Helper()
	k := &baking{dir: t.TempDir()}
	for _, name := range []string{"one", "two", "shared"} {
		k.write(t, name, name)
	}
	k.write(t, template.FileName, text)
	recipe, err := template.Load(k.dir, template.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cache, err := OpenCache(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	k.recipe = recipe
	k.Builder, err = NewBuilder(BuilderOptions{Cache: cache, Jobs: jobs, Observe: func(e Event) {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.events = append(k.events, e)
	}})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (k *baking) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(k.dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (k *baking) bake(ctx context.Context, s *stage) ([]string, error) {
	done, err := Bake(ctx, Request{Recipe: k.recipe, Builder: k.Builder, Publisher: s, Warn: func(string) {}})
	var names []string
	for _, b := range done {
		names = append(names, b.Recipe.Name)
	}
	return names, err
}

func TestBakesSideBySide(t *testing.T) {
	k := newBaking(t, family, 2)
	var met sync.WaitGroup
	met.Add(2)
	both := make(chan struct{})
	go func() { met.Wait(); close(both) }()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	s := &stage{current: func(ctx context.Context, name string) error {
		if name == "one" || name == "two" {
			met.Done()
			select {
			case <-both:
			case <-ctx.Done():
				return errors.New("the bases are not published side by side")
			}
		}
		return nil
	}}
	got, err := k.bake(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"one", "onetop", "onemost", "two", "twotop"}; !slices.Equal(got, want) {
		t.Errorf("baked %v, want the recipe's order %v", got, want)
	}
	for _, pair := range [][2]string{{"one", "onetop"}, {"onetop", "onemost"}, {"two", "twotop"}} {
		if slices.Index(s.published, pair[0]) > slices.Index(s.published, pair[1]) {
			t.Errorf("published %v: %s came before %s", s.published, pair[1], pair[0])
		}
	}
}

// The budget holds for everything that a bake does.
func TestBakeWithinBudget(t *testing.T) {
	k := newBaking(t, family, 1)
	var mu sync.Mutex
	now, most := 0, 0
	s := &stage{current: func(context.Context, string) error {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		time.Sleep(5 * time.Millisecond)
		mu.Lock()
		now--
		mu.Unlock()
		return nil
	}}
	if _, err := k.bake(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if most != 1 {
		t.Errorf("%d images were published at once with one job", most)
	}
}

func TestBakeGoesOnBesideAFailure(t *testing.T) {
	broken := errors.New("no room")
	for _, c := range []struct {
		fail, published []string
		text            []string
	}{
		{[]string{"one"}, []string{"two", "twotop"}, []string{`image "one": no room`}},
		{[]string{"onetop"}, []string{"one", "two", "twotop"}, []string{`image "onetop": no room`}},
		{[]string{"two", "onemost"}, []string{"one", "onetop"}, []string{`image "onemost": no room`, `image "two": no room`}},
	} {
		k := newBaking(t, family, 3)
		s := &stage{current: func(_ context.Context, name string) error {
			if slices.Contains(c.fail, name) {
				return broken
			}
			return nil
		}}
		got, err := k.bake(t.Context(), s)
		if !slices.Equal(got, c.published) || !errors.Is(err, broken) || err.Error() != strings.Join(c.text, "\n") {
			t.Errorf("%v fail: baked %v, %v", c.fail, got, err)
		}
		skipped := 0
		for _, e := range k.events {
			if errors.As(e.Err, new(*SkippedError)) {
				skipped++
			}
		}
		if skipped != 5-len(c.fail)-len(c.published) {
			t.Errorf("%v fail: %d images were told to be skipped", c.fail, skipped)
		}
	}
}

func TestBakeEndsWhenItIsCancelled(t *testing.T) {
	k := newBaking(t, family, 2)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := &stage{current: func(ctx context.Context, name string) error {
		if name == "one" {
			cancel()
		}
		<-ctx.Done()
		return ctx.Err()
	}}
	got, err := k.bake(ctx, s)
	if len(got) != 0 || !errors.Is(err, context.Canceled) || errors.As(err, new(Errors)) {
		t.Errorf("baked %v, %v", got, err)
	}
}

// After a failure the next bake finds what was finished.
func TestBakeGoesOnAfterAFailure(t *testing.T) {
	k := newBaking(t, family, 2)
	fail := &stage{current: func(_ context.Context, name string) error {
		if name == "onetop" {
			return errors.New("no room")
		}
		return nil
	}}
	if _, err := k.bake(t.Context(), fail); err == nil {
		t.Fatal("no error")
	}
	k.events = nil
	if _, err := k.bake(t.Context(), &stage{}); err != nil {
		t.Fatal(err)
	}
	var made []string
	for _, e := range k.events {
		if e.Type == StepFinished && !e.Cached {
			made = append(made, e.Image+" "+e.Step)
		}
	}
	if len(made) > 1 { // onemost may or may not have been built on the unpublished onetop
		t.Errorf("made again: %v", made)
	}
}

// Two steps with one key are made once, whichever images they are of.
func TestBakeMakesTheSameOnce(t *testing.T) {
	k := newBaking(t, strings.ReplaceAll(family, `source = "two"`, `source = "one"`), 4)
	k.recipe.Images[3].Steps[0].(*template.Copy).Target = "/one"
	if _, err := k.bake(t.Context(), &stage{}); err != nil {
		t.Fatal(err)
	}
	made := map[string]int{}
	for _, e := range k.events {
		if e.Type == StepFinished && !e.Cached {
			made[e.Digest.String()]++
		}
	}
	for d, n := range made {
		if n != 1 {
			t.Errorf("layer %s was made %d times", d, n)
		}
	}
}

func TestMemoryIsPromisedOnce(t *testing.T) {
	dir := t.TempDir()
	free := freeMemory()
	if free <= 0 {
		t.Fatalf("no shared memory: %d", free)
	}
	first, done, err := inMemory(dir, "packages", free/4)
	if err != nil {
		t.Fatal(err)
	}
	if got := promised(dir); got != free/4 {
		t.Errorf("promised %d, want %d", got, free/4)
	}
	if _, _, err := inMemory(dir, "packages", free*2/5); err == nil {
		t.Error("more memory was given than there is")
	}
	done()
	if _, err := os.Stat(first); !os.IsNotExist(err) {
		t.Error(err)
	}
	second, done, err := inMemory(dir, "packages", free*2/5)
	if err != nil {
		t.Errorf("memory that was given back is not to be had: %v", err)
	} else {
		done()
	}
	_ = second
}

func TestCgroupMemory(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("self", "0::/ci/job\n")
	write("ci/memory.max", "1000\n")
	write("ci/memory.current", "400\n")
	write("ci/memory.stat", "anon 5\ninactive_file 100\n")
	write("ci/job/memory.max", "max\n")
	write("ci/job/memory.current", "300\n")
	if got := cgroupMemory(filepath.Join(root, "self"), root); got != 700 {
		t.Errorf("%d bytes are left, want 700", got)
	}
	write("ci/job/memory.max", "350\n")
	if got := cgroupMemory(filepath.Join(root, "self"), root); got != 50 {
		t.Errorf("%d bytes are left, want 50", got)
	}
}
