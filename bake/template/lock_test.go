package template

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const (
	sum     = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	hash256 = "sha256:" + sum
)

var release = time.Date(2026, 5, 16, 9, 30, 0, 0, time.UTC)

func sampleLock() *Lock {
	return &Lock{Images: map[string]LockedImage{
		"runtime": {Inputs: hash256, Timestamp: release, Suite: "bookworm", Arch: "amd64", FromDigest: hash256},
		"base": {
			Inputs: hash256, Timestamp: release, Suite: "bookworm", Variant: "minbase", Arch: "amd64",
			Packages: []LockedPackage{
				{"tzdata", "2025b-0+deb12u1", "all", "bookworm-updates", "pool/main/t/tzdata/tzdata_2025b-0+deb12u1_all.deb", 301000, sum},
				{"adduser", "3.134", "all", "bookworm", "pool/main/a/adduser/adduser_3.134_all.deb", 183000, sum},
			},
		},
	}}
}

const sampleLockText = `{
  "schema": "kiln.lock/v1",
  "images": {
    "base": {
      "inputs": "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
      "timestamp": "2026-05-16T09:30:00Z",
      "suite": "bookworm",
      "variant": "minbase",
      "arch": "amd64",
      "packages": [
        {"name":"adduser","version":"3.134","arch":"all","suite":"bookworm","path":"pool/main/a/adduser/adduser_3.134_all.deb","size":183000,"sha256":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},
        {"name":"tzdata","version":"2025b-0+deb12u1","arch":"all","suite":"bookworm-updates","path":"pool/main/t/tzdata/tzdata_2025b-0+deb12u1_all.deb","size":301000,"sha256":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}
      ]
    },
    "runtime": {
      "inputs": "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
      "timestamp": "2026-05-16T09:30:00Z",
      "suite": "bookworm",
      "arch": "amd64",
      "from": "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    }
  }
}
`

func TestLockText(t *testing.T) {
	got, err := sampleLock().Encode()
	if err != nil || string(got) != sampleLockText {
		t.Errorf("got %v\n%s", err, got)
	}
	empty, err := (&Lock{}).Encode()
	if err != nil || string(empty) != "{\n  \"schema\": \"kiln.lock/v1\",\n  \"images\": {}\n}\n" {
		t.Errorf("an empty lock is %q, %v", empty, err)
	}
}

func TestLockFile(t *testing.T) {
	dir := t.TempDir()
	if l, err := ReadLock(dir); l != nil || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a lock: %v, %v", l, err)
	}
	must(t, sampleLock().Write(dir))
	must(t, sampleLock().Write(dir))
	l, err := ReadLock(dir)
	must(t, err)
	if again, err := l.Encode(); err != nil || string(again) != sampleLockText {
		t.Errorf("read and written again: %v\n%s", err, again)
	}
	entries, err := os.ReadDir(dir)
	must(t, err)
	if len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
	info, err := os.Stat(filepath.Join(dir, LockFileName))
	must(t, err)
	if info.Mode() != 0o644 {
		t.Errorf("mode is %v", info.Mode())
	}
}

