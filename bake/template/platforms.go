package template

import (
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// architectures are Debian's release architectures in Go's words.
var architectures = []string{"amd64", "arm64", "arm", "386", "ppc64le", "riscv64", "s390x", "mips64le"}

func hostPlatform() string { return "linux/" + runtime.GOARCH }

// LockName names im in a lock and in reports: its name, with the platform
// where the block makes several images.
func (im *Image) LockName() string {
	if len(im.All) > 1 {
		return im.Name + " " + im.Platform()
	}
	return im.Name
}

// Siblings are the images that im's block makes, im among them, by platform in
// byte order: together they are one version.
func (r *Recipe) Siblings(im *Image) []*Image {
	var list []*Image
	for _, other := range r.Images {
		if other.Name == im.Name {
			list = append(list, other)
		}
	}
	slices.SortFunc(list, func(a, b *Image) int { return strings.Compare(a.Platform(), b.Platform()) })
	return list
}

// settlePlatforms finds what platforms every instance is baked for: those that
// it lists, else its parent's in the template, else the host's.
func (l *loader) settlePlatforms(top *section, instances []instance) {
	heads := map[string]*head{}
	for i := range instances {
		heads[instances[i].name] = l.head(top, instances[i])
	}
	for i := range instances {
		instances[i].platforms = platformsOf(heads, instances[i].name)
	}
}

// head is what decides on an image's platforms.
type head struct {
	platforms []string
	parent    string
}

// head reads platforms, and from without its problems: image notes those.
func (l *loader) head(top *section, in instance) *head {
	s := l.section(top, in)
	h := &head{platforms: s.platforms()}
	quiet := &section{problems: &problems{file: l.file}, ctx: s.ctx, body: s.body}
	from, _ := quiet.from()
	h.parent = from.ref
	return h
}

func platformsOf(heads map[string]*head, name string) []string {
	for seen := map[string]bool{}; heads[name] != nil && !seen[name]; name = heads[name].parent {
		seen[name] = true
		if len(heads[name].platforms) > 0 {
			return heads[name].platforms
		}
	}
	return []string{hostPlatform()}
}

// platforms reads the list, sorted, so that its order decides nothing.
func (s *section) platforms() []string {
	list := s.texts("platforms")
	if list != nil && len(list) == 0 {
		s.wrong("platforms", "leave it out for this host's, "+hostPlatform(), "platforms is empty")
	}
	var good []string
	for _, p := range list {
		switch {
		case !supported(p):
			s.wrong("platforms", "this host bakes "+hostPlatform(), "platform %q is not supported", p)
		case slices.Contains(good, p):
			s.wrong("platforms", "", "platform %q is listed twice", p)
		default:
			good = append(good, p)
		}
	}
	slices.Sort(good)
	return good
}

func supported(platform string) bool {
	system, arch, _ := strings.Cut(platform, "/")
	return system == "linux" && slices.Contains(architectures, arch)
}

// platformValue is what expressions of an image see as platform.
func platformValue(platform string) cty.Value {
	system, arch, _ := strings.Cut(platform, "/")
	return cty.ObjectVal(map[string]cty.Value{
		"name": cty.StringVal(platform), "os": cty.StringVal(system), "arch": cty.StringVal(arch),
	})
}

// platform is the one that a block is read for, "" if none.
func (s *section) platform() string {
	for ctx := s.ctx; ctx != nil; ctx = ctx.Parent() {
		if v, ok := ctx.Variables["platform"]; ok {
			return v.GetAttr("name").AsString()
		}
	}
	return ""
}

// instanceKey names an image of the recipe while it is loaded.
func instanceKey(name, platform string) string { return name + " " + platform }

// instance is the image of a name for a platform, nil where there is none.
func (g *graph) instance(name, platform string) *node { return g.byName[instanceKey(name, platform)] }

// lacksPlatform notes that an image is needed for a platform that it is not
// baked for.
func (g *graph) lacksPlatform(rng hcl.Range, where, name, platform string) {
	have := []string{}
	for _, n := range g.nodes {
		if n.image.Name == name {
			have = append(have, n.image.Platform())
		}
	}
	if len(have) == 0 {
		return // its own problems are noted
	}
	g.problems.add(rng, where, fmt.Sprintf("add it to the platforms of image %q", name),
		"image %q is baked for %s, not for %q", name, strings.Join(quoted(have), " and "), platform)
}
