package template

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"kiln/bake/dockerfile"
)

// Dockerfile makes an image as a Dockerfile says. It is the first of the
// image's steps; what its first stage starts from is the image's From.
type Dockerfile struct {
	Root    string // absolute path of the template's folder
	Path    string // relative to Root, slash-separated and clean
	Context string // folder, relative to Root, slash-separated and clean
	Target  string // stage; "" is the last
	Args    map[string]string
	Network string // what a RUN has that says none: "none" or "host"
	Base    string // reference of the image's From, as the Dockerfile writes it; "" for scratch
	// Images are the others that the Dockerfile names, by reference as written.
	Images  map[string]*From
	Secrets map[string]DockerSecret // of RUN --mount=type=secret, by id
	Pos     Pos

	file   *dockerfile.File
	lines  map[string]int // that name images, by reference as written
	stages []string       // by name
}

// DockerSecret is a secret that a dockerfile block declares.
type DockerSecret struct {
	Secret
	Optional bool // where nobody gives it, the RUN goes without
}

// Position says where the step is written.
func (d *Dockerfile) Position() Pos { return d.Pos }

func (d *Dockerfile) froms() []*From {
	var list []*From
	for _, ref := range slices.Sorted(maps.Keys(d.Images)) {
		list = append(list, d.Images[ref])
	}
	return list
}

// Plan reads the Dockerfile for a platform. Its stages can be evaluated once.
func (d *Dockerfile) Plan(platform string) (*dockerfile.Plan, error) {
	return d.file.Plan(dockerfile.Options{
		Args: d.Args, Target: d.Target, Platform: platform, BuildPlatform: hostPlatform(), Network: d.Network,
	})
}

// dockerfile reads a dockerfile block into im.
func (l *loader) dockerfile(image *section, im *Image) {
	s := image.block("dockerfile")
	if s == nil {
		return
	}
	for _, name := range []string{"from", "packages"} {
		if image.has(name) {
			image.wrong(name, "leave it out: the Dockerfile's FROM decides", "%s stands beside dockerfile", name)
		}
	}
	if im.Debian != nil {
		s.add(s.body.SrcRange, image.where, "leave it out: the Dockerfile's FROM decides", "debian stands beside dockerfile")
	}
	d := &Dockerfile{
		Root: l.recipe.Dir, Path: s.below("path", "Dockerfile"), Context: s.below("context", "."),
		Target: s.text("target"), Args: s.textMap("args"), Network: s.network(), Images: map[string]*From{}, Pos: l.pos(s.body.SrcRange),
	}
	for _, b := range s.blocks("secret", 1) {
		c := s.child(b)
		if d.Secrets == nil {
			d.Secrets = map[string]DockerSecret{}
		}
		d.Secrets[b.Labels[0]] = DockerSecret{l.secret(c), c.boolean("optional")}
		c.done()
	}
	s.done()
	im.Steps = append([]Step{d}, im.Steps...)
	plan := l.planDockerfile(s, d, im.Platform())
	if plan == nil {
		return
	}
	d.Base, d.stages, d.lines = plan.Root(), plan.Names(), map[string]int{}
	im.From = From{}
	if d.Base != "" {
		im.From = l.dockerImage(s, d.Base)
	}
	for _, ref := range plan.References() {
		d.lines[ref] = plan.Line(ref)
		if ref != d.Base {
			from := l.dockerImage(s, ref)
			d.Images[ref] = &from
		}
	}
}

// Lost says that nothing has the name of an image of the Dockerfile: where it
// stands, and the stage that may be meant, as did you mean "build"?; "" if none
// is alike.
func (d *Dockerfile) Lost(f *From) (at Pos, ref, meant string) {
	ref = d.Base
	for name, from := range d.Images {
		if from == f {
			ref = name
		}
	}
	return Pos{File: d.Path, Line: d.lines[ref]}, ref, DidYouMean(ref, d.stages)
}

// planDockerfile reads the file; nil with a problem noted.
func (l *loader) planDockerfile(s *section, d *Dockerfile, platform string) *dockerfile.Plan {
	if info, err := lstatNoLinks(l.files.root, d.Context); err != nil {
		s.wrong("context", sourceHint(err), "context %q %v", d.Context, err)
	} else if !info.IsDir() {
		s.wrong("context", "", "context %q is no folder", d.Context)
	}
	data, err := l.files.read(d.Path)
	if err != nil {
		s.wrong("path", "", "%v", err)
		return nil
	}
	var plan *dockerfile.Plan
	if d.file, err = dockerfile.Parse(d.Path, data); err == nil {
		if plan, err = d.Plan(platform); err == nil {
			_, err = d.ignore()
		}
	}
	var bad *dockerfile.Error
	switch {
	case errors.As(err, &bad):
		l.list = append(l.list, Problem{Pos: Pos{File: bad.File, Line: bad.Line}, Message: l.scrub(s.where + ": " + bad.Message), Hint: l.scrub(bad.Hint)})
		return nil
	case err != nil:
		s.wrong("path", "", "%v", err)
		return nil
	}
	return plan
}

// below is a path within the template's folder.
func (s *section) below(name, def string) string {
	text := s.text(name)
	if text == "" {
		return def
	}
	rel := path.Clean(filepath.ToSlash(text))
	if path.IsAbs(rel) || rel == ".." || strings.HasPrefix(rel, "../") {
		s.wrong(name, "move it into the folder, or the template above it", "%s %q is outside the template's folder", name, text)
		return def
	}
	return rel
}

func (s *section) network() string {
	switch network := s.text("network"); network {
	case "", "none":
		return "none"
	case "host":
		return network
	default:
		s.wrong("network", `want "none" or "host"`, "there is no network %q", network)
		return "none"
	}
}

