package template

import (
	"slices"
	"strings"
	"testing"
)

func namesOf(images []*Image) string {
	var names []string
	for _, im := range images {
		names = append(names, im.Name)
	}
	return strings.Join(names, " ")
}

// copying is an image that copies from others.
func copying(name string, from ...string) string {
	text := "image \"" + name + "\" {\n"
	for _, f := range from {
		text += "  image {\n    from = image." + f + "\n    source = \"/a\"\n    target = \"/b\"\n  }\n"
	}
	return text + "}\n"
}

func TestNeeds(t *testing.T) {
	r := load(t, "project = \"acme\"\n"+copying("app", "tools", "extra", "tools")+
		"image \"top\" {\n  from = image.app\n}\n"+copying("tools", "extra")+copying("extra")+copying("alone"), Options{})
	if got := namesOf(r.Images); got != "extra tools app top alone" {
		t.Errorf("order: %s", got)
	}
	app, err := r.Find("app")
	if err != nil || namesOf(app.Needs()) != "tools extra" {
		t.Errorf("needs of app: %s, %v", namesOf(app.Needs()), err)
	}
	selected, err := r.Select([]string{"top"})
	if err != nil || namesOf(selected) != "extra tools app top" {
		t.Errorf("selected: %s, %v", namesOf(selected), err)
	}
	if got := namesOf(r.Leaves()); got != "top alone" {
		t.Errorf("leaves: %s", got)
	}
}

// FAULTS 29: cycles, self reference and unknown images by way of copies.
func TestNeedsErrors(t *testing.T) {
	const head = "project = \"acme\"\n"
	for name, c := range map[string]struct{ text, want string }{
		"self":          {head + copying("a", "a"), `kiln.hcl:3: image "a": from is the image itself`},
		"cycle":         {head + copying("a", "b") + copying("b", "a"), `kiln.hcl:3: image "a": images are made from each other: a -> b -> a`},
		"mixed cycle":   {head + copying("a", "b") + "image \"b\" {\n  from = image.a\n}\n", `kiln.hcl:3: image "a": images are made from each other: a -> b -> a`},
		"unknown image": {head + copying("base") + copying("a", "bas"), `kiln.hcl:6: image "a": image: there is no image.bas (did you mean "base"?)`},
		"scratch":       {head + "image \"a\" {\n  image {\n    from = \"scratch\"\n    source = \"/\"\n    target = \"/\"\n  }\n}\n", `kiln.hcl:4: image "a": image: from: scratch has no files (want image.name, "name@sha256:…" or channel("name", "prod"))`},
		"nothing":       {head + "image \"a\" {\n  image {}\n}\n", "kiln.hcl:3: image \"a\": image: from is missing\nkiln.hcl:3: image \"a\": image: source is missing\nkiln.hcl:3: image \"a\": image: target is missing"},
		"label":         {head + "image \"a\" {\n  image \"b\" {\n    source = \"/\"\n  }\n}\n", `kiln.hcl:3: image "a": image has 1 labels, want 0 (write image {)`},
		"relative":      {head + copying("b") + "image \"a\" {\n  image {\n    from = image.b\n    source = \"a\"\n    target = \"/../b\"\n  }\n}\n", `kiln.hcl:7: image "a": image: source "a" is not absolute (begin it with "/" and leave out "..")` + "\n" + `kiln.hcl:8: image "a": image: target "/../b" is not absolute (begin it with "/" and leave out "..")`},
		"platform": {head + "image \"b\" {\n  platforms = [\"linux/arm64\"]\n}\nimage \"a\" {\n  platforms = [\"linux/amd64\"]\n  image {\n    from = image.b\n    source = \"/a\"\n    target = \"/a\"\n  }\n}\n",
			`kiln.hcl:7: image "a": image "b" is baked for "linux/arm64", not for "linux/amd64" (add it to the platforms of image "b")`},
	} {
		t.Run(name, func(t *testing.T) { refuse(t, c.text, Options{}, c.want) })
	}
}

// What a channel holds is pinned, also where it is only copied from.
func TestMoving(t *testing.T) {
	text := func(channel string) string {
		return "project = \"acme\"\nimage \"a\" {\n  image {\n    from = channel(\"acme/base\", \"" + channel + "\")\n    source = \"/a\"\n    target = \"/b\"\n  }\n}\n"
	}
	a, b := load(t, text("prod"), Options{}).Images[0], load(t, text("dev"), Options{}).Images[0]
	if !NeedsLock(a) || !slices.Equal(a.Moving(), []string{"acme/base:prod"}) || Inputs(a) == Inputs(b) {
		t.Errorf("needs a lock: %v, moving: %v", NeedsLock(a), a.Moving())
	}
	locked := LockedImage{Inputs: Inputs(a), Froms: map[string]string{"acme/base:prod": "sha256:" + strings.Repeat("a", 64)}}
	data, err := (&Lock{Images: map[string]LockedImage{"a": locked}}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseLock(data)
	if err != nil || back.Images["a"].Froms["acme/base:prod"] != locked.Froms["acme/base:prod"] {
		t.Errorf("read back %+v, %v", back, err)
	}
	locked.Froms["acme/base:prod"] = "sha256:../../etc"
	if _, err := (&Lock{Images: map[string]LockedImage{"a": locked}}).Encode(); err == nil {
		t.Error("a digest that is none was written")
	}
}
