package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerForeign  = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
)

// shape is what a media type lets a manifest have.
type shape struct {
	index bool // manifests, otherwise config and layers
	oci   bool // artifactType and subject
}

var shapes = map[string]shape{
	ocispec.MediaTypeImageManifest: {oci: true},
	ocispec.MediaTypeImageIndex:    {oci: true, index: true},
	dockerManifest:                 {},
	dockerList:                     {index: true},
}

// Parts is what a manifest says of itself and what it names.
type Parts struct {
	MediaType    string
	ArtifactType string // where it has none, the media type of its config
	Annotations  map[string]string
	Subject      digest.Digest        // "" for none
	Blobs        []ocispec.Descriptor // config and layers; an index's children that are no manifests
	Manifests    []ocispec.Descriptor // an index's children
}

// document has the fields of every accepted media type.
type document struct {
	SchemaVersion int                  `json:"schemaVersion"`
	MediaType     string               `json:"mediaType"`
	ArtifactType  string               `json:"artifactType"`
	Config        *ocispec.Descriptor  `json:"config"`
	Layers        []ocispec.Descriptor `json:"layers"`
	Manifests     []ocispec.Descriptor `json:"manifests"`
	Subject       *ocispec.Descriptor  `json:"subject"`
	Annotations   map[string]string    `json:"annotations"`
}

// fields that an image manifest and an index must not share (CVE-2021-41190);
// the last three are of manifests that this registry does not take.
var (
	imageOnly = []string{"config", "layers"}
	indexOnly = []string{"manifests"}
	neither   = []string{"fsLayers", "history", "blobs"}
)

// ParseManifest reads a manifest that came as mediaType ("" lets the manifest
// say). It takes only what all parsers of the world read alike, and refuses
// the rest with CodeManifestInvalid.
func ParseManifest(mediaType string, content []byte) (Parts, error) {
	m, err := parse(mediaType, content)
	if err != nil {
		return Parts{}, Errorf(CodeManifestInvalid, "invalid manifest: %w", err)
	}
	return m, nil
}

func parse(mediaType string, content []byte) (Parts, error) {
	if len(content) > MaxManifestSize {
		return Parts{}, fmt.Errorf("more than %d bytes", MaxManifestSize)
	}
	fields, err := topFields(content)
	if err != nil {
		return Parts{}, err
	}
	var doc document
	if err := json.Unmarshal(content, &doc); err != nil {
		return Parts{}, err
	}
	if mediaType == "" {
		mediaType = doc.MediaType
	}
	if doc.MediaType != "" && doc.MediaType != mediaType {
		return Parts{}, fmt.Errorf("pushed as %q, but its mediaType is %q", mediaType, doc.MediaType)
	}
	sh, ok := shapes[mediaType]
	if !ok {
		return Parts{}, fmt.Errorf("media type %q is not taken", mediaType)
	}
	if err := checkFields(sh, doc, fields); err != nil {
		return Parts{}, err
	}
	return build(mediaType, sh, doc)
}

func checkFields(sh shape, doc document, fields map[string]bool) error {
	if doc.SchemaVersion != 2 {
		return fmt.Errorf("schemaVersion is %d, want 2", doc.SchemaVersion)
	}
	forbidden := append([]string{}, neither...)
	if sh.index {
		forbidden = append(forbidden, imageOnly...)
	} else {
		forbidden = append(forbidden, indexOnly...)
	}
	if !sh.oci {
		forbidden = append(forbidden, "subject", "artifactType")
	}
	for _, f := range forbidden {
		if fields[f] {
			return fmt.Errorf("field %q does not belong to this media type", f)
		}
	}
	if sh.index && !fields["manifests"] || !sh.index && (doc.Config == nil || !fields["layers"]) {
		return fmt.Errorf("config and layers, or manifests, are missing")
	}
	return nil
}

func build(mediaType string, sh shape, doc document) (Parts, error) {
	m := Parts{MediaType: mediaType, ArtifactType: doc.ArtifactType, Annotations: doc.Annotations}
	all := append([]ocispec.Descriptor{}, doc.Layers...)
	if doc.Config != nil {
		all = append(all, *doc.Config)
		if m.ArtifactType == "" && sh.oci { // distribution spec, "Listing Referrers"
			m.ArtifactType = doc.Config.MediaType
		}
	}
	for _, d := range append(all, doc.Manifests...) {
		if err := checkDescriptor(d); err != nil {
			return Parts{}, err
		}
	}
	if doc.Subject != nil {
		if err := checkDescriptor(*doc.Subject); err != nil {
			return Parts{}, fmt.Errorf("subject: %w", err)
		}
		m.Subject = doc.Subject.Digest
	}
	m.Blobs = all
	for _, d := range doc.Manifests {
		if _, ok := shapes[d.MediaType]; ok {
			m.Manifests = append(m.Manifests, d)
		} else {
			m.Blobs = append(m.Blobs, d)
		}
	}
	return m, nil
}

func checkDescriptor(d ocispec.Descriptor) error {
	if err := CheckDigest(d.Digest); err != nil {
		return err
	}
	if d.Size < 0 {
		return fmt.Errorf("descriptor of %s has size %d", d.Digest, d.Size)
	}
	return nil
}

// IsForeign tells a layer that its registry need not have.
func IsForeign(d ocispec.Descriptor) bool {
	return len(d.URLs) > 0 || d.MediaType == dockerForeign || strings.Contains(d.MediaType, ".nondistributable.")
}

// topFields lists the fields of a JSON object. It refuses a field twice, also
// in another case: Go's parser takes "Layers" for layers, others do not.
func topFields(content []byte) (map[string]bool, error) {
	dec := json.NewDecoder(bytes.NewReader(content))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return nil, fmt.Errorf("no JSON object")
	}
	fields := map[string]bool{}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name, _ := tok.(string)
		if fields[name] {
			return nil, fmt.Errorf("field %q twice", name)
		}
		if exact := spelling[foldField(name)]; exact != "" && exact != name {
			return nil, fmt.Errorf("field %q, did you mean %q", name, exact)
		}
		fields[name] = true
		var skip json.RawMessage
		if err := dec.Decode(&skip); err != nil {
			return nil, err
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("something follows the JSON object")
	}
	return fields, nil
}
