package bake

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"kiln/bake/debian"
	"kiln/bake/template"
)

// recorded is what is stored of how an image was made.
type recorded struct {
	record blob
	files  []blob // details that the record names
}

// blob is content with its descriptor.
type blob struct {
	ocispec.Descriptor
	content []byte
}

func newBlob(mediaType string, content []byte) blob {
	return blob{ocispec.Descriptor{
		MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content)),
	}, content}
}

// record writes down how an image was made. What is not at hand and would have
// to be downloaded is left out.
func (b *Builder) record(ctx context.Context, st *state) (*recorded, error) {
	rec := &recorded{}
	r := Record{
		Schema: RecordSchema, Image: recordImage(st.recipe), Created: st.result.Timestamp.UTC(),
		Components: st.result.Components, Steps: []RecordStep{},
	}
	if r.Components == nil {
		r.Components = []Component{}
	}
	if a := st.recipe.Archive(); a != nil && st.recipe.Installs() {
		r.Archive = recordArchive(a)
	}
	if locked := st.result.Locked; locked.Inputs != "" {
		r.Locked = &locked
	}
	var err error
	if r.Docker, err = recordDocker(st); err != nil {
		return nil, err
	}
	if b.Epoch != nil {
		seconds := b.Epoch.Unix()
		r.Epoch = &seconds
	}
	if p := st.parent; p != nil {
		r.Parent = &RecordParent{Name: p.Name, Host: p.Host, Digest: p.version()}
		if err := b.recordBelow(ctx, p, &r, rec); err != nil {
			return nil, err
		}
	}
	for _, s := range st.steps {
		step, err := b.recordStep(ctx, s, rec)
		if err != nil {
			return nil, fmt.Errorf("record step %s: %w", s.Step, err)
		}
		r.Steps = append(r.Steps, step)
	}
	content, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	if len(content) > maxRecord {
		return nil, fmt.Errorf("record: it has %d bytes, more than %d", len(content), maxRecord)
	}
	rec.record = newBlob(RecordMediaType, content)
	return rec, nil
}

// recordImage is the image as the template said it, without what the record
// says elsewhere and without places in files.
func recordImage(im *template.Image) template.Image {
	out := *im
	out.From, out.Steps, out.Pos = template.From{}, nil, template.Pos{}
	out.Scan.Allow = allowances(im) // without a From those of its parents are not found
	out.Tests = slices.Clone(out.Tests)
	for i := range out.Tests {
		out.Tests[i].Pos = template.Pos{}
	}
	if out.Debian != nil {
		out.Debian = recordArchive(out.Debian)
	}
	return out
}

// recordArchive is a debian block with the keys themselves instead of the
// names of their files, as far as these can be read.
func recordArchive(d *template.Debian) *template.Debian {
	out := *d
	out.Keyring = inlineKey(out.Keyring)
	out.Sources = slices.Clone(out.Sources)
	for i := range out.Sources {
		out.Sources[i].Keyring = inlineKey(out.Sources[i].Keyring)
	}
	return &out
}

func inlineKey(name string) string {
	if name == "" {
		return ""
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return name // it is a key, or it is asked for again when it is needed
	}
	text, err := debian.Armor(data)
	if err != nil {
		return name
	}
	return text
}

func (b *Builder) recordStep(ctx context.Context, s StepResult, rec *recorded) (RecordStep, error) {
	out := RecordStep{Name: s.Step, Kind: s.Kind, Key: s.key, Field: s.field}
	if s.run != nil {
		if out.Run = recordRun(s.run); len(s.run.Secret) > 0 {
			out.Key = "" // it hashes them, and who guesses one could tell
		}
	}
	if s.declared != nil {
		d := *s.declared
		d.Pos = template.Pos{}
		out.Declare = &d
	}
	if installed, ok := b.installedAfter(s.key); ok {
		for _, p := range installed {
			out.Installed = append(out.Installed, Component{Name: p.Name, Version: p.Version, Arch: p.Arch, Source: p.Source})
		}
	}
	d := detail{Schema: detailSchema, Items: detailItems(s.items)}
	if s.layer != nil {
		meta, err := metaOf(s.layer)
		if err != nil {
			return out, err
		}
		out.Layer = &meta
		if d.Index, err = b.index(ctx, s.layer); err != nil {
			return out, err
		}
		d.Scan = b.keptScan(meta.Diff)
	}
	if d.Index == nil && len(d.Items) == 0 {
		return out, nil
	}
	file, err := d.encode()
	if err != nil {
		return out, err
	}
	rec.files, out.Detail = append(rec.files, file), &file.Descriptor
	return out, nil
}

// recordRun is the definition of a run step without the values of its secrets.
func recordRun(run *template.Run) *template.Run {
	out := *run
	out.Pos = template.Pos{}
	out.Env = maps.Clone(out.Env)
	for _, name := range out.Secret {
		delete(out.Env, name)
	}
	return &out
}

// recordBelow keeps the path indexes of a parent that has no record itself, as
// far as this bake needed them.
func (b *Builder) recordBelow(ctx context.Context, parent *Image, r *Record, rec *recorded) error {
	if parent.Recipe != nil || b.recordedBefore(ctx, parent) {
		return nil
	}
	config, err := parent.Image.ConfigFile()
	if err != nil {
		return err
	}
	r.Below = &RecordBelow{Components: append([]Component{}, parent.Components...), Indexes: []RecordIndex{}}
	for _, diff := range config.RootFS.DiffIDs {
		ix, ok := b.knownIndex(ctx, diff)
		if !ok {
			continue
		}
		file, err := detail{Schema: detailSchema, Index: ix, Scan: b.keptScan(diff)}.encode()
		if err != nil {
			return err
		}
		rec.files = append(rec.files, file)
		r.Below.Indexes = append(r.Below.Indexes, RecordIndex{Diff: digest.Digest(diff.String()), Detail: file.Descriptor})
	}
	return ctx.Err()
}

// recordedBefore says whether a parent from outside the template has a record
// that tells its indexes.
func (b *Builder) recordedBefore(ctx context.Context, parent *Image) bool {
	if b.Records == nil || parent.Host != "" {
		return false
	}
	_, err := b.Records.Of(ctx, parent.Name, parent.Digest)
	return err == nil
}

// record of an image that a builder finished.
func (img *Image) makeRecord(ctx context.Context) (*recorded, error) {
	if img.record == nil || img.Index != nil {
		return nil, nil
	}
	return img.record(ctx)
}

var _ v1.Layer = (*storeLayer)(nil)
