package bake

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"

	"kiln/bake/dockerfile"
	"kiln/bake/template"
)

// recorded steps stand in an image that is made again from its record.
type (
	// recordedContent places the recorded items; their content is in the layer.
	recordedContent struct {
		rec  *StoredRecord
		step RecordStep
	}
	// recordedConfig is the configuration that a Dockerfile gave.
	recordedConfig struct{ RecordConfig }
)

// Position implements template.Step.
func (recordedContent) Position() template.Pos { return template.Pos{} }

// String is the name that the step had.
func (s recordedContent) String() string { return s.step.Name }

// Position implements template.Step.
func (recordedConfig) Position() template.Pos { return template.Pos{} }

// String implements fmt.Stringer.
func (recordedConfig) String() string { return "dockerfile" }

// RecordConfig is the configuration that a Dockerfile gave an image. It is
// whole, so it stands only on a parent with an equal one.
type RecordConfig struct {
	Config v1.Config     `json:"config"`
	Author string        `json:"author,omitempty"`
	On     digest.Digest `json:"on"` // of the parent's configuration
	// Reads are the images that the Dockerfile took files from, by themselves
	// or through a stage: what came of them is in recorded layers.
	Reads []RecordRead `json:"reads,omitempty"`
}

// RecordRead is an image besides the parent that a Dockerfile read. Its name
// may be the parent's.
type RecordRead struct {
	RecordParent
	Stage string `json:"stage,omitempty"` // that stands on it; "" where files were taken from the image itself
}

// configDigest names the run configuration of an image; of none, too.
func configDigest(img *Image) (digest.Digest, error) {
	var config v1.Config
	if img != nil {
		file, err := img.Image.ConfigFile()
		if err != nil {
			return "", err
		}
		config = file.Config
	}
	data, err := json.Marshal(config)
	return digest.FromBytes(data), err
}

// recordDocker is what a Dockerfile made of the configuration; nil without one.
func recordDocker(st *state) (*RecordConfig, error) {
	if st.docker == nil {
		return nil, nil
	}
	on, err := configDigest(st.parent)
	return &RecordConfig{Config: st.docker.Config, Author: st.docker.Author, On: on, Reads: st.reads}, err
}

// errOtherConfig refuses a Dockerfile's configuration on another one.
var errOtherConfig = errors.New("the parent's configuration changed, and this image's comes from a Dockerfile that read it (bake it from its template)")

func (c recordedConfig) apply(st *state) error {
	on, err := configDigest(st.parent)
	if err != nil {
		return err
	}
	if on != c.On {
		return errOtherConfig
	}
	st.docker, st.reads = &dockerfile.Result{Config: c.Config, Author: c.Author}, c.Reads
	return nil
}

// recordedContents are the items of a recorded step. Their content is read out
// of its layer, and only if they land elsewhere now.
func (b *Builder) recordedContents(ctx context.Context, s recordedContent) (contents, error) {
	if s.step.Detail == nil {
		return contents{}, nil
	}
	d, err := b.storedDetail(ctx, s.rec.Name, s.step.Detail.Digest)
	if err != nil {
		return contents{}, fmt.Errorf("the record of %s@%s: %w", s.rec.Name, s.rec.Version, err)
	}
	dir := ""
	open := func(sum string) (io.ReadCloser, error) { return os.Open(filepath.Join(dir, sum)) }
	c := contents{items: d.items(open)}
	if s.step.Layer == nil {
		return c, nil
	}
	b.learn(s.step.Layer.Diff.String(), s.rec.Name, s.step.Detail.Digest)
	c.load = func(ctx context.Context, into string) error {
		layer, ok := b.storeLayer(ctx, hit{s.rec, s.step})
		if !ok {
			return fmt.Errorf("the store no longer has layer %s of %s (bake it from its template)", s.step.Layer.Desc.Digest, s.rec.Name)
		}
		dir = into
		return unpackFiles(layer, into)
	}
	return c, nil
}

// unpackFiles writes the regular files of a layer into a folder, each under
// the SHA-256 of its content.
func unpackFiles(layer v1.Layer, dir string) error {
	r, err := layer.Uncompressed()
	if err != nil {
		return err
	}
	defer r.Close()
	archive := tar.NewReader(r)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			_, err := io.Copy(io.Discard, r)
			return err
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := unpackFile(archive, dir); err != nil {
			return err
		}
	}
}

