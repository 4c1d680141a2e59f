package main

import (
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"

	"kiln/bake"
	"kiln/bake/template"
)

// A version whose packages cannot be chosen takes along what is on it, and
// nothing else of a cascade; a rebase of it fails.
func TestResolveAllByBranch(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	a := &app{getenv: func(string) string { return "" }, store: t.TempDir()}
	backend, err := a.open(t.Context(), purpose{create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer backend.Close()
	cache, err := bake.OpenCache(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	m := &remaker{app: a, backend: backend, cache: cache}
	made := func(name string, onto *remade, packages ...string) *remade {
		r := &remade{image: name, onto: onto, records: []*bake.StoredRecord{{Record: &bake.Record{}}}}
		from := template.From{Kind: template.FromStore, Name: "acme/base", Digest: string(digest.FromString("nowhere"))}
		if onto != nil {
			from = template.From{Kind: template.FromImage, Image: onto.images[0], Name: onto.image}
		}
		r.images = []*template.Image{{Name: name, FullName: name, From: from, Packages: packages, Platforms: []string{"linux/amd64"}}}
		return r
	}
	good, bad := made("acme/good", nil), made("acme/bad", nil, "jq")
	all := []*remade{good, bad, made("acme/onbad", bad), made("acme/ongood", good)}

	var dropped []string
	left, err := m.resolveAll(t.Context(), m.job(all), all, func(r *remade, err error) {
		dropped = append(dropped, r.image+": "+err.Error())
	})
	if err != nil || !slices.Equal(left, []*remade{good, all[3]}) {
		t.Errorf("%d are left, %v", len(left), err)
	}
	if len(dropped) != 2 || dropped[1] != `acme/onbad: image "acme/onbad" was not baked: it needs "acme/bad", which failed` {
		t.Errorf("dropped %q", dropped)
	}
	if _, err := m.resolveAll(t.Context(), m.job(all), all, nil); err == nil {
		t.Error("a rebase without packages goes on")
	}
}
