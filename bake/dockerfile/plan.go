package dockerfile

import (
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// Options are what a Dockerfile may depend on besides its own text.
type Options struct {
	Args          map[string]string // build arguments
	Target        string            // name or index of a stage; "" is the last
	Platform      string            // of the image, as linux/amd64
	BuildPlatform string            // of the host; "" is Platform
	Network       string            // what a RUN has that says none: "none" or "host"; "" is "none"
}

// Plan is a Dockerfile with its options.
type Plan struct {
	Target *Stage

	file     *File
	opts     Options
	global   variables
	declared map[string]bool // by some ARG
	stages   []*Stage
	refs     map[string]int // lines that name them first
}

// Source is where a stage begins or files come from: an earlier stage, or an
// image by its reference as written. The zero Source is nothing (FROM scratch),
// or the build context.
type Source struct {
	Stage *Stage
	Image string
}

// Stage is one FROM and what follows it.
type Stage struct {
	Name  string // as written, else its index
	Index int
	Line  int
	Base  Source

	plan     *Plan
	commands []instructions.Command
}

// Plan finds what the target needs. Every instruction on its way that kiln
// does not do is an [*Error].
func (f *File) Plan(opts Options) (*Plan, error) {
	if opts.BuildPlatform == "" {
		opts.BuildPlatform = opts.Platform
	}
	if opts.Network == "" {
		opts.Network = "none"
	}
	stages, args, err := f.read()
	if err != nil {
		return nil, err
	}
	p := &Plan{file: f, opts: opts, declared: map[string]bool{}, refs: map[string]int{}}
	if err := p.globals(args); err != nil {
		return nil, err
	}
	for i, s := range stages {
		if err := p.add(i, s); err != nil {
			return nil, err
		}
	}
	if p.Target, err = p.target(); err != nil {
		return nil, err
	}
	return p, p.follow(p.Target, map[*Stage]bool{})
}

// add reads a FROM line; its image is looked up among the stages before it.
func (p *Plan) add(index int, s instructions.Stage) error {
	st := &Stage{Name: s.Name, Index: index, Line: lineOf(s.Location), plan: p, commands: s.Commands}
	if st.Name == "" {
		st.Name = strconv.Itoa(index)
	}
	lex := p.file.lex()
	base, err := p.global.expand(lex, s.BaseName)
	if err != nil {
		return p.file.parsed(st.Line, err)
	}
	if base == "" {
		return p.file.wrong(st.Line, "give the ARG before the first FROM a value, or set it in args", "FROM %s names no image", s.BaseName)
	}
	st.Base = Source{Image: base}
	if base == "scratch" {
		st.Base = Source{}
	}
	if earlier := p.named(base); earlier != nil {
		st.Base = Source{Stage: earlier}
	}
	p.stages = append(p.stages, st)
	for _, cmd := range s.Commands {
		if arg, ok := cmd.(*instructions.ArgCommand); ok {
			for _, kv := range arg.Args {
				p.declared[kv.Key] = true
			}
		}
	}
	return p.platform(st, s.Platform)
}

// platform refuses a stage for another platform than the image's.
func (p *Plan) platform(st *Stage, text string) error {
	if text == "" {
		return nil
	}
	want, err := p.global.expand(p.file.lex(), text)
	if err != nil {
		return p.file.parsed(st.Line, err)
	}
	if want != p.opts.Platform && want+"/v8" != p.opts.Platform && want != p.opts.Platform+"/v8" {
		return p.file.wrong(st.Line, "leave --platform out: kiln bakes every platform of an image by itself",
			"FROM --platform=%s is not the image's platform %s", text, p.opts.Platform)
	}
	return nil
}

// named is the last stage of a name so far; nil if there is none.
func (p *Plan) named(name string) *Stage {
	for _, st := range slices.Backward(p.stages) {
		if strings.EqualFold(st.Name, name) && st.Name != strconv.Itoa(st.Index) {
			return st
		}
	}
	return nil
}

// target is the stage that the options ask for.
func (p *Plan) target() (*Stage, error) {
	want := p.opts.Target
	if want == "" {
		return p.stages[len(p.stages)-1], nil
	}
	if st := p.named(want); st != nil {
		return st, nil
	}
	if i, err := strconv.Atoi(want); err == nil && i >= 0 && i < len(p.stages) {
		return p.stages[i], nil
	}
	var names []string
	for _, st := range p.stages {
		names = append(names, st.Name)
	}
	return nil, p.file.wrong(0, "its stages are "+strings.Join(names, ", "), "there is no stage %q", want)
}

// follow checks the stages that st needs, and collects their references.
func (p *Plan) follow(st *Stage, seen map[*Stage]bool) error {
	if seen[st] {
		return nil
	}
	seen[st] = true
	if err := p.reads(st.Base, st.Line, seen); err != nil {
		return err
	}
	for _, cmd := range st.commands {
		sources, err := p.check(st, cmd)
		if err != nil {
			return err
		}
		for _, s := range sources {
			if err := p.reads(s, lineOf(cmd.Location()), seen); err != nil {
				return err
			}
		}
	}
	return nil
}

// reads notes what a line reads.
func (p *Plan) reads(s Source, line int, seen map[*Stage]bool) error {
	if have, ok := p.refs[s.Image]; s.Image != "" && (!ok || line < have) {
		p.refs[s.Image] = line
	}
	if s.Stage == nil {
		return nil
	}
	return p.follow(s.Stage, seen)
}

// source finds what --from means in a stage: an earlier stage by name or
// index, else an image.
func (p *Plan) source(st *Stage, line int, from string) (Source, error) {
	if strings.ContainsRune(from, '$') {
		return Source{}, p.file.wrong(line, "name a stage: FROM "+from+" AS name, with the ARG before the first FROM",
			"--from=%s: variables are not replaced here", from)
	}
	if i, err := strconv.Atoi(from); err == nil {
		if i < 0 || i >= st.Index {
			return Source{}, p.file.wrong(line, "", "--from=%d: there is no such stage before this one", i)
		}
		return Source{Stage: p.stages[i]}, nil
	}
	for _, other := range slices.Backward(p.stages[:st.Index]) {
		if strings.EqualFold(other.Name, from) {
			return Source{Stage: other}, nil
		}
	}
	if p.named(from) != nil {
		return Source{}, p.file.wrong(line, "move it up", "--from=%s: the stage must come before this one", from)
	}
	return Source{Image: from}, nil
}

// Root is the image that the target's first layers come from, as written; ""
// when it starts from scratch.
func (p *Plan) Root() string {
	st := p.Target
	for st.Base.Stage != nil {
		st = st.Base.Stage
	}
	return st.Base.Image
}

// References are the images that the stages which the target needs name, as
// written, sorted.
func (p *Plan) References() []string {
	list := make([]string, 0, len(p.refs))
	for ref := range p.refs {
		list = append(list, ref)
	}
	slices.Sort(list)
	return list
}

// Line is the first line that names an image, as written; 0 if none does.
func (p *Plan) Line(ref string) int { return p.refs[ref] }

// Names are those of the stages that have one.
func (p *Plan) Names() []string {
	var list []string
	for _, st := range p.stages {
		if st.Name != strconv.Itoa(st.Index) {
			list = append(list, st.Name)
		}
	}
	return list
}

// Chain is a stage and those that it is FROM, the first one first.
func (st *Stage) Chain() []*Stage {
	var list []*Stage
	for ; st != nil; st = st.Base.Stage {
		list = append(list, st)
	}
	slices.Reverse(list)
	return list
}

// Unused are arguments of the options that no ARG takes, sorted. An ONBUILD
// trigger that was not evaluated yet may still take one.
func (p *Plan) Unused() []string {
	var list []string
	for key := range p.opts.Args {
		if !p.declared[key] && !predefined(key) {
			list = append(list, key)
		}
	}
	slices.Sort(list)
	return list
}
