package template

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// instance is an image block, or one round of its for_each.
type instance struct {
	block     *hclsyntax.Block
	name      string    // of the image
	key       string    // within the block's for_each
	value     cty.Value // each.value; NilVal without for_each
	platforms []string  // sorted
}

// images evaluates the image blocks into the recipe.
func (l *loader) images(top *section, blocks []*hclsyntax.Block) {
	instances := l.expand(top, blocks)
	l.settlePlatforms(top, instances)
	g := &graph{problems: &l.problems, byName: map[string]*node{}}
	for _, in := range instances {
		for _, platform := range in.platforms {
			g.add(l.image(top, in, platform))
		}
	}
	l.recipe.Images = g.order()
	for _, im := range l.recipe.Images {
		l.checkImage(g, im)
	}
}

// expand evaluates every for_each and makes the images visible to each other
// as image.name and image.name["key"].
func (l *loader) expand(top *section, blocks []*hclsyntax.Block) []instance {
	var all []instance
	refs := map[string]cty.Value{}
	where := map[string]hcl.Range{}
	for _, b := range blocks {
		label, s := b.Labels[0], top.child(b)
		if problem, hint := nameProblem("image", label); problem != "" || label != lastComponent(label) {
			if problem == "" {
				problem, hint = fmt.Sprintf("image %q has a slash", label), "the project comes before the name by itself"
			}
			l.add(b.DefRange(), "", hint, "%s", problem)
			continue
		}
		if _, twice := refs[label]; twice {
			l.add(b.DefRange(), "", "", "image %q is declared twice", label)
			continue
		}
		instances, ref := l.instances(s, b)
		refs[label] = ref
		for _, in := range instances {
			if first, clash := where[in.name]; clash {
				l.add(b.DefRange(), "", "", "image %q is declared twice, first in line %d", in.name, first.Start.Line)
				continue
			}
			if problem, hint := nameProblem("image", in.name); problem != "" {
				l.add(b.DefRange(), "", hint, "%s", problem)
				continue
			}
			where[in.name] = b.DefRange()
			all = append(all, in)
		}
	}
	l.ctx.Variables["image"] = cty.ObjectVal(refs)
	return all
}

// instances are the images that one block stands for, and what image.name is.
func (l *loader) instances(s *section, b *hclsyntax.Block) ([]instance, cty.Value) {
	label := b.Labels[0]
	if !s.has("for_each") {
		return []instance{{block: b, name: label}}, cty.CapsuleVal(parentType, &parentRef{instance: label})
	}
	v, ok := s.value("for_each", cty.DynamicPseudoType)
	if !ok {
		return nil, cty.DynamicVal
	}
	ty := v.Type()
	if !ty.IsMapType() && !ty.IsObjectType() && !(ty.IsSetType() && ty.ElementType() == cty.String) {
		s.wrong("for_each", `write toset(["a", "b"]) or { a = 1, b = 2 }`, "for_each: want a map or a set of texts, not a %s", ty.FriendlyName())
		return nil, cty.DynamicVal
	}
	var list []instance
	refs := map[string]cty.Value{}
	for it := v.ElementIterator(); it.Next(); {
		k, e := it.Element()
		if k.IsNull() {
			s.wrong("for_each", "", "for_each: a key is null")
			continue
		}
		in := instance{block: b, name: label + "-" + k.AsString(), key: k.AsString(), value: e}
		refs[in.key] = cty.CapsuleVal(parentType, &parentRef{instance: in.name})
		list = append(list, in)
	}
	return list, cty.ObjectVal(refs)
}

// section is the block of an instance, where each is known.
func (l *loader) section(top *section, in instance) *section {
	s := top.child(in.block)
	s.where = fmt.Sprintf("image %q", in.name)
	s.ctx = l.ctx.NewChild()
	s.ctx.Variables = map[string]cty.Value{}
	if in.value != cty.NilVal {
		s.ctx.Variables["each"] = cty.ObjectVal(map[string]cty.Value{"key": cty.StringVal(in.key), "value": in.value})
	}
	return s
}

// image decodes one image for one of its platforms; its parent within the
// recipe is linked by order.
func (l *loader) image(top *section, in instance, platform string) *node {
	s := l.section(top, in)
	s.ctx.Variables["platform"] = platformValue(platform)
	s.attributes = append(s.attributes, "for_each", "platforms")
	im := &Image{Name: in.name, FullName: l.recipe.Project + "/" + in.name, Platforms: []string{platform}}
	if len(in.platforms) > 1 {
		im.All = in.platforms
	}
	im.Pos = l.pos(in.block.DefRange())
	if len(im.FullName) > maxName {
		l.add(in.block.DefRange(), s.where, "", "project and name are longer than %d bytes", maxName)
	}
	parent, known := s.from()
	im.From = parent
	im.Version = s.version()
	im.Compression = s.compression()
	im.Packages = s.packages("packages")
	im.Debian = l.debian(s, !known || im.From.Kind != FromScratch)
	im.Tier = s.tier(im)
	im.Annotations = s.annotations()
	im.Steps = l.steps(s)
	im.Config = s.config()
	im.Tests = l.tests(s)
	im.Scan = l.scan(s)
	im.Hardening = l.hardening(s)
	l.dockerfile(s, im)
	s.done()
	return &node{image: im, needs: needs(im, s.at("from"), s.where)}
}

func (l *loader) pos(rng hcl.Range) Pos { return Pos{File: l.file, Line: rng.Start.Line} }

func (s *section) version() string {
	v := s.text("version")
	if v == "" {
		return ""
	}
	if !versionRE().MatchString(v) || len(v) > maxVersion {
		s.wrong("version", fmt.Sprintf("a tag takes letters, digits, . _ - and +, at most %d", maxVersion), "version %q cannot begin a tag", v)
	}
	return v
}

func (s *section) tier(im *Image) string {
	known := []string{TierBase, TierMiddleware, TierApp}
	switch tier := s.text("tier"); tier {
	case TierBase, TierMiddleware, TierApp:
		return tier
	case "":
		if im.Debian != nil && im.From.Kind == FromScratch {
			return TierBase
		}
		return TierApp
	default:
		hint := DidYouMean(tier, known)
		if hint == "" {
			hint = "want base, middleware or app"
		}
		s.wrong("tier", hint, "there is no tier %q", tier)
		return TierApp
	}
}

// kilnsAnnotations are written by kiln, like all that begin with org.kiln.
var kilnsAnnotations = []string{
	"org.opencontainers.image.base.digest", "org.opencontainers.image.base.name",
	"org.opencontainers.image.title", "org.opencontainers.image.version",
}

// annotations are the image's own, without those that kiln writes.
func (s *section) annotations() map[string]string {
	m := s.textMap("annotations")
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if slices.Contains(kilnsAnnotations, key) || strings.HasPrefix(key, "org.kiln.") {
			s.wrong("annotations", "leave it out: it follows from the image's name, version, tier and from", "annotation %q is written by kiln", key)
		}
	}
	if _, ok := m[""]; ok {
		s.wrong("annotations", "", "an annotation has no name")
	}
	return m
}