func TestLockRefuses(t *testing.T) {
	good := sampleLockText
	if _, err := ParseLock([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ from, to, want string }{
		"schema":        {"kiln.lock/v1", "kiln.lock/v2", `schema "kiln.lock/v2" is not "kiln.lock/v1"`},
		"no schema":     {`"schema": "kiln.lock/v1",`, ``, `schema "" is not`},
		"syntax":        {`"images": {`, `"images": [`, `invalid character`},
		"unknown field": {`"suite": "bookworm",`, `"sweet": "bookworm",`, `unknown field "sweet"`},
		"image name":    {`"base": {`, `"../base": {`, `image "../base": no image name`},
		"inputs":        {`"inputs": "sha256:`, `"inputs": "sha512:`, `is no sha256 hash`},
		"timestamp":     {`2026-05-16T09:30:00Z`, `2026-05-16T09:30:00+02:00`, `is no UTC time`},
		"no timestamp":  {`"timestamp": "2026-05-16T09:30:00Z",`, ``, `packages without a timestamp`},
		"suite":         {`"suite": "bookworm",`, `"suite": "../bookworm",`, `"../bookworm" is no suite`},
		"variant":       {`"minbase"`, `"maxbase"`, `there is no variant "maxbase"`},
		"arch":          {`"arch": "amd64"`, `"arch": "amd64/x"`, `is no architecture`},
		"from":          {`"from": "sha256:0`, `"from": "sha256:../0`, `is no digest`},
		"package name":  {`"name":"adduser"`, `"name":"Add User"`, `package 1 ("Add User"): no package name`},
		"version":       {`"version":"3.134"`, `"version":"3.134/.."`, `is no version`},
		"package arch":  {`"arch":"all"`, `"arch":""`, `is no architecture`},
		"package suite": {`"suite":"bookworm"`, `"suite":""`, `"" is no suite`},
		"size":          {`"size":183000`, `"size":-1`, `size -1`},
		"fraction":      {`"size":183000`, `"size":1.5`, `cannot unmarshal`},
		"hash":          {`"sha256":"01`, `"sha256":"0A`, `is no sha256 hash`},
		"absolute path": {`"pool/main/a`, `"/pool/main/a`, `is not relative and clean`},
		"climbing path": {`"pool/main/a`, `"../pool/main/a`, `is not relative and clean`},
		"hidden climb":  {`"pool/main/a`, `"pool/../../main/a`, `is not relative and clean`},
		"address":       {`"pool/main/a`, `"https://deb.example.com/main/a`, `is not relative and clean`},
		"scheme":        {`"pool/main/a`, `"https:/main/a`, `begins with a host`},
		"host":          {`"pool/main/a`, `"deb.example.com/main/a`, `begins with a host`},
		"backslash":     {`"pool/main/a`, `"pool\\main/a`, `no archive uses`},
		"space":         {`"pool/main/a`, `"pool/ma in/a`, `no archive uses`},
		"query":         {`_all.deb`, `_all.deb?x`, `no archive uses`},
		"no deb":        {`3.134_all.deb`, `3.134_all.exe`, `is no .deb`},
		"more text":     {"  }\n}\n", "  }\n}\n{}", `invalid character`},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(good, c.from) {
				t.Fatalf("%q is not in the sample", c.from)
			}
			_, err := ParseLock([]byte(strings.Replace(good, c.from, c.to, 1)))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "read kiln.lock: ") {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestLockThatCannotBeReadIsNotWritten(t *testing.T) {
	dir := t.TempDir()
	must(t, sampleLock().Write(dir))
	bad := sampleLock()
	bad.Images["base"].Packages[0].Path = "https://deb.example.com/x.deb"
	if err := bad.Write(dir); err == nil {
		t.Error("was written")
	}
	if _, err := ReadLock(dir); err != nil {
		t.Errorf("the old one is lost: %v", err)
	}
}

// Every lock that can be written reads back as the same lock, and its text
// does not depend on the order of anything.
func TestLockRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := &Lock{Images: map[string]LockedImage{}}
		for _, name := range rapid.SliceOfDistinct(rapid.StringMatching(`[a-z0-9]{1,8}(-[a-z0-9]{1,4})?`), rapid.ID).Draw(t, "names") {
			want.Images[name] = drawImage(t)
		}
		text, err := want.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseLock(text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got  %+v\nwant %+v", got, want)
		}
		for _, im := range got.Images {
			slices.Reverse(im.Packages)
		}
		if again, err := got.Encode(); err != nil || !bytes.Equal(again, text) {
			t.Fatalf("not deterministic: %v\n%s\n%s", err, again, text)
		}
	})
}

