package debian

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// real is the distribution's archive, opened once for all tests, with a cache
// that outlives them.
var real = sync.OnceValues(func() (*Archive, error) {
	sources, err := HostSources("bookworm")
	if err != nil {
		return nil, err
	}
	return Open(context.Background(), Options{Sources: sources, Cache: realCache()})
})

func realCache() Cache { return Cache{filepath.Join(os.TempDir(), "kiln-debian-test")} }

// realTime is the timestamp of the images that tests make.
func realTime(t testing.TB) time.Time {
	t.Helper()
	archive, err := real()
	if err != nil {
		t.Fatal(err)
	}
	return archive.Date()
}

// realDebs resolves and fetches packages of the real archive.
func realDebs(t testing.TB, req Request) []Deb {
	t.Helper()
	ctx := context.Background()
	archive, err := real()
	if err != nil {
		t.Fatal(err)
	}
	packages, err := archive.Resolve(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	sources, err := HostSources("bookworm")
	if err != nil {
		t.Fatal(err)
	}
	files, err := Fetch(ctx, packages, sources, realCache(), 8)
	if err != nil {
		t.Fatal(err)
	}
	var debs []Deb
	for _, p := range packages {
		debs = append(debs, Deb{p, files[p.SHA256]})
	}
	return debs
}

// installIn installs packages of the real archive.
func installIn(t testing.TB, target Target, debs []Deb) *Result {
	t.Helper()
	in := installation(t, target, debs)
	result, err := in.Do(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func installation(t testing.TB, target Target, debs []Deb) *Install {
	return &Install{
		Target: target, Packages: debs, Arch: HostArch(),
		Timestamp: realTime(t), Unpacked: realCache(),
	}
}

// trees are what tests share: made when first asked for, not to be changed.
type tree struct {
	once   sync.Once
	req    Request
	upper  string
	result *Result
}

var (
	minbase = &tree{req: Request{Variant: "minbase"}}
	// services has packages with services, alternatives, generated
	// identities and a Java keystore.
	services = &tree{req: Request{
		Variant:  "minbase",
		Packages: []string{"nginx-light", "openjdk-17-jre-headless", "openssh-server"},
	}}
	treesDir = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "kiln-debian-trees-*") })
)

func (x *tree) path(t testing.TB) string {
	t.Helper()
	x.once.Do(func() {
		dir, err := treesDir()
		if err != nil {
			t.Fatal(err)
		}
		if dir, err = os.MkdirTemp(dir, ""); err != nil {
			t.Fatal(err)
		}
		target := targetIn(t, dir)
		x.result = installIn(t, target, realDebs(t, x.req))
		x.upper = target.Upper
	})
	if x.upper == "" {
		t.Fatal("the tree could not be installed: see the first test that needed it")
	}
	return x.upper
}

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := treesDir(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}