// dockerImage is what a Dockerfile's reference means: an image of this
// template by its name alone, one of another host, or one of the store, by
// digest or by a tag, which may be a channel.
func (l *loader) dockerImage(s *section, ref string) From {
	if strings.Contains(ref, "@") {
		name, digest, _ := strings.Cut(ref, "@")
		name, _ = cutTag(name)
		f, problem, hint := parseFrom(name + "@" + digest)
		if problem != "" {
			s.add(s.body.SrcRange, s.where, hint, "%s", problem)
		}
		return f
	}
	name, tag := cutTag(ref)
	if tag == "" {
		short := strings.TrimPrefix(name, l.recipe.Project+"/")
		if v, ok := l.ctx.Variables["image"]; ok && isInstance(v, short) {
			return From{Kind: FromImage, ref: short}
		}
		tag = "latest"
	}
	f := From{Kind: FromChannel, Name: name, Channel: tag}
	if host, rest, ok := strings.Cut(name, "/"); ok && (strings.ContainsAny(host, ".:") || host == "localhost") {
		f = From{Kind: FromRemote, Host: host, Name: rest, Channel: tag}
		if !hostRE().MatchString(host) {
			s.add(s.body.SrcRange, s.where, "", "image %q: %q is no host", ref, host)
		}
	}
	if problem, hint := nameProblem("image", f.Name); problem != "" {
		s.add(s.body.SrcRange, s.where, hint, "%s", problem)
	}
	if !channelRE().MatchString(f.Channel) {
		s.add(s.body.SrcRange, s.where, "", "image %q: %q is no tag", ref, f.Channel)
	}
	return f
}

// cutTag splits name:tag; the colon of a host's port is not one.
func cutTag(ref string) (name, tag string) {
	if at := strings.LastIndexByte(ref, ':'); at > strings.LastIndexByte(ref, '/') {
		return ref[:at], ref[at+1:]
	}
	return ref, ""
}

// isInstance says whether name is one of the images that the template makes,
// as image.name or image.name["key"] hold them.
func isInstance(images cty.Value, name string) bool {
	for it := images.ElementIterator(); it.Next(); {
		_, v := it.Element()
		if v.Type() == parentType && v.IsKnown() {
			if v.EncapsulatedValue().(*parentRef).instance == name {
				return true
			}
		} else if v.IsKnown() && v.Type().IsObjectType() && isInstance(v, name) {
			return true
		}
	}
	return false
}

// ignore reads the ignore file that counts.
func (d *Dockerfile) ignore() (*dockerfile.Ignore, error) {
	root, err := os.OpenRoot(d.Root)
	if err != nil {
		return nil, fmt.Errorf("read template's folder: %w", cause(err))
	}
	defer root.Close()
	name := d.ignoreFile(root)
	if name == "" {
		return dockerfile.NewIgnore(nil)
	}
	data, err := root.ReadFile(filepath.FromSlash(name))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, cause(err))
	}
	return dockerfile.ParseIgnore(name, data)
}

// ignoreFile is the name of the ignore file that counts, relative to the
// template's folder: the Dockerfile's own, else the context's; "" for none.
func (d *Dockerfile) ignoreFile(root *os.Root) string {
	for _, name := range []string{d.Path + ".dockerignore", path.Join(d.Context, ".dockerignore")} {
		if _, err := root.Lstat(filepath.FromSlash(name)); !errors.Is(err, fs.ErrNotExist) {
			return name
		}
	}
	return ""
}

// Files are the files of the build context that the ignore file lets through,
// as [Files] lists those of a copy: modes do not depend on a umask, and kiln's
// own files and .git are never among them. The context itself, ".", is one.
func (d *Dockerfile) Files() ([]File, error) {
	root, err := os.OpenRoot(d.Root)
	if err != nil {
		return nil, fmt.Errorf("build context %q: %w", d.Context, cause(err))
	}
	defer root.Close()
	ig, err := d.ignore()
	if err != nil {
		return nil, err
	}
	w := &walk{copy: &Copy{Root: d.Root, Rel: d.Context}, root: root, skip: ig.Out, reenter: ig.Exceptions()}
	info, err := lstatNoLinks(root, d.Context)
	if err != nil {
		return nil, fmt.Errorf("build context %q %w", d.Context, err)
	}
	if err := w.visit(".", info); err != nil {
		return nil, err
	}
	if err := w.implied(); err != nil {
		return nil, err
	}
	sort.Slice(w.files, func(i, j int) bool { return w.files[i].Rel < w.files[j].Rel })
	return w.files, nil
}

// implied adds the folders that are left out but hold something that is not.
func (w *walk) implied() error {
	have := map[string]bool{}
	for _, f := range w.files {
		have[f.Rel] = true
	}
	for _, f := range w.files {
		for dir := path.Dir(f.Rel); !have[dir]; dir = path.Dir(dir) {
			have[dir] = true
			name := filepath.FromSlash(path.Join(w.copy.Rel, dir))
			info, err := w.root.Lstat(name)
			if err != nil {
				return fmt.Errorf("build context: %q: %w", dir, cause(err))
			}
			w.files = append(w.files, File{Rel: dir, Abs: filepath.Join(w.copy.Root, name), Info: info, Mode: 0o755})
		}
	}
	return nil
}

// reads are the files that a bake reads for d, relative to the template's
// folder.
func (d *Dockerfile) reads() ([]string, error) {
	list := []string{d.Path}
	root, err := os.OpenRoot(d.Root)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if name := d.ignoreFile(root); name != "" {
		list = append(list, name)
	}
	files, err := d.Files()
	for _, f := range files {
		if !f.Info.IsDir() {
			list = append(list, path.Join(d.Context, f.Rel))
		}
	}
	return list, err
}
