package bake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"kiln/bake/template"
)

// Made is what a version's verified provenance and records say that it was made
// from.
type Made struct {
	Image     string
	Commit    string // of the template, full
	Template  Dependency
	Lock      Dependency // Name is "" if there was none
	Variables map[string]string
	Secrets   []string   // names of sensitive variables that had a value
	Rebased   *RebasedOn // nil of a bake
	Records   []*StoredRecord
}

// RebasedOn says onto what a rebase put a version.
type RebasedOn struct {
	Of   digest.Digest
	Onto digest.Digest
}

// ErrUncheckable says that a version cannot be baked again, and why.
var ErrUncheckable = errors.New("it cannot be baked again")

func uncheckable(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrUncheckable, fmt.Errorf(format, args...))
}

// MadeFrom reads what a version was made from: from the provenance that one of
// records' keys signed. ErrUncheckable if that is not enough to bake it again.
func MadeFrom(ctx context.Context, records *Records, image string, d digest.Digest) (*Made, error) {
	parts, err := records.Parts(ctx, image, d)
	if errors.Is(err, ErrNoRecord) {
		return nil, fmt.Errorf("%w: %w", ErrUncheckable, err)
	}
	if err != nil {
		return nil, err
	}
	provenances, err := records.provenances(ctx, parts[0])
	if err != nil {
		return nil, err
	}
	var problems error
	for _, p := range provenances {
		m, err := madeFrom(p)
		if err == nil {
			m.Image, m.Records = image, parts
			return m, nil
		}
		problems = err
	}
	return nil, problems
}

// provenances are those that name a record, by keys that count.
func (r *Records) provenances(ctx context.Context, rec *StoredRecord) ([]provenanceRead, error) {
	verifier, err := r.Bakers(ctx, rec.Name)
	if err != nil {
		return nil, err
	}
	if verifier == nil {
		return nil, fmt.Errorf("nobody is trusted to bake %s", rec.Name)
	}
	found, err := verifier.Attestations(ctx, evidenceReader{r.Registry}, rec.Name, rec.Version, ProvenancePredicate)
	if err != nil {
		return nil, err
	}
	var list []provenanceRead
	for _, a := range found {
		if p, err := parseProvenance(a.Predicate); err == nil && p.image() == rec.Name && p.names(recordName, rec.Digest) {
			list = append(list, p)
		}
	}
	if len(list) == 0 {
		return nil, uncheckable("no signed provenance names the record of how it was made")
	}
	return list, nil
}

// madeFrom reads one provenance.
func madeFrom(p provenanceRead) (*Made, error) {
	external := p.BuildDefinition.ExternalParameters
	m := &Made{Variables: external.Variables, Secrets: external.SecretVariables}
	if r := external.Rebase; r != nil {
		m.Rebased = &RebasedOn{digest.Digest(r.Of), digest.Digest(r.Onto)}
	}
	modified := false
	for _, dep := range p.BuildDefinition.ResolvedDependencies {
		switch dep.Name {
		case "source":
			m.Commit = dep.Digest["gitCommit"]
		case "source-modified":
			modified = true
		case "template":
			m.Template = Dependency{dep.Name, dep.URI, dep.Digest}
		case "lock":
			m.Lock = Dependency{dep.Name, dep.URI, dep.Digest}
		}
	}
	dirty := p.BuildDefinition.InternalParameters.Dirty
	switch {
	case modified, dirty == nil, *dirty:
		return nil, uncheckable("it was baked from a working tree that differed from its commit, or had none: its files are in no commit")
	case m.Commit == "":
		return nil, uncheckable("its provenance names no commit")
	case m.Template.Digest["sha256"] == "":
		return nil, uncheckable("its provenance names no template")
	}
	return m, nil
}

// Epoch is the SOURCE_DATE_EPOCH that it was made with; nil for none.
func (m *Made) Epoch() *time.Time {
	if e := m.Records[0].Epoch; e != nil {
		t := time.Unix(*e, 0).UTC()
		return &t
	}
	return nil
}

