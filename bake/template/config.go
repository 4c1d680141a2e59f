package template

import (
	"fmt"
	"sort"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"
)

var signalRE = lazily(`^(?:SIG[A-Z][A-Z0-9+-]{1,12}|[1-9][0-9]?)$`)

// config reads the config block; the zero Config without one.
func (image *section) config() Config {
	s := image.block("config")
	if s == nil {
		return Config{}
	}
	c := Config{
		User:       s.user("user"),
		Workdir:    s.directory("workdir", ""),
		Entrypoint: s.command("entrypoint"),
		Cmd:        s.texts("cmd"),
		Env:        s.env("env"),
		Ports:      s.ports(),
		Labels:     s.textMap("labels"),
		Volumes:    s.volumes(),
		StopSignal: s.text("stop_signal"),
	}
	if c.StopSignal != "" && !signalRE().MatchString(c.StopSignal) {
		s.wrong("stop_signal", `write it as "SIGTERM"`, "%q is no signal", c.StopSignal)
	}
	if h := s.block("healthcheck"); h != nil {
		h.require("command")
		c.Healthcheck = &Healthcheck{
			Command:     h.words("command"),
			Interval:    h.duration("interval", 0),
			Timeout:     h.duration("timeout", 0),
			StartPeriod: h.duration("start_period", 0),
			Retries:     h.whole("retries", 0, 1, 1000),
		}
		h.done()
	}
	s.done()
	return c
}

// command is a list that may be empty, to clear the parent's.
func (s *section) command(name string) []string {
	list := s.texts(name)
	if len(list) > 0 && list[0] == "" {
		s.wrong(name, "", "%s: the program's name is empty", name)
	}
	return list
}

// ports reads 8080, "8080" or "53/udp".
func (s *section) ports() []string {
	v, ok := s.value("ports", cty.List(cty.String))
	if !ok {
		return nil
	}
	ports := make([]string, 0, v.LengthInt())
	for it := v.ElementIterator(); it.Next(); {
		_, e := it.Element()
		if e.IsNull() {
			s.wrong("ports", "", "ports: an element is null")
			continue
		}
		number, proto, given := strings.Cut(e.AsString(), "/")
		if !given {
			proto = "tcp"
		}
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil || n == 0 || (proto != "tcp" && proto != "udp" && proto != "sctp") {
			s.wrong("ports", `write 8080 or "53/udp"`, "%q is no port", e.AsString())
			continue
		}
		ports = append(ports, fmt.Sprintf("%d/%s", n, proto))
	}
	sort.Strings(ports)
	return ports
}

func (s *section) volumes() []string {
	list := s.texts("volumes")
	for i, v := range list {
		clean, ok := cleanTarget(v)
		if !ok || clean == "/" {
			s.wrong("volumes", `begin it with "/" and leave out ".."`, "volume %q is not an absolute path below /", v)
			continue
		}
		list[i] = clean
	}
	sort.Strings(list)
	return list
}
