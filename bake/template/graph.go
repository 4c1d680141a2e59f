package template

import (
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// node is an image whose parent is still a name.
type node struct {
	image  *Image
	parent string // name of an image of the recipe, or ""
	rng    hcl.Range
}

// graph links the images of a recipe.
type graph struct {
	*problems
	nodes  []*node
	byName map[string]*node
}

func (g *graph) add(n *node) {
	g.nodes = append(g.nodes, n)
	g.byName[n.image.Name] = n
}

// order links every image to its parent and lists parents first, otherwise in
// file order. Images that need each other are noted and left out.
func (g *graph) order() []*Image {
	var list []*Image
	state := map[*node]int{} // 1 waiting for its parent, 2 listed, 3 part of a cycle
	for _, n := range g.nodes {
		var chain []*node
		for n != nil && state[n] == 0 {
			state[n] = 1
			chain = append(chain, n)
			n = g.byName[n.parent]
		}
		if n != nil && state[n] == 1 {
			g.cycle(chain[slices.Index(chain, n):])
		}
		broken := n != nil && state[n] != 2
		for i := len(chain) - 1; i >= 0; i-- {
			c := chain[i]
			if broken {
				state[c] = 3
				continue
			}
			if p := g.byName[c.parent]; p != nil {
				c.image.From.Image = p.image
			}
			state[c] = 2
			list = append(list, c.image)
		}
	}
	return list
}

func (g *graph) cycle(chain []*node) {
	where := fmt.Sprintf("image %q", chain[0].image.Name)
	if len(chain) == 1 {
		g.problems.add(chain[0].rng, where, "", "from is the image itself")
		return
	}
	names := make([]string, 0, len(chain)+1)
	for _, n := range chain {
		names = append(names, n.image.Name)
	}
	g.problems.add(chain[0].rng, where, "", "images are made from each other: %s", strings.Join(append(names, names[0]), " -> "))
}

// architectures are Debian's release architectures in Go's words.
var architectures = []string{"amd64", "arm64", "arm", "386", "ppc64le", "riscv64", "s390x", "mips64le"}

// checkImage holds an image against its parents, which are checked before it.
func (l *loader) checkImage(g *graph, im *Image) {
	rng := hcl.Range{Start: hcl.Pos{Line: im.Pos.Line}}
	where := fmt.Sprintf("image %q", im.Name)
	l.platform(rng, where, im)
	if len(im.Packages) > 0 && im.From.Kind == FromScratch && im.Debian == nil {
		l.add(rng, where, `add debian { suite = "bookworm" } or from = image.…`, "packages need a base to be installed on")
	}
	if d := im.Debian; d != nil && d.Suite != "" && im.From.Kind == FromImage {
		if below := im.Parent().Suite(); below != "" && below != d.Suite {
			l.add(rng, where, "leave suite out", "suite %q differs from %q of the image it is made from", d.Suite, below)
		}
	}
	if im.Distroless() {
		l.checkDistroless(where, im)
	}
	for _, t := range im.Tests {
		if t.HTTP != nil && !im.startsSomething() {
			l.add(hcl.Range{Start: hcl.Pos{Line: t.Pos.Line}}, fmt.Sprintf("%s: test %q", where, t.Name),
				"add config { entrypoint = […] }", "the image has no entrypoint or cmd to start")
		}
	}
}

func (l *loader) checkDistroless(where string, im *Image) {
	if im.Parent() != nil && len(im.AllPackages()) > 0 {
		l.add(hcl.Range{Start: hcl.Pos{Line: im.Pos.Line}}, where,
			"list them in the debian block of the distroless image", "a distroless parent has no dpkg to add packages with")
	}
	for _, step := range im.Steps {
		if r, ok := step.(*Run); ok {
			l.add(hcl.Range{Start: hcl.Pos{Line: r.Pos.Line}}, where+": run",
				"run it in another image, or use variant minbase", "a distroless image has nothing to run commands with")
		}
	}
	for _, t := range im.Tests {
		if isShell(t.Command) {
			l.add(hcl.Range{Start: hcl.Pos{Line: t.Pos.Line}}, fmt.Sprintf("%s: test %q", where, t.Name),
				"call the program itself, or use http", "a distroless image has no shell")
		}
	}
}

// platform settles the one platform of an image: its own, its parent's, or
// the host's.
func (l *loader) platform(rng hcl.Range, where string, im *Image) {
	host := "linux/" + runtime.GOARCH
	below := ""
	if p := im.Parent(); p != nil && len(p.Platforms) == 1 {
		below = p.Platforms[0]
	}
	switch len(im.Platforms) {
	case 0:
		im.Platforms = []string{host}
		if below != "" {
			im.Platforms[0] = below
		}
	case 1:
	default:
		l.add(rng, where, "make one image for each platform, with for_each", "platforms lists %d, an image has one", len(im.Platforms))
		im.Platforms = im.Platforms[:1]
	}
	p := im.Platforms[0]
	system, arch, _ := strings.Cut(p, "/")
	switch {
	case system != "linux" || !slices.Contains(architectures, arch):
		l.add(rng, where, "this host bakes "+host, "platform %q is not supported", p)
	case below != "" && p != below:
		l.add(rng, where, "", "platform %q differs from %q of the image it is made from", p, below)
	case p != host && im.runsHere():
		l.add(rng, where, "this host runs "+host, "platform %q: packages, run and tests need a host of that kind", p)
	}
}
