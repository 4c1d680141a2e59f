package template

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// parentRef is what image.base and channel(…) evaluate to.
type parentRef struct {
	instance string // full key of an image of this recipe
	name     string // else: an image of the store
	channel  string
}

var parentType = cty.Capsule("image", reflect.TypeOf(parentRef{}))

// channelFunc is channel(image, channel): what a channel holds.
var channelFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "image", Type: cty.String}, {Name: "channel", Type: cty.String}},
	Type:   function.StaticReturnType(parentType),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		ref := parentRef{name: args[0].AsString(), channel: args[1].AsString()}
		if problem, _ := nameProblem("image", ref.name); problem != "" {
			return cty.NilVal, function.NewArgErrorf(0, "%s", problem)
		}
		if !channelRE().MatchString(ref.channel) {
			return cty.NilVal, function.NewArgErrorf(1, "%q is no channel", ref.channel)
		}
		return cty.CapsuleVal(parentType, &ref), nil
	},
})

// from reads the parent of an image, or what a step copies from; ok is false
// when it could not be read.
func (s *section) from() (f From, ok bool) {
	v, ok := s.value("from", cty.DynamicPseudoType)
	if !ok {
		return From{}, !s.has("from")
	}
	switch ty := v.Type(); {
	case ty == parentType:
		ref := v.EncapsulatedValue().(*parentRef)
		if ref.instance != "" {
			return From{Kind: FromImage, ref: ref.instance}, true
		}
		return From{Kind: FromChannel, Name: ref.name, Channel: ref.channel}, true
	case ty == cty.String:
		f, problem, hint := parseFrom(v.AsString())
		if problem != "" {
			s.wrong("from", hint, "%s", problem)
		}
		return f, problem == ""
	case ty.IsObjectType() && allInstances(v):
		hint := "the image has no instance"
		if names := attributeNames(v); len(names) > 0 {
			hint = fmt.Sprintf("name one instance, as in image.name[%q]", names[0])
		}
		s.wrong("from", hint, "from names an image with for_each")
	default:
		s.wrong("from", `want image.name, "name@sha256:…", channel("name", "prod") or "scratch"`, "from: a %s is no image", ty.FriendlyName())
	}
	return From{}, false
}

func allInstances(v cty.Value) bool {
	for _, ty := range v.Type().AttributeTypes() {
		if ty != parentType {
			return false
		}
	}
	return true
}

// parseFrom reads a parent outside the recipe. As everywhere in kiln a first
// component with a dot or a colon, or "localhost", is a host.
func parseFrom(text string) (f From, problem, hint string) {
	if text == "scratch" {
		return From{}, "", ""
	}
	name, digest, pinned := strings.Cut(text, "@")
	if !pinned {
		hint := fmt.Sprintf(`write "%s@sha256:…"`, name)
		if componentRE().MatchString(name) {
			hint = fmt.Sprintf(`write image.%s for an image of this template`, name)
		} else if problem, _ := nameProblem("", name); problem == "" {
			hint += fmt.Sprintf(` or channel("%s", "prod")`, name)
		}
		return From{}, fmt.Sprintf("from %q has no digest", text), hint
	}
	if !digestRE().MatchString(digest) {
		return From{}, fmt.Sprintf("from %q: no digest after the @", text), "want sha256: and 64 lower-case hex digits"
	}
	f = From{Kind: FromStore, Name: name, Digest: digest}
	if host, rest, ok := strings.Cut(name, "/"); ok && (strings.ContainsAny(host, ".:") || host == "localhost") {
		f.Kind, f.Host, f.Name = FromRemote, host, rest
		if !hostRE().MatchString(host) {
			return From{}, fmt.Sprintf("from %q: %q is no host", text, host), ""
		}
		if at := strings.LastIndexByte(f.Name, ':'); at >= 0 && channelRE().MatchString(f.Name[at+1:]) {
			f.Name = f.Name[:at]
		}
	}
	if problem, hint := nameProblem("from", f.Name); problem != "" {
		return From{}, problem, hint
	}
	return f, "", ""
}
