package bake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"kiln/bake/template"
	"kiln/layers"
	"kiln/registry"
)

// Media types of what the inputs referrer holds besides files.
const (
	RecordMediaType = "application/vnd.kiln.recipe.v1+json"     // a Record
	DetailMediaType = "application/vnd.kiln.index.v1+json+gzip" // a step's Detail
)

// RecordSchema is the schema of a Record.
const RecordSchema = "kiln.recipe/v1"

// recordName is the record among the dependencies of a provenance.
const recordName = "recipe"

// maxRecord bounds a record, in bytes: some 30,000 packages.
const maxRecord = 16 << 20

// Record says how a version was made: what the template said of the image when
// it was evaluated, and what each step made of it. It follows from template,
// lock and files alone, and holds no value of a secret. The provenance of a
// signed version names its digest.
type Record struct {
	Schema string `json:"schema"`
	// Image is what the template said; its From, Steps and Pos are not here.
	Image   template.Image        `json:"image"`
	Archive *template.Debian      `json:"archive,omitempty"` // where its packages come from
	Locked  *template.LockedImage `json:"locked,omitempty"`  // what kiln.lock said of it
	Parent  *RecordParent         `json:"parent,omitempty"`  // nil for an image from nothing
	Epoch   *int64                `json:"source_date_epoch,omitempty"`
	Created time.Time             `json:"created"` // the image's timestamp
	Docker  *RecordConfig         `json:"docker,omitempty"`
	Steps   []RecordStep          `json:"steps"`
	// Components are the Debian packages of the image, the parent's too.
	Components []Component `json:"components"`
	// Below is what a parent without a record would tell by one.
	Below *RecordBelow `json:"below,omitempty"`
}

// RecordParent is the parent of a recorded version.
type RecordParent struct {
	Name   string        `json:"name"`
	Host   string        `json:"host,omitempty"` // "" for the store that the version lies in
	Digest digest.Digest `json:"digest"`
}

// RecordStep is one step, in the order of the layers.
type RecordStep struct {
	Name string   `json:"name"`
	Kind StepKind `json:"kind"`
	// Key is that of the cache; "" of a step whose key hashes a secret.
	Key   string       `json:"key,omitempty"`
	Layer *layers.Meta `json:"layer,omitempty"` // nil if the step changed nothing
	// Detail is the blob with the items of a content step and with the path
	// index of the layer.
	Detail *ocispec.Descriptor `json:"detail,omitempty"`
	Run    *template.Run       `json:"run,omitempty"` // without the values of its secrets
	// Declare is what a step of accounts and permissions declares.
	Declare *template.Declare `json:"declare,omitempty"`
	// Field: the step follows from a field of the image and is not in its list
	// of steps.
	Field bool `json:"field,omitempty"`
	// Installed is what the step left in the dpkg database, where it changed that.
	Installed []Component `json:"installed,omitempty"`
}

// RecordBelow is what a bake found out of a parent without a record.
type RecordBelow struct {
	Components []Component   `json:"components"`
	Indexes    []RecordIndex `json:"indexes"`
}

// RecordIndex is a layer of the parent and the blob with its path index.
type RecordIndex struct {
	Diff   digest.Digest      `json:"diff_id"`
	Detail ocispec.Descriptor `json:"detail"`
}

// ParseRecord reads a record, strictly: one with a field that this kiln does
// not know is refused, since what it means is not known either.
func ParseRecord(data []byte) (*Record, error) {
	if len(data) > maxRecord {
		return nil, fmt.Errorf("read record: %d bytes are more than %d", len(data), maxRecord)
	}
	var r Record
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	err := dec.Decode(&r)
	version := r.Schema
	if err != nil { // maybe of another schema
		version = schemaOf(data)
	}
	if version != RecordSchema && (err == nil || json.Valid(data)) {
		return nil, fmt.Errorf("read record: schema %q is not %q: this kiln cannot read it", clipped(version), RecordSchema)
	}
	if err != nil {
		return nil, fmt.Errorf("read record: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("read record: more text after top-level value")
	}
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("read record: %w", err)
	}
	return &r, nil
}

// schemaOf is what a document says of its schema; "" if it says nothing.
func schemaOf(data []byte) string {
	var version struct {
		Schema string `json:"schema"`
	}
	_ = json.Unmarshal(data, &version) // where that fails, so did the reading of all
	return version.Schema
}

// check refuses what no bake writes and what later code counts on.
func (r *Record) check() error {
	if err := registry.CheckName(r.Image.FullName); err != nil {
		return err
	}
	if len(r.Image.Platforms) != 1 || r.Image.Name == "" {
		return errors.New("an image has one name and one platform")
	}
	if p := r.Parent; p != nil {
		if err := errors.Join(registry.CheckName(p.Name), registry.CheckDigest(p.Digest)); err != nil {
			return fmt.Errorf("parent: %w", err)
		}
	}
	for i, s := range r.Steps {
		if err := s.check(); err != nil {
			return fmt.Errorf("step %d (%q): %w", i+1, clipped(s.Name), err)
		}
	}
	if d := r.Docker; d != nil {
		if err := registry.CheckDigest(d.On); err != nil {
			return fmt.Errorf("docker: %w", err)
		}
		for _, read := range d.Reads {
			if err := errors.Join(registry.CheckName(read.Name), registry.CheckDigest(read.Digest)); err != nil {
				return fmt.Errorf("docker: %w", err)
			}
		}
	}
	if r.Below == nil {
		return nil
	}
	for _, ix := range r.Below.Indexes {
		if err := errors.Join(registry.CheckDigest(ix.Diff), registry.CheckDigest(ix.Detail.Digest)); err != nil {
			return fmt.Errorf("index: %w", err)
		}
	}
	return nil
}

func (s RecordStep) check() error {
	switch s.Kind {
	case ContentStep, PackagesStep, RunStep:
	default:
		return fmt.Errorf("unknown kind %q", clipped(string(s.Kind)))
	}
	if s.Key != "" && !isKey(s.Key) {
		return fmt.Errorf("key %q is none", clipped(s.Key))
	}
	if d := s.Detail; d != nil {
		if err := registry.CheckDigest(d.Digest); err != nil {
			return err
		}
	}
	if s.Layer == nil {
		return nil
	}
	if _, err := s.Layer.Compression.Encoder(); err != nil {
		return err
	}
	if s.Layer.Desc.Size <= 0 || s.Detail == nil {
		return errors.New("a layer without size or index")
	}
	return errors.Join(
		registry.CheckDigest(digest.Digest(s.Layer.Desc.Digest.String())),
		registry.CheckDigest(digest.Digest(s.Layer.Diff.String())),
	)
}

// isKey tells whether k can be a cache key: it becomes part of a path.
func isKey(k string) bool {
	return digest.NewDigestFromEncoded(digest.SHA256, k).Validate() == nil
}

// clipped keeps a hostile value from flooding a message.
func clipped(s string) string {
	if len(s) > 120 {
		return s[:120] + "…"
	}
	return s
}
