package template

import (
	"slices"
	"strings"
	"testing"
)

const twoPlatforms = `project = "acme"
image "base" {
  platforms = ["linux/s390x", "linux/arm64"]
  copy {
    source = "dist/${platform.arch}"
    target = "/opt"
  }
}
image "shop" {
  from        = image.base
  annotations = { "made.for" = "${platform.os} ${platform.name}" }
}
image "edge" {
  from      = image.base
  platforms = ["linux/arm64"]
}
`

func loadTwo(t *testing.T) *Recipe {
	t.Helper()
	r, err := Load(tree(t, map[string]string{FileName: twoPlatforms, "dist/s390x/app": "1", "dist/arm64/app": "2"}), Options{})
	must(t, err)
	return r
}

// A block with several platforms is one image for each; a block without is
// baked for those of its parent.
func TestPlatforms(t *testing.T) {
	r := loadTwo(t)
	var got []string
	for _, im := range r.Images {
		line := im.LockName()
		if p := im.Parent(); p != nil {
			line += " <- " + p.LockName()
			if p.Platform() != im.Platform() {
				t.Errorf("%s is made from %s", im.LockName(), p.LockName())
			}
		}
		got = append(got, line)
	}
	want := []string{
		"base linux/arm64", "base linux/s390x", "shop linux/arm64 <- base linux/arm64",
		"shop linux/s390x <- base linux/s390x", "edge <- base linux/arm64",
	}
	if !slices.Equal(got, want) {
		t.Errorf("images are %q, want %q", got, want)
	}
	if c := r.Images[1].Steps[0].(*Copy); c.Rel != "dist/s390x" {
		t.Errorf("s390x copies %s", c.Rel)
	}
	if a := r.Images[2].Annotations["made.for"]; a != "linux linux/arm64" {
		t.Errorf("platform reads %q", a)
	}
}

// A test may be for some platforms only.
func TestTestPlatforms(t *testing.T) {
	r := load(t, `project = "acme"
image "base" {
  platforms = ["linux/amd64", "linux/arm64"]
  test "everywhere" { command = ["/a"] }
  test "there" {
    platforms = ["linux/arm64"]
    command   = ["/b"]
  }
}
`, Options{})
	for i, want := range []int{1, 2} {
		if got := len(r.Images[i].Tests); got != want {
			t.Errorf("%s has %d tests, want %d", r.Images[i].LockName(), got, want)
		}
	}
}

// Whoever is baked, is baked for all of its platforms, and so is what it is
// made from: together they are a version.
func TestSelectPlatforms(t *testing.T) {
	r := loadTwo(t)
	for target, want := range map[string]string{
		"edge": "base linux/arm64, base linux/s390x, edge",
		"base": "base linux/arm64, base linux/s390x",
	} {
		list, err := r.Select([]string{target})
		must(t, err)
		var got []string
		for _, im := range list {
			got = append(got, im.LockName())
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s: baked are %q, want %s", target, got, want)
		}
	}
	for _, leaf := range r.Leaves() {
		if leaf.Name == "base" {
			t.Error("an image that others are made from is a leaf")
		}
	}
}

// A lock pins each platform by itself, and reads what it wrote.
func TestLockPlatforms(t *testing.T) {
	r := load(t, "project = \"acme\"\nimage \"base\" {\n  platforms = [\"linux/amd64\", \"linux/arm64\"]\n  debian { suite = \"bookworm\" }\n}\n", Options{})
	lock := &Lock{Images: map[string]LockedImage{"base": {Inputs: hash256}}}
	for _, im := range r.Images {
		lock.Images[im.LockName()] = LockedImage{Inputs: Inputs(im), Timestamp: release, Arch: "arm64"}
	}
	lock.Prune(r)
	if len(lock.Images) != 2 {
		t.Errorf("the lock holds %d images", len(lock.Images))
	}
	text, err := lock.Encode()
	must(t, err)
	again, err := ParseLock(text)
	must(t, err)
	must(t, again.Covers(r))
	if Inputs(r.Images[0]) == Inputs(r.Images[1]) {
		t.Error("two platforms have the same inputs")
	}
	for _, name := range []string{"base linux/vax", "base windows/amd64", "base  linux/arm64", "base linux/arm64 x"} {
		if _, err := ParseLock([]byte(strings.Replace(string(text), "base linux/arm64", name, 1))); err == nil {
			t.Errorf("%q names an image in a lock", name)
		}
	}
}
