package debian

import (
	"runtime"
	"strings"
)

// Source is one suite of one archive: where it is, what of it is used, and
// whose signature it must bear.
type Source struct {
	// Mirror is the archive's base: an http or https URL, or a folder as
	// file:/path or an absolute path.
	Mirror string
	// Suite is the suite's name below dists/, and the label that packages of
	// it carry.
	Suite string
	// Components to use; empty means main and, where the release has it,
	// universe.
	Components []string
	// Keyring holds key files (binary or armoured) or armoured keys
	// themselves. A source without a key is refused.
	Keyring []string
	// IgnoreValidUntil takes a release whose Valid-Until has passed, as
	// archives of the past have it.
	IgnoreValidUntil bool
	// Optional sources may be absent, as a derived S-updates is in an archive
	// that has no such suite; one that was there before may not.
	Optional bool
	// Assumed sources did not say which key signs them: they are left out when
	// they turn out to be signed by none of Keyring and another source of the
	// suite remains.
	Assumed bool
}

// MirrorSources are the suite, its updates and its security on a declared
// mirror. Updates and security may be absent there. Debian keeps security in
// an archive of its own, debian-security beside debian: where the mirror's
// path has that component, it is looked for there.
func MirrorSources(suite, mirror string, components, keyring []string) []Source {
	base := Source{Mirror: mirror, Suite: suite, Components: components, Keyring: keyring}
	updates, security := base, base
	updates.Suite, updates.Optional = suite+"-updates", true
	security.Suite, security.Optional = suite+"-security", true
	security.Mirror = securityMirror(mirror)
	return []Source{base, updates, security}
}

// securityMirror replaces the last path component "debian" of a mirror by
// "debian-security", if there is one.
func securityMirror(mirror string) string {
	parts := strings.Split(mirror, "/")
	for i := len(parts) - 1; i > 0; i-- {
		if parts[i] == "debian" {
			parts[i] = "debian-security"
			break
		}
	}
	return strings.Join(parts, "/")
}

// HostArch is Debian's name of the architecture that this program runs on.
func HostArch() string { return Arch(runtime.GOARCH) }

// Arch is Debian's name of an architecture by its name in Go.
func Arch(goarch string) string {
	switch goarch {
	case "386":
		return "i386"
	case "arm":
		return "armhf"
	case "ppc64le":
		return "ppc64el"
	case "mips64le":
		return "mips64el"
	case "loong64":
		return "loong64"
	}
	return goarch
}

// wanted says whether a suite's label is S, its updates or its security.
func wanted(label, suite string) bool {
	return label == suite || label == suite+"-updates" || label == suite+"-security"
}