func unpackFile(content io.Reader, dir string) error {
	tmp, err := os.CreateTemp(dir, "file-")
	if err != nil {
		return err
	}
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(tmp, sum), content)
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), filepath.Join(dir, hex.EncodeToString(sum.Sum(nil))))
}

// Remake is an image as its record says it, to be baked on another parent.
// Values are those of the secrets of its run steps, by name. What the record
// does not hold is an error that says what to do.
func (r *StoredRecord) Remake(from template.From, values map[string]string) (*template.Image, error) {
	img := r.Image
	img.Name, img.From = img.FullName, from // names of several projects meet
	if img.Debian == nil && r.Archive != nil {
		a := *r.Archive
		img.Debian = &template.Debian{
			Suite: a.Suite, Components: a.Components, Mirror: a.Mirror, Keyring: a.Keyring, Sources: a.Sources,
		}
	}
	if err := r.standsAlone(); err != nil {
		return nil, fmt.Errorf("%s@%s: %w", r.Name, r.Version, err)
	}
	if err := r.lacksSecrets(values); err != nil {
		return nil, fmt.Errorf("%s@%s: %w", r.Name, r.Version, err)
	}
	if r.Docker != nil {
		img.Steps = append(img.Steps, recordedConfig{*r.Docker})
	}
	for _, s := range r.Steps {
		step, err := r.remakeStep(s, values)
		if err != nil {
			return nil, fmt.Errorf("%s@%s: %s: %w", r.Name, r.Version, s.Name, err)
		}
		if step != nil {
			img.Steps = append(img.Steps, step)
		}
	}
	return &img, nil
}

// standsAlone refuses an image whose Dockerfile reads its parent in other ways,
// too: a rebase would keep what came of the old one.
func (r *StoredRecord) standsAlone() error {
	if r.Docker == nil || r.Parent == nil {
		return nil
	}
	for _, read := range r.Docker.Reads {
		switch {
		case read.Name != r.Parent.Name || read.Host != r.Parent.Host:
		case read.Stage == "":
			return fmt.Errorf("its Dockerfile copies files from %s, which a rebase would not do again (bake it from its template)", read.Name)
		default:
			return fmt.Errorf("its stage %q stands on %s, too, and a rebase would not build it again (bake it from its template)", read.Stage, read.Name)
		}
	}
	return nil
}

func (r *StoredRecord) remakeStep(s RecordStep, values map[string]string) (template.Step, error) {
	switch {
	case s.Field, s.Kind == PackagesStep:
		return nil, nil // they follow from the image
	case s.Kind == ContentStep:
		return recordedContent{r, s}, nil
	case s.Declare != nil:
		return s.Declare, nil
	case s.Run == nil:
		return nil, errors.New("its definition is not recorded (bake it from its template)")
	}
	run := *s.Run
	run.Mounts = slices.Clone(run.Mounts)
	for i, m := range run.Mounts {
		if m.Type == template.MountBind {
			return nil, fmt.Errorf("%s: its files are not recorded with the version (bake it from its template)", m)
		}
		if unrecorded(m) {
			run.Mounts[i].Secret.Value = values[m.ID]
		}
	}
	run.Name = s.Name // which is in the image's history
	run.Env = map[string]string{}
	for k, v := range s.Run.Env {
		run.Env[k] = v
	}
	for _, name := range run.Secret {
		run.Env[name] = values[name]
	}
	return &run, nil
}

// unrecorded tells a mount of a secret that was the value of a variable.
func unrecorded(m template.Mount) bool { return m.Type == template.MountSecret && !m.Secret.Given() }

// lacksSecrets refuses to go on without the values that are needed.
func (r *StoredRecord) lacksSecrets(values map[string]string) error {
	var names, flags []string
	for _, name := range r.Secrets() {
		if _, ok := values[name]; !ok {
			names, flags = append(names, name), append(flags, "--var "+name+"=VALUE")
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("its run steps need %s, whose values are not recorded (give %s)", strings.Join(names, ", "), strings.Join(flags, " "))
}

// Secrets are the names of the values that Remake needs, sorted.
func (r *StoredRecord) Secrets() []string {
	var names []string
	for _, s := range r.Steps {
		if s.Run != nil {
			names = append(names, s.Run.Secret...)
			for _, m := range s.Run.Mounts {
				if unrecorded(m) && !m.Optional {
					names = append(names, m.ID)
				}
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
