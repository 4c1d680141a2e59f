package bake

import (
	"context"
	"errors"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"kiln/bake/template"
	"kiln/layers"
)

// TierAnnotation carries an image's tier.
const TierAnnotation = "org.kiln.tier"

// HardeningAnnotation lists what was taken from an image, as its template says:
// no_package_manager, no_setuid, no_shell, read_only_root.
const HardeningAnnotation = "org.kiln.hardening"

// finish puts the configuration on top of the layers and fixes the digest.
func (b *Builder) finish(st *state) error {
	var base v1.Image
	if st.parent != nil {
		base = st.parent.Image
	}
	img, err := assemble(st, base, st.steps, st.recipe)
	if err != nil {
		return err
	}
	h, err := img.Digest()
	if err != nil {
		return err
	}
	st.result.Image, st.result.Digest, st.result.Steps = img, digest.Digest(h.String()), st.steps
	st.result.Inputs = append(st.result.Inputs, b.provided(st)...)
	st.result.record = func(ctx context.Context) (*recorded, error) { return b.record(ctx, st) }
	return nil
}

// assemble puts steps on a parent; with a recipe also configuration and
// annotations.
func assemble(st *state, parent v1.Image, steps []StepResult, recipe *template.Image) (v1.Image, error) {
	target, err := platform(st.recipe)
	if err != nil {
		return nil, err
	}
	spec := layers.ImageSpec{Parent: parent, Created: st.result.Timestamp, Platform: target}
	for _, s := range steps {
		h := v1.History{Created: v1.Time{Time: st.result.Timestamp}, CreatedBy: s.Step, Author: "kiln", EmptyLayer: s.layer == nil}
		spec.History = append(spec.History, h)
		if s.layer != nil {
			spec.Layers = append(spec.Layers, s.layer)
		}
	}
	if recipe != nil {
		spec.Config = func(c *v1.ConfigFile) {
			if st.docker != nil {
				c.Config, c.Author = st.docker.Config, st.docker.Author
			}
			configure(c, recipe)
		}
		spec.Annotations = annotations(st)
	}
	return layers.Assemble(spec)
}

// annotations of the manifest (image-spec, "Pre-Defined Annotation Keys").
func annotations(st *state) map[string]string {
	a := map[string]string{
		ocispec.AnnotationTitle: st.recipe.FullName,
		TierAnnotation:          st.recipe.Tier,
	}
	if hardened := st.recipe.Hardening.Names(); len(hardened) > 0 {
		a[HardeningAnnotation] = strings.Join(hardened, ",")
	}
	if st.recipe.Version != "" {
		a[ocispec.AnnotationVersion] = st.recipe.Version
	}
	if st.parent != nil {
		a[ocispec.AnnotationBaseImageName] = st.parent.Name
		a[ocispec.AnnotationBaseImageDigest] = string(st.parent.Digest)
	}
	maps.Copy(a, st.recipe.Annotations)
	return a
}

// configure writes the template's config block over what the parent says
// (image-spec, "Image Configuration").
func configure(c *v1.ConfigFile, recipe *template.Image) {
	cfg := recipe.Config
	if cfg.User != "" {
		c.Config.User = cfg.User
	}
	if cfg.Workdir != "" {
		c.Config.WorkingDir = cfg.Workdir
	}
	if cfg.StopSignal != "" {
		c.Config.StopSignal = cfg.StopSignal
	}
	if cfg.Entrypoint != nil {
		c.Config.Entrypoint, c.Config.Cmd = cfg.Entrypoint, nil
	}
	if cfg.Cmd != nil {
		c.Config.Cmd = cfg.Cmd
	}
	c.Config.Env = mergeEnv(c.Config.Env, cfg.Env)
	include(&c.Config.ExposedPorts, cfg.Ports)
	include(&c.Config.Volumes, cfg.Volumes)
	if len(cfg.Labels) > 0 && c.Config.Labels == nil {
		c.Config.Labels = map[string]string{}
	}
	maps.Copy(c.Config.Labels, cfg.Labels)
	if h := cfg.Healthcheck; h != nil {
		c.Config.Healthcheck = &v1.HealthConfig{
			Test: append([]string{"CMD"}, h.Command...), Interval: h.Interval, Timeout: h.Timeout,
			StartPeriod: h.StartPeriod, Retries: h.Retries,
		}
	}
}

// include adds names to a set; an empty list that is not nil clears it.
func include(set *map[string]struct{}, names []string) {
	if names != nil && len(names) == 0 {
		*set = nil
	}
	for _, name := range names {
		if *set == nil {
			*set = map[string]struct{}{}
		}
		(*set)[name] = struct{}{}
	}
}

// mergeEnv keeps the parent's order, overrides in place, adds sorted, and
// makes sure of a PATH.
func mergeEnv(parent []string, own map[string]string) []string {
	left := maps.Clone(own)
	var env []string
	path := false
	for _, kv := range parent {
		k, _, _ := strings.Cut(kv, "=")
		if v, ok := left[k]; ok {
			kv = k + "=" + v
			delete(left, k)
		}
		path = path || k == "PATH"
		env = append(env, kv)
	}
	if _, ok := left["PATH"]; !ok && !path {
		env = append(env, defaultPath)
	}
	for _, k := range slices.Sorted(maps.Keys(left)) {
		env = append(env, k+"="+left[k])
	}
	return env
}

// provided lists the inputs that are not packages: parent and SOURCE_DATE_EPOCH.
func (b *Builder) provided(st *state) []Input {
	var in []Input
	if p := st.parent; p != nil {
		in = append(in, Input{Dependency: Dependency{
			Name: "parent", URI: "oci://" + path.Join(p.Host, p.Name) + "@" + string(p.Digest),
			Digest: map[string]string{string(p.Digest.Algorithm()): p.Digest.Encoded()},
		}})
	}
	return in
}

// epochParameter is how provenance records SOURCE_DATE_EPOCH.
func epochParameter(t *time.Time) string {
	if t == nil {
		return ""
	}
	return strconv.FormatInt(t.Unix(), 10)
}

var errNoStore = errors.New("the parent lies in a store, and none is given (use --store)")
