package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kiln/bake"
	"kiln/layers"
	"kiln/registry"
	"kiln/registry/imagecopy"
)

// The kinds of --output.
const (
	outputOCI      = "oci"            // an OCI image layout with all targets
	outputDocker   = "docker-archive" // one file with all targets, for docker load
	outputRootfs   = "rootfs"         // the merged tree of one target, as a tar archive
	outputRegistry = "registry"       // another registry, with all that is attached
)

// outputForms is what --output takes.
const outputForms = "oci:DIR, docker-archive:FILE, rootfs:FILE.tar[.gz|.zst] or registry:HOST[/NAME[:TAG]]"

// bakeOutput is one --output.
type bakeOutput struct {
	kind string
	path string             // of a folder or file
	ref  registry.Reference // of a registry; Name is "" for the images' own
}

func (o bakeOutput) String() string {
	if o.kind != outputRegistry {
		return o.kind + ":" + o.path
	}
	text := o.kind + ":" + o.ref.Host
	if o.ref.Name != "" {
		text += "/" + o.ref.Name
	}
	if o.ref.Tag != "" {
		text += ":" + o.ref.Tag
	}
	return text
}

// parseOutputs reads what --output says, and refuses what no bake could write.
func parseOutputs(texts []string) ([]bakeOutput, error) {
	var list []bakeOutput
	for _, text := range texts {
		o, err := parseOutput(text)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(list, func(have bakeOutput) bool { return have.String() == o.String() }) {
			return nil, usagef("--output %s is given twice", text)
		}
		list = append(list, o)
	}
	return list, nil
}

func parseOutput(text string) (bakeOutput, error) {
	kind, rest, ok := strings.Cut(text, ":")
	wrong := usagef("--output %s: want %s", text, outputForms)
	if !ok || rest == "" {
		return bakeOutput{}, wrong
	}
	switch o := (bakeOutput{kind: kind, path: rest}); kind {
	case outputOCI:
		list, err := os.ReadDir(rest)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return o, usagef("--output %s: %v", text, err)
		}
		if _, err := os.Stat(filepath.Join(rest, "oci-layout")); err != nil && len(list) > 0 {
			return o, usagef("--output %s: %s is neither empty nor an OCI layout: name another folder", text, rest)
		}
		if above := filepath.Dir(filepath.Clean(rest)); err != nil && !isFolder(above) {
			return o, usagef("--output %s: there is no folder %s", text, above)
		}
		return o, nil
	case outputDocker, outputRootfs:
		if !isFolder(filepath.Dir(rest)) {
			return o, usagef("--output %s: there is no folder %s", text, filepath.Dir(rest))
		}
		if info, err := os.Stat(rest); err == nil && info.IsDir() {
			return o, usagef("--output %s: that is a folder, and a file is written", text)
		}
		return o, nil
	case outputRegistry:
		return parseRegistryOutput(text, rest)
	}
	return bakeOutput{}, wrong
}

func isFolder(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

func parseRegistryOutput(text, rest string) (bakeOutput, error) {
	o := bakeOutput{kind: outputRegistry}
	named := strings.Contains(rest, "/")
	if !named {
		rest += "/name" // only to have the host checked
	}
	var err error
	if o.ref, err = registry.ParseReference(rest); err != nil {
		return o, usagef("--output %s: %v", text, err)
	}
	if o.ref.Host == "" || o.ref.Digest != "" {
		return o, usagef("--output %s: want registry:HOST[/NAME[:TAG]], where HOST has a dot or a port, or is localhost", text)
	}
	if !named {
		o.ref.Name = ""
	}
	return o, nil
}

// checkOutputs refuses to begin what could not be written in the end.
func (j *bakeJob) checkOutputs() error {
	names := map[string]bool{}
	for _, img := range j.targets {
		names[img.Name] = true
	}
	for _, o := range j.outputs {
		for _, img := range j.targets {
			if len(img.All) > 1 && (o.kind == outputDocker || o.kind == outputRootfs) {
				return usagef("--output %s: image %q is for several platforms, and this holds one: write oci:DIR", o, img.Name)
			}
		}
		if one := o.kind == outputRootfs || o.ref.Name != ""; one && len(names) != 1 {
			return usagef("--output %s holds one image, and %d are targets: name one with --target", o, len(names))
		}
	}
	return nil
}

// writeOutputs writes the targets where --output says.
func (a *app) writeOutputs(ctx context.Context, job *bakeJob, baked []bake.Baked) error {
	baked = slices.DeleteFunc(slices.Clone(baked), func(b bake.Baked) bool { return !b.Target })
	for _, o := range job.outputs {
		if err := a.writeOutput(ctx, job, o, baked); err != nil {
			return fmt.Errorf("--output %s: %w", o, err)
		}
	}
	return nil
}

func (a *app) writeOutput(ctx context.Context, job *bakeJob, o bakeOutput, baked []bake.Baked) error {
	var items []layers.Named
	for _, b := range baked {
		items = append(items, layers.Named{Ref: b.Name + ":" + b.Tag, Image: b.Image.Image, Index: b.Index})
	}
	switch o.kind {
	case outputOCI:
		return layers.WriteOCILayout(o.path, items)
	case outputDocker:
		return layers.WriteDockerArchive(o.path, items)
	case outputRootfs:
		return layers.WriteRootfs(ctx, o.path, items[0].Image)
	}
	for _, b := range baked {
		if err := a.pushOutput(ctx, job, o, b); err != nil {
			return err
		}
	}
	return nil
}

// pushOutput copies a version to another registry, with all that is attached
// and its version tag, as kiln copy does.
func (a *app) pushOutput(ctx context.Context, job *bakeJob, o bakeOutput, b bake.Baked) error {
	ref := o.ref
	if ref.Name == "" {
		ref.Name = b.Name
	}
	dst, err := a.copyRegistry(ctx, ref, purpose{create: true})
	if err != nil {
		return err
	}
	defer dst.close()
	tags := []string{b.Tag}
	if ref.Tag != "" && ref.Tag != b.Tag {
		tags = append(tags, ref.Tag)
	}
	result, err := imagecopy.Copy(ctx, job.backend.registry, b.Name, b.Digest, dst.registry, dst.repo, imagecopy.Options{
		Tags: tags, Progress: a.copyProgress(),
	})
	if err != nil {
		return unconnected(ref.Host, fmt.Sprintf("%s@%s", b.Name, b.Digest), dst.name, err)
	}
	a.say("copied %s to %s:%s with %d attached", b.Name, dst.name, tags[len(tags)-1], result.Attached)
	if result.Attached > 0 && dst.repo != b.Name {
		a.say("its signatures are for %s, and verify does not accept them for %s: sign it there", b.Name, dst.repo)
	}
	return nil
}

// unconnected says of a registry that no connection led to that what was baked
// is none the worse for it.
func unconnected(host, version, to string, err error) error {
	failed, ok := errors.AsType[*net.OpError](err)
	if !ok || failed.Op != "dial" {
		return err
	}
	return withHint(exitCode(err), fmt.Errorf("there is no connection to %s: %w", host, failed.Err),
		"the version is stored all the same: once "+host+" can be reached, bake again (nothing is made twice) or run kiln copy "+version+" "+to)
}
