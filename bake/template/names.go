package template

import (
	"fmt"
	"path"
	"regexp"
	"strings"
	"sync"
)

// maxName bounds a full image name, in bytes.
const maxName = 200

// maxVersion leaves room for time, commit and -dirty in a tag of 128 bytes.
const maxVersion = 92

var (
	// A component of a repository name (OCI distribution spec, "Pulling manifests").
	componentRE = lazily(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$`)
	versionRE   = lazily(`^[A-Za-z0-9_][A-Za-z0-9_.+-]*$`)
	channelRE   = lazily(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
	digestRE    = lazily(`^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$`)
	hostRE      = lazily(`^[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?$`)
	// Debian policy 5.6.1, and an optional architecture.
	packageRE    = lazily(`^[a-z0-9][a-z0-9+.-]+(?::[a-z0-9-]+)?$`)
	suiteRE      = lazily(`^[A-Za-z0-9][A-Za-z0-9._/-]*$`)
	componentsRE = lazily(`^[a-z0-9][a-z0-9./-]*$`)
)

// projectProblem says why a project's name cannot begin a repository name
// that is told from a host's.
func projectProblem(name string) (problem, hint string) {
	switch {
	case name == "":
		return "project is empty", ""
	case strings.ContainsAny(name, ".:") || name == "localhost" || strings.HasPrefix(name, "localhost/"):
		return fmt.Sprintf("project %q reads like a registry's host", name), `a project has no "." or ":" and is not "localhost"`
	}
	return nameProblem("project", name)
}

// nameProblem says why a name, of one component or several, is no repository
// name.
func nameProblem(what, name string) (problem, hint string) {
	for _, c := range strings.Split(name, "/") {
		if !componentRE().MatchString(c) {
			return fmt.Sprintf("%s %q is no image name", what, name), "use lower-case letters and digits, with single . _ or any number of - between them"
		}
	}
	if len(name) > maxName {
		return fmt.Sprintf("%s is longer than %d bytes", what, maxName), ""
	}
	return "", ""
}

// cleanTarget is an absolute path of the image in clean form; ok is false for
// a relative one and for one that climbs with "..".
func cleanTarget(p string) (clean string, ok bool) {
	if !strings.HasPrefix(p, "/") {
		return "", false
	}
	for _, part := range strings.Split(p, "/") {
		if part == ".." {
			return "", false
		}
	}
	return path.Clean(p), true
}

// lazily compiles an expression when it is first asked for: most processes
// need few.
func lazily(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}