// Pin makes a lock of what records say of the version, of its parents in the
// recipe, and of base, the lock beside the template, which may be nil, for
// what no record tells. Of a rebased version the recipe's image gets the parent
// that it was put onto.
func (m *Made) Pin(ctx context.Context, records *Records, recipe *template.Recipe, base *template.Lock) (*template.Lock, error) {
	lock := &template.Lock{Images: map[string]template.LockedImage{}}
	if base != nil {
		maps.Copy(lock.Images, base.Images)
	}
	for _, rec := range m.Records {
		img := instance(recipe, m.Image, rec.Image.Platforms[0])
		if img == nil {
			return nil, uncheckable("the template at that commit has no image %s for %s", m.Image, rec.Image.Platforms[0])
		}
		if m.Rebased != nil {
			img.From = recordedParent(rec.Parent)
		}
		if err := pinLine(ctx, records, lock, img, rec); err != nil {
			return nil, err
		}
	}
	return lock, nil
}

// pinLine pins an image as its record says, and its parents in the recipe.
func pinLine(ctx context.Context, records *Records, lock *template.Lock, img *template.Image, rec *StoredRecord) error {
	for range maxLineage {
		if rec.Locked != nil {
			lock.Images[img.LockName()] = *rec.Locked
		}
		parent := img.Parent()
		if parent == nil {
			return nil
		}
		if rec.Parent == nil || rec.Parent.Name != parent.FullName {
			return uncheckable("%s is from %s in the template at that commit, and was baked on something else", img.FullName, parent.FullName)
		}
		above, err := records.Parts(ctx, rec.Parent.Name, rec.Parent.Digest)
		if errors.Is(err, ErrNoRecord) || isAbsent(err) {
			return nil // the lock beside the template may have it
		}
		if err != nil {
			return err
		}
		i := slices.IndexFunc(above, func(r *StoredRecord) bool { return r.Image.Platforms[0] == img.Platform() })
		if i < 0 {
			return nil
		}
		img, rec = parent, above[i]
	}
	return nil
}

// recordedParent is the parent of a record as a template would name it.
func recordedParent(p *RecordParent) template.From {
	if p == nil {
		return template.From{}
	}
	f := template.From{Kind: template.FromStore, Host: p.Host, Name: p.Name, Digest: string(p.Digest)}
	if p.Host != "" {
		f.Kind = template.FromRemote
	}
	return f
}

func instance(recipe *template.Recipe, fullName, platform string) *template.Image {
	i := slices.IndexFunc(recipe.Images, func(im *template.Image) bool {
		return im.FullName == fullName && im.Platform() == platform
	})
	if i < 0 {
		return nil
	}
	return recipe.Images[i]
}

// Rebuild bakes one image of a recipe, and those of the recipe that it needs,
// without tests, scans and publication. Whether anything is taken from the
// builder's cache is for the caller to decide.
func Rebuild(ctx context.Context, recipe *template.Recipe, image string, builder *Builder) (*Image, error) {
	bare := *recipe
	for _, img := range bare.Images {
		img.Tests = nil
	}
	baked, err := Bake(ctx, Request{Recipe: &bare, Targets: []string{image}, Builder: builder, Publisher: unpublished{}})
	if err != nil {
		return nil, err
	}
	for _, b := range baked {
		if b.Name == image {
			return b.Image, nil
		}
	}
	return nil, fmt.Errorf("image %q was not built", image)
}

// unpublished is a Publisher to which every image is stored already.
type unpublished struct{}

// Current implements Publisher.
func (unpublished) Current(context.Context, *Image) (string, error) { return "rebuilt", nil }

// Publish implements Publisher.
func (unpublished) Publish(context.Context, *Image) (string, error) { return "rebuilt", nil }

// Lacking implements Publisher.
func (unpublished) Lacking(context.Context, *Image) []Input { return nil }

// Fresh makes an empty cache within c that goes, with a folder for anything
// else, when the returned function is called.
func (c *Cache) Fresh() (fresh *Cache, dir string, done func(), err error) {
	dir, remove, err := c.tempDir("rebuild")
	if err != nil {
		return nil, "", nil, err
	}
	fresh, err = OpenCache(dir + "/cache")
	if err != nil {
		remove()
		return nil, "", nil, err
	}
	return fresh, dir, func() { fresh.Close(); remove() }, nil
}
