package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"kiln/bake"
	"kiln/layers"
)

// inspectOptions are the flags of kiln inspect.
type inspectOptions struct {
	keys     []string
	platform string
	files    bool
	layer    string
}

func (a *app) inspectCommand() *cobra.Command {
	var o inspectOptions
	cmd := &cobra.Command{
		Use:   "inspect REF",
		Short: "Show what an image is made of: layers, files, configuration, evidence, parents",
		Long: "inspect reads IMAGE@DIGEST, IMAGE:TAG or IMAGE:CHANNEL of the store, HOST/IMAGE of another registry, or\n" +
			"oci:DIR[:TAG]. Evidence is held against --key, else against the keys that the store trusts to bake the\n" +
			"image. Layers whose files nobody wrote down are read where they lie on this machine, or with --files.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.inspect(cmd.Context(), args[0], o) },
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.keys, "key", nil, "public key that must have signed (repeatable; default: the store's trust)")
	f.StringVar(&o.platform, "platform", "", "of an index, the image for this platform (os/arch)")
	f.BoolVar(&o.files, "files", false, "list the files of every layer")
	f.StringVar(&o.layer, "layer", "", "list the files of this layer: its digest, the begin of it, or its number from 1")
	return cmd
}

// inspectReport is what kiln inspect --json prints.
type inspectReport struct {
	Schema     string             `json:"schema"`
	Image      string             `json:"image"`
	Digest     digest.Digest      `json:"digest"`
	Index      digest.Digest      `json:"index,omitempty"` // that the image was picked from
	MediaType  string             `json:"media_type"`
	Tier       string             `json:"tier,omitempty"`
	Platform   string             `json:"platform,omitempty"` // of an image
	Platforms  []inspectPlatform  `json:"platforms,omitempty"`
	Tags       []string           `json:"tags"`
	Channels   []string           `json:"channels"`
	Revoked    bool               `json:"revoked"`
	Because    string             `json:"revoked_because,omitempty"`
	From       *time.Time         `json:"revoked_from,omitempty"` // of a planned revocation
	Approvals  []inspectApproval  `json:"approvals,omitempty"`
	Created    *time.Time         `json:"created,omitempty"` // the image's timestamp
	Baked      *time.Time         `json:"baked,omitempty"`   // when the version was made
	Revision   string             `json:"revision,omitempty"`
	Size       inspectSize        `json:"size"`
	Annotation map[string]string  `json:"annotations,omitempty"`
	Config     *inspectConfig     `json:"config,omitempty"`
	Layers     []inspectLayer     `json:"layers"`
	Parents    []inspectParent    `json:"parents"`
	Recorded   digest.Digest      `json:"record,omitempty"` // of how it was made, if signed
	Evidence   inspectEvidence    `json:"evidence"`
	Scan       *bake.AttestedScan `json:"scan,omitempty"`
}

type inspectPlatform struct {
	Platform string        `json:"platform"`
	Digest   digest.Digest `json:"digest"`
	Size     int64         `json:"size"` // of the manifest
}

// inspectSize is in bytes.
type inspectSize struct {
	Compressed   int64  `json:"compressed"`             // manifest, config and layers
	Uncompressed *int64 `json:"uncompressed,omitempty"` // files of all layers; absent if one was not looked into
}

