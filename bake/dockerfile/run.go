package dockerfile

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// ScriptDir is where a heredoc that begins with #! is to be had while it runs.
const ScriptDir = "/run/kiln-heredoc"

// run reads a RUN.
func (e *evaluation) run(c *instructions.RunCommand) error {
	step := &Run{
		Instruction: e.named(c), Dir: e.Config.WorkingDir, User: e.Config.User, Network: e.stage.plan.opts.Network,
		Env: e.runEnv(),
	}
	if step.Dir == "" {
		step.Dir = "/"
	}
	if instructions.GetNetwork(c) == instructions.NetworkNone {
		step.Network = "none"
	}
	line := c.ShellDependantCmdLine
	if len(line.Files) > 0 {
		if len(line.CmdLine) != 1 || !line.PrependShell {
			return fmt.Errorf("RUN: a heredoc does not go with the exec form")
		}
		if step.Script = script(line); step.Script != nil {
			line = instructions.ShellDependantCmdLine{CmdLine: []string{path.Join(ScriptDir, step.Script.Path)}, PrependShell: true}
		} else {
			line.CmdLine = []string{heredoc(line)}
		}
	}
	step.Args = e.withShell(line)
	if len(step.Args) == 0 || step.Args[0] == "" || strings.TrimSpace(strings.Join(line.CmdLine, "")) == "" {
		return fmt.Errorf("RUN has no command")
	}
	for _, m := range instructions.GetMounts(c) {
		mount, err := e.mount(m)
		if err != nil {
			return err
		}
		step.Mounts = append(step.Mounts, mount)
	}
	e.Steps = append(e.Steps, step)
	return nil
}

// runEnv is what a command sees: all variables, and the proxies of the options.
func (e *evaluation) runEnv() []string {
	env := e.env.clone()
	for key, value := range e.stage.plan.opts.Args {
		if isProxy(key) {
			env.set(key, value)
		}
	}
	slices.Sort(env)
	return env
}

// script is the file of a RUN that is one heredoc with a #! line.
func script(line instructions.ShellDependantCmdLine) *Inline {
	if parser.MustParseHeredoc(line.CmdLine[0]) == nil {
		return nil
	}
	data := heredocData(line.Files[0])
	if !strings.HasPrefix(data, "#!") {
		return nil
	}
	return &Inline{Path: path.Base(path.Join("/", line.Files[0].Name)), Data: data}
}

func heredocData(f instructions.ShellInlineFile) string {
	if f.Chomp {
		return parser.ChompHeredocContent(f.Data)
	}
	return f.Data
}

// heredoc is what the shell gets of a command with heredocs: the text alone
// where it is the whole command, else the command as it is written.
func heredoc(line instructions.ShellDependantCmdLine) string {
	if parser.MustParseHeredoc(line.CmdLine[0]) != nil {
		return heredocData(line.Files[0])
	}
	var b strings.Builder
	b.WriteString(line.CmdLine[0])
	for _, f := range line.Files {
		b.WriteString("\n" + f.Data + f.Name)
	}
	return b.String()
}

func (e *evaluation) mount(m *instructions.Mount) (Mount, error) {
	out := Mount{Type: string(m.Type), ReadOnly: m.ReadOnly, Size: m.SizeLimit, ID: m.CacheID, Required: m.Required, Source: path.Join("/", m.Source)}
	if m.Mode != nil {
		out.Mode = uint32(*m.Mode)
	}
	if m.UID != nil {
		out.UID = int(*m.UID)
	}
	if m.GID != nil {
		out.GID = int(*m.GID)
	}
	if m.Target != "" {
		out.Target = strings.TrimSuffix(e.inDir(m.Target), "/")
	}
	switch m.Type {
	case instructions.MountTypeSSH:
		return out, e.file.wrong(e.line, "clone over https with a secret mount, or use a git block", "RUN --mount=type=ssh is not supported")
	case instructions.MountTypeSecret:
		return e.secret(m, out)
	case instructions.MountTypeCache:
		if out.ID == "" {
			out.ID = out.Target
		}
		if m.From != "" && !strings.EqualFold(m.From, "scratch") {
			return out, e.file.wrong(e.line, "leave from out: the folder starts empty", "RUN --mount=type=cache,from=%s is not supported", m.From)
		}
	case instructions.MountTypeBind:
		if m.From != "" {
			var err error
			if out.From, err = e.stage.plan.source(e.stage, e.line, m.From); err != nil {
				return out, err
			}
		}
		if !m.ReadOnly {
			return out, e.file.wrong(e.line, "leave rw out and write elsewhere, as /tmp", "RUN --mount=type=bind,rw is not supported")
		}
	}
	if out.Target == "" {
		return out, fmt.Errorf("RUN --mount=type=%s has no target", m.Type)
	}
	return out, nil
}

// secret finds a secret's name and place as BuildKit does: its id, else the
// last component of source or target; at /run/secrets unless it says where, or
// that it is a variable.
func (e *evaluation) secret(m *instructions.Mount, out Mount) (Mount, error) {
	out.Source = ""
	if out.ID == "" {
		out.ID = m.Source
	}
	if out.ID == "" {
		out.ID = path.Base(m.Target)
	}
	if m.Env != nil {
		if out.Env = *m.Env; out.Env == "" {
			out.Env = out.ID
		}
	}
	if out.Target == "" && m.Env == nil {
		out.Target = path.Join("/run/secrets", path.Base(out.ID))
	}
	if m.Mode == nil {
		out.Mode = 0o400
	}
	return out, nil
}
