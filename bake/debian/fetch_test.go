package debian

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// debOf is a package whose content is text.
func debOf(name, text string) Package {
	return Package{
		Name: name, Version: "1", Arch: "amd64", Suite: "s", Path: "pool/" + name + ".deb",
		Size: int64(len(text)), SHA256: sum([]byte(text)),
	}
}

func TestFetch(t *testing.T) {
	a := newTestArchive(t)
	a.write("pool/a.deb", []byte("content of a"))
	a.write("pool/b.deb", []byte("content of b"))
	pkgs := []Package{debOf("a", "content of a"), debOf("b", "content of b")}
	cache := Cache{t.TempDir()}
	got, err := Fetch(t.Context(), pkgs, []Source{{Mirror: a.dir, Suite: "s"}}, cache, 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pkgs {
		data, err := os.ReadFile(got[p.SHA256])
		if err != nil || string(data) != "content of "+p.Name {
			t.Errorf("%s: %q, %v", p.Name, data, err)
		}
	}
	cached := 0
	offline := Fetcher{Cache: cache, Done: func(_ Package, c bool) {
		if c {
			cached++
		}
	}, Workers: 1}
	if again, err := offline.Fetch(t.Context(), pkgs); err != nil || len(again) != 2 || cached != 2 {
		t.Errorf("offline: %v, %v, %d from the cache", again, err, cached)
	}
}

// TestFetchRefuses holds FAULTS 25.
func TestFetchRefuses(t *testing.T) {
	for name, served := range map[string]string{
		"another file of the same size": "evil content",
		"truncated":                     "content",
		"too long":                      "content of a and more",
		"empty":                         "",
	} {
		t.Run(name, func(t *testing.T) {
			a := newTestArchive(t)
			a.write("pool/a.deb", []byte(served))
			cache := Cache{t.TempDir()}
			p := debOf("a", "content of a")
			_, err := Fetch(t.Context(), []Package{p}, []Source{{Mirror: a.dir, Suite: "s"}}, cache, 1)
			if !errors.Is(err, errMismatch) || !strings.Contains(err.Error(), "package a 1") {
				t.Errorf("error is %v", err)
			}
			err = fs.WalkDir(os.DirFS(cache.Dir), ".", func(path string, d fs.DirEntry, err error) error {
				if err == nil && !d.IsDir() {
					t.Errorf("%s is left in the cache", path)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	bad := debOf("a", "x")
	bad.Path = "../../etc/passwd"
	if _, err := Fetch(t.Context(), []Package{bad}, nil, Cache{t.TempDir()}, 1); err == nil {
		t.Error("a path out of the mirror is no error")
	}
	bad = debOf("a", "x")
	bad.SHA256 = "../" + bad.SHA256[3:]
	if _, err := Fetch(t.Context(), []Package{bad}, nil, Cache{t.TempDir()}, 1); err == nil {
		t.Error("a hash that is a path is no error")
	}
}

func TestFetchSecondMirror(t *testing.T) {
	bad, good := newTestArchive(t), newTestArchive(t)
	bad.write("pool/a.deb", []byte("evil content"))
	good.write("pool/a.deb", []byte("content of a"))
	sources := []Source{{Mirror: bad.dir, Suite: "s"}, {Mirror: good.dir, Suite: "s-updates"}}
	if _, err := Fetch(t.Context(), []Package{debOf("a", "content of a")}, sources, Cache{t.TempDir()}, 1); err != nil {
		t.Error(err)
	}
}

func TestFetchGone(t *testing.T) {
	a := newTestArchive(t)
	a.write("pool/b.deb", []byte("content of b"))
	cache := Cache{t.TempDir()}
	there := debOf("b", "content of b")
	_, err := Fetch(t.Context(), []Package{debOf("a", "content of a"), there}, []Source{{Mirror: a.dir, Suite: "s"}}, cache, 1)
	var gone *GoneError
	if !errors.As(err, &gone) || len(gone.Packages) != 1 || gone.Packages[0].Name != "a" || !strings.Contains(err.Error(), "kiln lock --update") {
		t.Errorf("error is %v", err)
	}
	if _, ok := cache.Find(there.SHA256, there.Size); !ok {
		t.Error("the other package was not fetched")
	}
}

func TestFetchDamagedCache(t *testing.T) {
	a := newTestArchive(t)
	a.write("pool/a.deb", []byte("content of a"))
	cache := Cache{t.TempDir()}
	p := debOf("a", "content of a")
	sources := []Source{{Mirror: a.dir, Suite: "s"}}
	for range 2 {
		if _, err := Fetch(t.Context(), []Package{p}, sources, cache, 1); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(cache.Path(p.SHA256), []byte("damaged data"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Fetch(t.Context(), []Package{p}, nil, cache, 1); err == nil {
		t.Error("a damaged file is taken from the cache")
	}
}

// TestFetchUnreachable holds that a mirror that does not answer is not taken
// for one that lacks the file, and that a cancelled context ends the attempts.
func TestFetchUnreachable(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	sources := []Source{{Mirror: server.URL, Suite: "s"}}
	_, err := Fetch(ctx, []Package{debOf("a", "a")}, sources, Cache{t.TempDir()}, 1)
	var gone *GoneError
	if err == nil || errors.As(err, &gone) {
		t.Errorf("error is %v", err)
	}
	cancel()
	if _, err := Fetch(ctx, []Package{debOf("a", "a")}, sources, Cache{t.TempDir()}, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want cancelled", err)
	}
}