type inspectConfig struct {
	User        string            `json:"user,omitempty"`
	Workdir     string            `json:"workdir,omitempty"`
	Entrypoint  []string          `json:"entrypoint,omitempty"`
	Cmd         []string          `json:"cmd,omitempty"`
	Env         []string          `json:"env,omitempty"`
	Ports       []string          `json:"ports,omitempty"`
	Volumes     []string          `json:"volumes,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	StopSignal  string            `json:"stop_signal,omitempty"`
	Healthcheck *v1.HealthConfig  `json:"healthcheck,omitempty"`
}

type inspectLayer struct {
	Digest    digest.Digest `json:"digest"`
	DiffID    digest.Digest `json:"diff_id"`
	MediaType string        `json:"media_type"`
	Size      int64         `json:"size"` // compressed
	Step      string        `json:"step,omitempty"`
	Image     string        `json:"image,omitempty"` // whose layer it is; "" if that is not known
	Own       bool          `json:"own"`
	Files     *int          `json:"files,omitempty"` // regular files; absent if it was not looked into
	Unpacked  *int64        `json:"unpacked,omitempty"`
	Entries   []inspectFile `json:"entries,omitempty"`
}

// inspectFile is a path of a layer; a whiteout has the type "removal".
type inspectFile struct {
	Path string `json:"path"`
	layers.FileState
}

type inspectParent struct {
	Image  string        `json:"image"`
	Digest digest.Digest `json:"digest"`
	Layers int           `json:"layers"`
	Stored bool          `json:"stored"` // it is there, and its layers are below this image's
}

func (a *app) inspect(ctx context.Context, ref string, o inspectOptions) error {
	l, err := a.lookAt(ctx, ref, o.platform, o.keys)
	if err != nil {
		return err
	}
	defer l.close()
	if l.Images != nil && (o.files || o.layer != "") {
		return usagef("%s is an index of several platforms: pick one with --platform", ref)
	}
	r := inspectReport{
		Schema: "kiln.inspect/v1", Image: l.place.name, Digest: l.Digest, MediaType: l.MediaType,
		Tags: []string{}, Channels: []string{}, Layers: []inspectLayer{}, Parents: []inspectParent{},
		Annotation: l.Manifest.Annotations, Tier: l.Manifest.Annotations[bake.TierAnnotation],
	}
	if l.version != l.Digest {
		r.Index = l.version
	}
	if err := l.describeVersion(ctx, &r); err != nil {
		return err
	}
	if l.Images != nil {
		l.describeIndex(&r)
	} else if err := l.describeImage(ctx, &r, o); err != nil {
		return err
	}
	if r.Evidence, r.Scan, err = l.evidence(ctx); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(r)
	}
	return a.printInspect(r)
}

// describeVersion says what the store says of the version.
func (l *looked) describeVersion(ctx context.Context, r *inspectReport) error {
	v, err := l.standing(ctx)
	if err != nil {
		return err
	}
	if v != nil {
		r.Tags, r.Channels, r.Revoked, r.Because = v.Tags, v.Channels, v.Revoked, v.RevokedBecause
		r.From = v.RevokedFrom
		r.Baked, r.Revision = &v.Created, v.Revision
		return l.describeApprovals(ctx, r)
	}
	if l.place.tag != "" {
		r.Tags = []string{l.place.tag}
	}
	return nil
}

func (l *looked) describeIndex(r *inspectReport) {
	r.Size.Compressed = l.View.Size
	for _, m := range platformImages(l.View) {
		r.Platforms = append(r.Platforms, inspectPlatform{platformName(m.Platform), m.Digest, m.Size})
	}
}

func (l *looked) describeImage(ctx context.Context, r *inspectReport, o inspectOptions) error {
	c := l.View.Config
	r.Platform, r.Config = configPlatform(l.View), configOf(c)
	if !c.Created.IsZero() {
		r.Created = &c.Created.Time
	}
	if l.Record != nil {
		r.Recorded = l.Record.Digest
	}
	line, missing, err := l.Line(ctx)
	if err != nil {
		return err
	}
	for _, p := range line {
		r.Parents = append(r.Parents, inspectParent{p.Name, p.Digest, len(p.Manifest.Layers), true})
	}
	if missing != "" {
		name, d := l.View.Base()
		if len(line) > 0 {
			name, d = line[len(line)-1].Base()
		}
		r.Parents = append(r.Parents, inspectParent{Image: name, Digest: d})
	}
	return l.describeLayers(ctx, r, line, missing, o)
}

// describeLayers lists the layers, and the files of those that are asked for.
func (l *looked) describeLayers(ctx context.Context, r *inspectReport, line []*bake.View, missing string, o inspectOptions) error {
	chosen, err := l.chosenLayers(o)
	if err != nil {
		return err
	}
	r.Size.Compressed = l.View.Size + l.Manifest.Config.Size
	whole, known := int64(0), true
	for i, step := range l.Steps() {
		d := l.Manifest.Layers[i]
		layer := inspectLayer{
			Digest: d.Digest, DiffID: digest.Digest(l.View.Config.RootFS.DiffIDs[i].String()),
			MediaType: d.MediaType, Size: d.Size, Step: step,
		}
		layer.Image = l.ownerOf(i, line, missing)
		layer.Own = layer.Image == l.Name && layer.Image != ""
		r.Size.Compressed += d.Size
		ix, ok := l.Known(ctx, i)
		if !ok && (chosen[i] || l.near()) {
			if ix, err = l.View.Index(ctx, i); err != nil {
				return err
			}
			ok = true
		}
		if known = known && ok; ok {
			files, size := ix.Weigh()
			layer.Files, layer.Unpacked = &files, &size
			whole += size
		}
		if chosen[i] {
			layer.Entries = listed(ix)
		}
		r.Layers = append(r.Layers, layer)
	}
	if known {
		r.Size.Uncompressed = &whole
	}
	return nil
}

// chosenLayers are those whose files are to be listed.
func (l *looked) chosenLayers(o inspectOptions) (map[int]bool, error) {
	chosen := map[int]bool{}
	for i, d := range l.Manifest.Layers {
		diff := l.View.Config.RootFS.DiffIDs[i].String()
		named := o.layer == fmt.Sprint(i+1) || begins(string(d.Digest), o.layer) || begins(diff, o.layer)
		chosen[i] = o.files || named
		if named && !o.files {
			return map[int]bool{i: true}, nil
		}
	}
	if o.layer != "" && !o.files {
		return nil, withHint(exitNotFound, fmt.Errorf("%s has no layer %s", l, o.layer))
	}
	return chosen, nil
}

// ownerOf is the image that a layer came with: the deepest parent that has it.
func (l *looked) ownerOf(i int, line []*bake.View, missing string) string {
	owner, below := l.Name, 0
	if l.place.repo == "" {
		owner = l.Manifest.Annotations["org.opencontainers.image.title"]
	}
	for _, p := range line {
		if n := len(p.Manifest.Layers); i < n {
			owner = p.Name
		}
	}
	if len(line) > 0 {
		below = len(line[len(line)-1].Manifest.Layers)
	}
	if missing == "" || len(line) > 0 && i >= below {
		return owner
	}
	if len(line) == 0 && l.Record != nil && l.recordedLayer(i) {
		return owner
	}
	return "" // somewhere below a parent that is not there
}

// recordedLayer says whether the image's own record has a layer.
func (l *looked) recordedLayer(i int) bool {
	return slices.ContainsFunc(l.Record.Steps, func(s bake.RecordStep) bool {
		return s.Layer != nil && s.Layer.Desc.Digest.String() == string(l.Manifest.Layers[i].Digest)
	})
}

// near says whether layers lie on this machine.
func (l *looked) near() bool {
	return l.place.store != nil && l.place.store.dir != "" || l.place.layout
}

func listed(ix *layers.Index) []inspectFile {
	list := []inspectFile{}
	for _, p := range ix.Paths() {
		n, _ := ix.Node(p)
		if n.Implicit {
			continue
		}
		f := inspectFile{p, n.State()}
		if n.Type == layers.TypeWhiteout {
			f.FileState = layers.FileState{Type: "removal"}
		}
		list = append(list, f)
	}
	return list
}