func drawImage(t *rapid.T) LockedImage {
	digest := rapid.StringMatching(`[0-9a-f]{64}`)
	im := LockedImage{
		Inputs:    "sha256:" + digest.Draw(t, "inputs"),
		Timestamp: time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "time"), 0).UTC(),
		Suite:     rapid.SampledFrom([]string{"", "bookworm", "stable/updates"}).Draw(t, "suite"),
		Variant:   rapid.SampledFrom([]string{"", "minbase", "distroless"}).Draw(t, "variant"),
		Arch:      rapid.SampledFrom([]string{"", "amd64"}).Draw(t, "arch"),
	}
	if rapid.Bool().Draw(t, "outside") {
		im.FromDigest = "sha256:" + digest.Draw(t, "from")
	}
	for _, name := range rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z0-9][a-z0-9+.-]{1,6}`), 0, 5, rapid.ID).Draw(t, "packages") {
		im.Packages = append(im.Packages, LockedPackage{
			Name: name, Version: rapid.StringMatching(`([0-9]:)?[0-9][0-9A-Za-z.+~-]{0,6}`).Draw(t, "version"),
			Arch: "amd64", Suite: "bookworm", Path: rapid.StringMatching(`pool/[a-z]{1,3}/[a-z0-9+_~%]{1,6}\.deb`).Draw(t, "path"),
			Size: rapid.Int64Range(1, 1<<40).Draw(t, "size"), SHA256: digest.Draw(t, "hash"),
		})
	}
	sortPackages(im.Packages)
	return im
}

func TestUpdateKeepsTheTimeOfAnUnchangedList(t *testing.T) {
	old := sampleLock().Images["base"]
	later := release.Add(72*time.Hour + 5*time.Millisecond).In(time.FixedZone("", 3600))
	for name, c := range map[string]struct {
		change func(*LockedImage)
		old    *LockedImage
		kept   bool
	}{
		"same":        {func(*LockedImage) {}, &old, true},
		"other order": {func(im *LockedImage) { slices.Reverse(im.Packages) }, &old, true},
		"moved":       {func(im *LockedImage) { im.Packages[0].Path, im.Packages[0].Suite = "pool/x.deb", "bookworm-security" }, &old, true},
		"new inputs":  {func(im *LockedImage) { im.Inputs = "sha256:" + strings.Repeat("f", 64) }, &old, true},
		"new version": {func(im *LockedImage) { im.Packages[0].Version = "9" }, &old, false},
		"new bytes":   {func(im *LockedImage) { im.Packages[0].SHA256 = strings.Repeat("f", 64) }, &old, false},
		"one less":    {func(im *LockedImage) { im.Packages = im.Packages[1:] }, &old, false},
		"other arch":  {func(im *LockedImage) { im.Arch = "arm64" }, &old, false},
		"first":       {func(*LockedImage) {}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			next := sampleLock().Images["base"]
			next.Timestamp = time.Time{}
			c.change(&next)
			want := later.UTC().Truncate(time.Second)
			if c.kept {
				want = release
			}
			if got := Update(c.old, next, later); got.Timestamp != want || got.Inputs != next.Inputs {
				t.Errorf("got %v, want %v", got.Timestamp, want)
			}
		})
	}
}

const lockable = `
project = "acme"
image "base" {
  debian {
    suite    = "bookworm"
    packages = ["tzdata", "ca-certificates"]
    BASE
  }
}
image "runtime" {
  from     = image.base
  packages = ["nodejs"]
  RUNTIME
}
image "shop" {
  from = image.runtime
  SHOP
}
image "tool" {
  from = channel("acme/other", "prod")
}
`

func lockedRecipe(t *testing.T, base, runtime, shop string) *Recipe {
	return load(t, strings.NewReplacer("BASE", base, "RUNTIME", runtime, "SHOP", shop).Replace(lockable), Options{})
}

func cover(r *Recipe) *Lock {
	l := &Lock{Images: map[string]LockedImage{}}
	for i, im := range r.Images {
		if NeedsLock(im) {
			l.Images[im.Name] = LockedImage{Inputs: Inputs(im), Timestamp: release.Add(time.Duration(i) * time.Hour)}
		}
	}
	return l
}

func TestCovers(t *testing.T) {
	l := cover(lockedRecipe(t, "", "", ""))
	for name, c := range map[string]struct {
		base, runtime, shop string
		stale               []string
	}{
		"same":            {},
		"an app changes":  {shop: "copy {\nsource = \"app\"\ntarget = \"/srv\"\n}"},
		"mirror":          {base: `mirror = "http://deb.example.com/debian"`},
		"sources list":    {base: `sources_list = "deb http://deb.example.com/debian bookworm main"`},
		"components":      {base: `components = ["main", "contrib"]`, stale: []string{"base", "runtime"}},
		"another archive": {base: "source {\nmirror = \"http://apt.example.com\"\nsuite = \"x\"\nkeyring = \"/k\"\n}", stale: []string{"base", "runtime"}},
		"middle":          {runtime: "debian {\ncomponents = [\"main\"]\n}", stale: []string{"runtime"}},
		"app installs":    {shop: `packages = ["curl"]`, stale: []string{"shop"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := lockedRecipe(t, c.base, c.runtime, c.shop)
			err := l.Covers(r)
			var stale *StaleError
			if errors.As(err, &stale) != (len(c.stale) > 0) || (stale != nil && !slices.Equal(stale.Images, c.stale)) {
				t.Errorf("got %v, want %q", err, c.stale)
			}
			if err != nil && !strings.Contains(err.Error(), "kiln lock") {
				t.Errorf("%v does not say what to do", err)
			}
		})
	}
	var none *Lock
	if err := none.Covers(lockedRecipe(t, "", "", "")); err == nil ||
		err.Error() != `kiln.lock does not cover image "base", "runtime", "tool": its packages, suite or parent are not those that were locked (run kiln lock)` {
		t.Errorf("no lock: %v", err)
	}
}

func TestInputsIgnoreOrderAndRepeats(t *testing.T) {
	inputs := func(list string) string {
		r := load(t, "project = \"acme\"\nimage \"a\" {\n debian {\n suite = \"bookworm\"\n packages = "+list+"\n }\n}\n", Options{})
		return Inputs(r.Images[0])
	}
	if inputs(`["a1", "b1"]`) != inputs(`["b1", "a1", "b1"]`) {
		t.Error("order counts")
	}
	if inputs(`["a1", "b1"]`) == inputs(`["a1"]`) {
		t.Error("packages do not count")
	}
}

func TestTimestamp(t *testing.T) {
	r := lockedRecipe(t, "", "", "")
	l := cover(r)
	for i, want := range map[int]time.Time{0: release, 1: release.Add(time.Hour), 2: release.Add(time.Hour)} {
		if got, ok := l.Timestamp(r.Images[i]); !ok || !got.Equal(want) {
			t.Errorf("%s: got %v, %v, want %v", r.Images[i].Name, got, ok, want)
		}
	}
	if _, ok := l.Timestamp(r.Images[3]); ok {
		t.Error("an image on a parent from outside has a time")
	}
}

func TestPrune(t *testing.T) {
	r := lockedRecipe(t, "", "", "")
	l := cover(r)
	l.Images["gone"], l.Images["shop"] = LockedImage{}, LockedImage{}
	l.Prune(r)
	if len(l.Images) != 3 || l.Covers(r) != nil {
		t.Errorf("left %v", l.Images)
	}
}
