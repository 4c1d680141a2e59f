package template

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// need is an image of the recipe that another one reads, still a name.
type need struct {
	from  *From // to link
	name  string
	rng   hcl.Range
	where string // the block that says so
}

// node is an image whose needs are still names.
type node struct {
	image *Image
	needs []need // the parent first
}

// graph links the images of a recipe.
type graph struct {
	*problems
	nodes  []*node
	byName map[string]*node
}

func (g *graph) add(n *node) {
	g.nodes = append(g.nodes, n)
	g.byName[instanceKey(n.image.Name, n.image.Platform())] = n
}

// order links every image to what it needs and lists that first, otherwise in
// file order. Images that need each other are noted and left out.
func (g *graph) order() []*Image {
	o := &ordering{graph: g, state: map[*node]visit{}, taken: map[*node]need{}}
	for _, n := range g.nodes {
		o.visit(n)
	}
	return o.list
}

// visit is how far the ordering has come with a node.
type visit int

const (
	waiting visit = iota + 1 // for what it needs
	listed
	broken // part of a cycle, or needs one that is
)

// ordering is one run of order.
type ordering struct {
	*graph
	state map[*node]visit
	taken map[*node]need // the need that is followed from a waiting node
	chain []*node        // waiting ones
	list  []*Image
}

// visit lists a node after what it needs; false where that is not possible.
func (o *ordering) visit(n *node) bool {
	switch o.state[n] {
	case listed:
		return true
	case broken:
		return false
	case waiting:
		o.cycle(o.chain[slices.Index(o.chain, n):])
		return false
	}
	o.state[n] = waiting
	o.chain = append(o.chain, n)
	whole := true
	for _, need := range n.needs {
		to := o.instance(need.name, n.image.Platform())
		if to == nil {
			o.lacksPlatform(need.rng, need.where, need.name, n.image.Platform())
			continue
		}
		o.taken[n] = need
		if whole = o.visit(to); !whole {
			break
		}
		need.from.Image, need.from.ref = to.image, ""
	}
	o.chain = o.chain[:len(o.chain)-1]
	if o.state[n] = broken; whole {
		o.state[n] = listed
		o.list = append(o.list, n.image)
	}
	return whole
}

func (o *ordering) cycle(chain []*node) {
	at := o.taken[chain[0]]
	if len(chain) == 1 {
		o.problems.add(at.rng, at.where, "", "from is the image itself")
		return
	}
	names := make([]string, 0, len(chain)+1)
	for _, n := range chain {
		names = append(names, n.image.Name)
	}
	o.problems.add(at.rng, at.where, "", "images are made from each other: %s", strings.Join(append(names, names[0]), " -> "))
}

// checkImage holds an image against its parents, which are checked before it.
func (l *loader) checkImage(g *graph, im *Image) {
	rng := hcl.Range{Start: hcl.Pos{Line: im.Pos.Line}}
	where := fmt.Sprintf("image %q", im.Name)
	if first := g.instance(im.Name, slices.Concat(im.All, im.Platforms)[0]); first != nil && first.image.Version != im.Version {
		l.add(rng, where, "the platforms of an image are one version", "version is %q for %s and %q for %s",
			first.image.Version, first.image.Platform(), im.Version, im.Platform())
	}
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
	l.checkHardening(where, im)
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
