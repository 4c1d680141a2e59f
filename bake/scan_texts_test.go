package bake

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// countingScanner counts the texts that it is asked about, by name.
type countingScanner struct {
	markScanner
	mu    *sync.Mutex
	asked map[string]int
	rules string
}

func newCountingScanner(rules string) countingScanner {
	return countingScanner{mu: &sync.Mutex{}, asked: map[string]int{}, rules: rules}
}

func (s countingScanner) Rules() string { return s.rules }

func (s countingScanner) Find(name string, text []byte) ([]Secret, error) {
	s.mu.Lock()
	s.asked[name]++
	s.mu.Unlock()
	return s.markScanner.Find(name, text)
}

// names of the texts that it was asked about since the last call.
func (s countingScanner) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for name := range s.asked {
		list = append(list, name)
	}
	clear(s.asked)
	slices.Sort(list)
	return list
}

// A text in which nothing was found is searched again only at another path,
// with other content or by other rules; what a scan says is the same, also of
// the packages that known texts describe.
func TestPlainTexts(t *testing.T) {
	const module = `{"name": "left", "version": "1.0.0"}`
	files := []memberFile{
		{"a/text", "words", false},
		{"a/found", "words\nSECRET\n", false},
		{"a/node_modules/left/package.json", module, false},
		{"a/program", "\x7fELF\x00", false},
		{"a/man.gz", packedGzip(t, []byte("packed words")), false},
		{"var/lib/dpkg/info/a.md5sums", "x  a/text\n", false},
	}
	every := []string{"/a/found", "/a/man.gz", "/a/node_modules/left/package.json", "/a/program", "/a/text", "/var/lib/dpkg/info/a.md5sums"}
	left := []string{"/a/found", "/a/program"} // what has secrets, and what is only searched by its name
	cache := builder(t, BuilderOptions{}).cache
	for _, c := range []struct {
		name, rules string
		change      func([]memberFile)
		asked       []string
	}{
		{"nothing known", "ab", nil, every},
		{"all known", "ab", nil, left},
		{"another path", "ab", func(f []memberFile) { f[0].name = "b/text" }, append(slices.Clone(left), "/b/text")},
		{"other content", "ab", func(f []memberFile) { f[0].content = "SECRET" }, []string{"/a/found", "/a/program", "/a/text"}},
		{"that has a secret", "ab", func(f []memberFile) { f[0].content = "SECRET" }, []string{"/a/found", "/a/program", "/a/text"}},
		{"other rules", "cd", nil, every},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := slices.Clone(files)
			if c.change != nil {
				c.change(now)
			}
			archive := archiveOf(t, now...)
			scanner := newCountingScanner(c.rules)
			b := builder(t, BuilderOptions{Cache: cache, Scanner: scanner})
			got, err := scanTar(t.Context(), b.plainTexts(), bytes.NewReader(archive), testExpanded)
			if err != nil {
				t.Fatal(err)
			}
			if err := b.plainTexts().keep(); err != nil {
				t.Fatal(err)
			}
			if asked := scanner.names(); !slices.Equal(asked, c.asked) {
				t.Errorf("asked about %q, want %q", asked, c.asked)
			}
			want, err := scanTar(t.Context(), markScanner{}, bytes.NewReader(archive), testExpanded)
			if err != nil {
				t.Fatal(err)
			}
			one, _ := json.Marshal(got)
			if two, _ := json.Marshal(want); !bytes.Equal(one, two) || len(got.Packages) != 1 {
				t.Errorf("found\n%s\nwithout memory\n%s", one, two)
			}
		})
	}
}

// An entry that was damaged, cut, or is another one's is as good as none.
func TestPlainTextsDamaged(t *testing.T) {
	cache := builder(t, BuilderOptions{}).cache
	remember := func(rules, text string) *plainTexts {
		p := builder(t, BuilderOptions{Cache: cache, Scanner: newCountingScanner(rules)}).plainTexts()
		if _, err := p.Find("/a", []byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := p.keep(); err != nil {
			t.Fatal(err)
		}
		return p
	}
	other := remember("cd", "plain by other rules")
	p := remember("ab", "plain")
	file := cache.path("scans", p.entry)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	others, err := os.ReadFile(cache.path("scans", other.entry))
	if err != nil {
		t.Fatal(err)
	}
	if len(p.load()) != 1 {
		t.Fatal("nothing was kept")
	}
	forged := sumText("/a", []byte("SECRET"))
	for name, bad := range map[string][]byte{
		"empty": {}, "cut": whole[1:], "another's": others, "bit": append([]byte{whole[0] ^ 1}, whole[1:]...),
		"added": append(forged[:], whole...), "half a hash": seal(make([]byte, 33), []string{"scans", p.entry}),
	} {
		if err := os.WriteFile(file, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := p.load(); len(got) != 0 {
			t.Errorf("%s: read %d texts", name, len(got))
		}
	}
}

// What is remembered has a bound, and keeps what the last bake saw. Bakes at
// one time add up.
func TestPlainTextsBounded(t *testing.T) {
	cache := builder(t, BuilderOptions{}).cache
	var bakes []*plainTexts
	for i := range 3 {
		p := builder(t, BuilderOptions{Cache: cache, Scanner: newCountingScanner("ab")}).plainTexts()
		p.most = 5
		for j := range 2 {
			if _, err := p.Find("/a", []byte(strings.Repeat("x", 2*i+j))); err != nil {
				t.Fatal(err)
			}
		}
		bakes = append(bakes, p)
	}
	var group sync.WaitGroup
	for _, p := range bakes[:2] {
		group.Go(func() {
			for range 50 {
				if err := p.keepAgain(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	for _, p := range bakes[:2] {
		if err := p.keepAgain(); err != nil {
			t.Fatal(err)
		}
	}
	if err := bakes[2].keep(); err != nil {
		t.Fatal(err)
	}
	list := bakes[2].load()
	if len(list) != 5 {
		t.Errorf("%d are remembered", len(list))
	}
	for j := range 2 {
		if !slices.Contains(list, sumText("/a", []byte(strings.Repeat("x", 4+j)))) {
			t.Errorf("text %s of the last bake is forgotten", strconv.Itoa(j))
		}
	}
}

// keepAgain writes what is known though nothing is new.
func (p *plainTexts) keepAgain() error {
	p.mu.Lock()
	p.fresh = true
	p.mu.Unlock()
	return p.keep()
}
