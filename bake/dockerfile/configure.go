package dockerfile

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"golang.org/x/sys/unix"
)

// otherSignal matches signals that have no name of their own: numbers, and
// those of real time, as "SIGRTMIN+3".
var otherSignal = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:[1-9][0-9]?|SIGRT(?:MIN(?:\+(?:[1-9]|1[0-5]))?|MAX(?:-(?:[1-9]|1[0-4]))?))$`)
})

// isSignal tells whether Linux has a signal. As in docker neither case nor SIG
// at the beginning counts.
func isSignal(text string) bool {
	name := "SIG" + strings.TrimPrefix(strings.ToUpper(text), "SIG")
	return unix.SignalNum(name) != 0 || otherSignal().MatchString(name) || otherSignal().MatchString(text)
}

// maxPorts bounds what one EXPOSE may list.
const maxPorts = 65536

// configure does an instruction that changes the configuration only.
func (e *evaluation) configure(cmd instructions.Command) error {
	switch c := cmd.(type) {
	case *instructions.CmdCommand:
		e.Config.Cmd, e.hasCmd = e.withShell(c.ShellDependantCmdLine), true
	case *instructions.EntrypointCommand:
		e.Config.Entrypoint = e.withShell(c.ShellDependantCmdLine)
		if !e.hasCmd {
			e.Config.Cmd = nil
		}
	case *instructions.LabelCommand:
		if e.Config.Labels == nil {
			e.Config.Labels = map[string]string{}
		}
		for _, kv := range c.Labels {
			e.Config.Labels[kv.Key] = kv.Value
		}
	case *instructions.ExposeCommand:
		return e.expose(c)
	case *instructions.VolumeCommand:
		return e.volumes(c)
	case *instructions.UserCommand:
		e.Config.User = c.User
	case *instructions.StopSignalCommand:
		if !isSignal(c.Signal) {
			return fmt.Errorf("STOPSIGNAL %q is no signal (write it as SIGTERM)", c.Signal)
		}
		e.Config.StopSignal = c.Signal
	case *instructions.ShellCommand:
		e.Config.Shell = slices.Clone(c.Shell)
	case *instructions.MaintainerCommand:
		e.Author = c.Maintainer
	case *instructions.OnbuildCommand:
		e.Config.OnBuild = append(e.Config.OnBuild, c.Expression)
	case *instructions.HealthCheckCommand:
		h := c.Health
		e.Config.Healthcheck = &v1.HealthConfig{
			Test: slices.Clone(h.Test), Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, Retries: h.Retries,
		}
	default:
		return fmt.Errorf("%s is not supported", strings.ToUpper(cmd.Name()))
	}
	return nil
}

// withShell is a command line as it is executed: the shell form after SHELL's
// words.
func (e *evaluation) withShell(line instructions.ShellDependantCmdLine) []string {
	if !line.PrependShell {
		return slices.Clone(line.CmdLine)
	}
	words := []string{"/bin/sh", "-c"}
	if len(e.Config.Shell) > 0 {
		words = slices.Clone(e.Config.Shell)
	}
	return append(words, strings.Join(line.CmdLine, " "))
}

func (e *evaluation) volumes(c *instructions.VolumeCommand) error {
	if e.Config.Volumes == nil {
		e.Config.Volumes = map[string]struct{}{}
	}
	for _, v := range c.Volumes {
		if v == "" {
			return fmt.Errorf("VOLUME names an empty path")
		}
		e.Config.Volumes[v] = struct{}{}
	}
	return nil
}

func (e *evaluation) expose(c *instructions.ExposeCommand) error {
	if e.Config.ExposedPorts == nil {
		e.Config.ExposedPorts = map[string]struct{}{}
	}
	for _, word := range c.Ports {
		if err := e.env.check(word); err != nil {
			return err
		}
		ports, err := e.lex.ProcessWords(word, &e.env)
		if err != nil {
			return err
		}
		for _, p := range ports {
			if err := e.port(p); err != nil {
				return fmt.Errorf("EXPOSE %s: %w", p, err)
			}
		}
	}
	return nil
}

// port reads 8080, 53/udp or 8000-8010/tcp.
func (e *evaluation) port(text string) error {
	if strings.ContainsRune(text, ':') {
		return fmt.Errorf("name the container's port only: the host's is chosen when it runs")
	}
	numbers, proto, _ := strings.Cut(text, "/")
	if proto = strings.ToLower(proto); proto == "" {
		proto = "tcp"
	}
	if proto != "tcp" && proto != "udp" && proto != "sctp" {
		return fmt.Errorf("there is no protocol %q", proto)
	}
	first, last, isRange := strings.Cut(numbers, "-")
	if !isRange {
		last = first
	}
	from, err := strconv.ParseUint(first, 10, 16)
	if err != nil {
		return fmt.Errorf("%q is no port", first)
	}
	to, err := strconv.ParseUint(last, 10, 16)
	if err != nil || to < from || to-from >= maxPorts {
		return fmt.Errorf("%q is no range of ports", numbers)
	}
	for n := from; n <= to; n++ {
		e.Config.ExposedPorts[strconv.FormatUint(n, 10)+"/"+proto] = struct{}{}
	}
	return nil
}
