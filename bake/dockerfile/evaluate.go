package dockerfile

import (
	"maps"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// DefaultPath is the PATH of an image that sets none.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// evaluation is one stage under way.
type evaluation struct {
	*Result
	stage   *Stage
	file    *File
	lex     *shell.Lex
	line    int  // of the instruction
	trigger bool // it comes from the parent's ONBUILD
	hasCmd  bool // this stage said CMD
}

// Evaluate gives the steps and configuration of a stage on what it starts
// from. It changes the stage's instructions, so a stage can be evaluated once.
func (st *Stage) Evaluate(base Base) (*Result, error) {
	e := &evaluation{Result: &Result{}, stage: st, file: st.plan.file, lex: st.plan.file.lex(), line: st.Line}
	e.begin(base)
	triggers := e.Config.OnBuild
	e.Config.OnBuild = nil
	for _, t := range triggers {
		if err := e.onbuild(t); err != nil {
			return nil, err
		}
	}
	for _, cmd := range st.commands {
		e.line = lineOf(cmd.Location())
		if err := e.instruction(cmd); err != nil {
			return nil, e.file.parsed(e.line, err)
		}
	}
	return e.Result, nil
}

// begin takes over what lies below.
func (e *evaluation) begin(base Base) {
	if base.Stage != nil {
		e.Config, e.Author = cloneConfig(base.Stage.Config), base.Stage.Author
		e.env = base.Stage.env.clone()
		return
	}
	e.Config, e.Author = cloneConfig(base.Config), base.Author
	if e.stage.Base.Image == "" {
		e.Config.WorkingDir = "/"
	}
	env := variables(e.Config.Env)
	if _, ok := env.Get("PATH"); !ok {
		env.set("PATH", DefaultPath)
	}
	e.Config.Env, e.env = env, env.clone()
	if e.Config.WorkingDir != "" {
		e.Config.WorkingDir = path.Join("/", e.Config.WorkingDir)
	}
}

func cloneConfig(c v1.Config) v1.Config {
	c.Cmd, c.Entrypoint, c.Env = slices.Clone(c.Cmd), slices.Clone(c.Entrypoint), slices.Clone(c.Env)
	c.OnBuild, c.Shell = slices.Clone(c.OnBuild), slices.Clone(c.Shell)
	c.Labels, c.Volumes, c.ExposedPorts = maps.Clone(c.Labels), maps.Clone(c.Volumes), maps.Clone(c.ExposedPorts)
	return c
}

// onbuild runs a trigger of what lies below.
func (e *evaluation) onbuild(text string) error {
	e.trigger = true
	defer func() { e.trigger = false }()
	fail := func(err error) error {
		return e.file.wrong(e.stage.Line, "", "ONBUILD %s of the parent: %v", text, err)
	}
	if len(text) > MaxSize {
		return fail(errTooLarge)
	}
	tree, err := parser.Parse(strings.NewReader(text))
	if err != nil {
		return fail(err)
	}
	for _, node := range tree.AST.Children {
		cmd, err := instructions.ParseCommand(node)
		if err != nil {
			return fail(err)
		}
		if _, again := cmd.(*instructions.OnbuildCommand); again {
			return e.file.wrong(e.stage.Line, "", "ONBUILD %s of the parent is a trigger itself", text)
		}
		sources, err := e.stage.plan.check(e.stage, cmd)
		if err != nil {
			return e.file.parsed(e.stage.Line, err)
		}
		for _, s := range sources {
			if s.Image != "" && e.stage.plan.refs[s.Image] == 0 {
				return e.file.wrong(e.stage.Line, "add a stage FROM "+s.Image+", so that it can be pinned", "ONBUILD %s of the parent copies from an image that the Dockerfile does not name", text)
			}
		}
		if arg, ok := cmd.(*instructions.ArgCommand); ok {
			for _, kv := range arg.Args {
				e.stage.plan.declared[kv.Key] = true
			}
		}
		if err := e.instruction(cmd); err != nil {
			return fail(err)
		}
	}
	return nil
}

// instruction replaces variables, then does what the instruction says.
func (e *evaluation) instruction(cmd instructions.Command) error {
	if err := e.replace(cmd); err != nil {
		return err
	}
	switch c := cmd.(type) {
	case *instructions.RunCommand:
		return e.run(c)
	case *instructions.CopyCommand:
		return e.copy(c)
	case *instructions.AddCommand:
		return e.add(c)
	case *instructions.WorkdirCommand:
		return e.workdir(c)
	case *instructions.ArgCommand:
		return e.arg(c)
	case *instructions.EnvCommand:
		return e.setEnv(c)
	default:
		return e.configure(cmd)
	}
}

// replace replaces the variables of an instruction; an ARG does its own.
func (e *evaluation) replace(cmd instructions.Command) error {
	if _, isArg := cmd.(*instructions.ArgCommand); isArg {
		return nil
	}
	if c, ok := cmd.(instructions.SupportsSingleWordExpansion); ok {
		if err := c.Expand(func(word string) (string, error) { return e.env.expand(e.lex, word) }); err != nil {
			return err
		}
	}
	if c, ok := cmd.(instructions.SupportsSingleWordExpansionRaw); ok {
		return c.ExpandRaw(func(text string) (string, error) {
			lex := shell.NewLex('\\')
			lex.SkipProcessQuotes = true
			return e.env.expand(lex, text)
		})
	}
	return nil
}

// arg makes an argument visible: the option's value, else its own, else what
// stands before the first FROM.
func (e *evaluation) arg(c *instructions.ArgCommand) error {
	for _, kv := range c.Args {
		value, given := e.stage.plan.opts.Args[kv.Key]
		switch {
		case given:
		case kv.Value != nil:
			var err error
			if value, err = e.env.expand(e.lex, *kv.Value); err != nil {
				return err
			}
			given = true
		default:
			value, given = e.stage.plan.global.Get(kv.Key)
		}
		if given && kv.Key != "BUILDKIT_SBOM_SCAN_CONTEXT" && kv.Key != "BUILDKIT_SBOM_SCAN_STAGE" {
			e.env.set(kv.Key, value)
		}
	}
	return e.bounded()
}

func (e *evaluation) setEnv(c *instructions.EnvCommand) error {
	env := variables(e.Config.Env)
	for _, kv := range c.Env {
		e.env.set(kv.Key, kv.Value)
		env.set(kv.Key, kv.Value)
	}
	e.Config.Env = env
	return e.bounded()
}

func (e *evaluation) bounded() error {
	if e.env.size() > maxVariables {
		return errTooLarge
	}
	return nil
}

// named is what all steps have.
func (e *evaluation) named(cmd instructions.Command) Instruction {
	text := strings.ToUpper(cmd.Name())
	if s, ok := cmd.(interface{ String() string }); ok {
		_, rest, _ := strings.Cut(oneLine(s.String()), " ")
		text = strings.TrimSpace(text + " " + rest)
	}
	if e.trigger {
		text = "ONBUILD " + text
	}
	return Instruction{Name: text, Line: e.line}
}

// inDir is a path below the working folder; a slash at its end stays.
func (e *evaluation) inDir(p string) string {
	dir := e.Config.WorkingDir
	if dir == "" {
		dir = "/"
	}
	folder := p == "" || p == "." || strings.HasSuffix(p, "/") || strings.HasSuffix(p, "/.")
	if path.IsAbs(p) {
		dir = "/"
	}
	p = path.Join("/", dir, p)
	if folder && p != "/" {
		p += "/"
	}
	return p
}

func (e *evaluation) workdir(c *instructions.WorkdirCommand) error {
	dir := strings.TrimSuffix(e.inDir(c.Path), "/")
	if dir == "" {
		dir = "/"
	}
	e.Config.WorkingDir = dir
	e.Steps = append(e.Steps, &Workdir{Instruction: e.named(c), Path: dir, User: e.Config.User})
	return nil
}
