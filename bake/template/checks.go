package template

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// tests reads the test blocks.
func (l *loader) tests(image *section) []Test {
	var tests []Test
	seen := map[string]bool{}
	for _, b := range image.blocks("test", 1) {
		s, name := image.child(b), b.Labels[0]
		if seen[name] {
			l.add(b.DefRange(), s.where, "", "declared twice")
		}
		seen[name] = true
		if name == "" || name != oneLine(name) || len(name) > 100 {
			l.add(b.DefRange(), s.where, "", "a test's name is 1 to 100 characters in one line")
		}
		only := s.platforms()
		t := l.test(s)
		t.Name, t.Pos = name, l.pos(b.DefRange())
		if here := image.platform(); only == nil || here == "" || slices.Contains(only, here) {
			tests = append(tests, t)
		}
	}
	return tests
}

func (l *loader) test(s *section) Test {
	t := Test{
		Command:      s.words("command"),
		Stdout:       s.pattern("stdout"),
		Stderr:       s.pattern("stderr"),
		Exit:         s.whole("exit", 0, 0, 255),
		User:         s.user("user"),
		Env:          s.env("env"),
		WritableRoot: s.boolean("writable"),
		Timeout:      s.duration("timeout", DefaultTestTimeout),
	}
	if h := s.block("http"); h != nil {
		t.HTTP = l.httpTest(h)
	}
	switch {
	case s.has("command") && t.HTTP != nil:
		s.add(s.body.SrcRange, s.where, "make it two tests; http starts the image as it is configured", "command and http stand in one test")
	case !s.has("command") && t.HTTP == nil:
		s.add(s.body.SrcRange, s.where, "add command = […] or http { … }", "the test does nothing")
	case t.HTTP != nil && (s.has("stdout") || s.has("stderr") || s.has("exit")):
		s.add(s.body.SrcRange, s.where, "", "stdout, stderr and exit are for a command")
	case t.HTTP != nil && s.has("timeout"):
		s.wrong("timeout", "say within in the http block", "timeout is for a command")
	}
	s.done()
	return t
}

func (l *loader) httpTest(s *section) *HTTPTest {
	s.require("port")
	h := &HTTPTest{
		Port:   s.whole("port", 0, 1, 65535),
		Path:   s.text("path"),
		Status: s.whole("status", 200, 100, 599),
		Body:   s.pattern("body"),
		Within: s.duration("within", DefaultHTTPWithin),
	}
	if h.Path == "" {
		h.Path = "/"
	}
	if !strings.HasPrefix(h.Path, "/") || strings.ContainsAny(h.Path, " \r\n\t") {
		s.wrong("path", `begin it with "/"`, "path %q is no URL's path", h.Path)
	}
	s.done()
	return h
}

// pattern is a regular expression in Go's syntax.
func (s *section) pattern(name string) string {
	text := s.text(name)
	if _, err := regexp.Compile(text); err != nil {
		s.wrong(name, `in HCL a backslash is written twice: "\\."`, "%s: %v", name, err)
		return ""
	}
	return text
}

// isShell says whether a command needs a shell of the image.
func isShell(command []string) bool {
	return len(command) > 0 && slices.Contains([]string{"sh", "bash", "dash", "ash", "busybox"}, path.Base(command[0]))
}
