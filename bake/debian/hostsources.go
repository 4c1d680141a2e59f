package debian

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Host is a machine whose apt configuration is read.
type Host struct {
	// Root is the folder that stands for /; empty means / itself.
	Root string
	// Arch is Debian's name of the architecture whose packages are wanted;
	// HostArch when empty.
	Arch string
}

// HostSources are the sources of this machine's apt for a suite: the entries
// for the suite itself, its updates and its security that are signed by the
// distribution's archive key. All others are left alone. When there is none
// for the suite itself, the error asks for mirror and keyring.
func HostSources(suite string) ([]Source, error) {
	return Host{}.Sources(suite)
}

// Sources is HostSources for this host.
func (h Host) Sources(suite string) ([]Source, error) {
	entries, err := h.entries()
	if err != nil {
		return nil, err
	}
	archive := h.archiveKeyring()
	arch := cmp.Or(h.Arch, HostArch())
	var out []Source
	for _, e := range entries {
		if !wanted(e.Suite, suite) {
			continue
		}
		keyring, assumed, err := archive.keysFor(e.signedBy)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.origin, err)
		}
		if keyring == nil || !e.fits(arch) {
			continue
		}
		if e.Mirror, err = h.mirror(e.Mirror); err != nil {
			return nil, fmt.Errorf("%s: %w", e.origin, err)
		}
		if e.Mirror == "" {
			continue
		}
		e.Keyring, e.Assumed = keyring, assumed
		out = appendSource(out, e.Source)
	}
	if !slices.ContainsFunc(out, func(s Source) bool { return s.Suite == suite }) {
		return nil, fmt.Errorf("this machine's apt sources have no entry for suite %q that is signed by its distribution's archive key: "+
			"give `mirror` and `keyring` in the debian block", suite)
	}
	return out, nil
}

// appendSource joins the components of entries for the same suite and mirror.
func appendSource(sources []Source, s Source) []Source {
	for i, have := range sources {
		if have.Mirror == s.Mirror && have.Suite == s.Suite && have.Assumed == s.Assumed {
			for _, c := range s.Components {
				if !slices.Contains(have.Components, c) {
					sources[i].Components = append(sources[i].Components, c)
				}
			}
			return sources
		}
	}
	return append(sources, s)
}

// entries reads sources.list, then sources.list.d in the order of names, as
// apt does.
func (h Host) entries() ([]sourceEntry, error) {
	etc := h.path("/etc/apt")
	files := []string{filepath.Join(etc, "sources.list")}
	more, err := os.ReadDir(filepath.Join(etc, "sources.list.d"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("apt sources: %w", err)
	}
	for _, f := range more {
		files = append(files, filepath.Join(etc, "sources.list.d", f.Name()))
	}
	var out []sourceEntry
	for _, file := range files {
		parse := parseSourcesList
		switch filepath.Ext(file) {
		case ".list":
		case ".sources":
			parse = parseSources
		default:
			continue
		}
		data, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("apt sources: %w", err)
		}
		entries, err := parse(string(data))
		if err != nil {
			return nil, fmt.Errorf("apt sources: %s: %w", file, err)
		}
		for i := range entries {
			entries[i].origin = file
		}
		out = append(out, entries...)
	}
	return out, nil
}

// mirror resolves the forms of a URI that stand for another: the first line
// of a mirror list kept as a file. "" means that the method is not one that
// this package speaks.
func (h Host) mirror(uri string) (string, error) {
	list, isList := strings.CutPrefix(uri, "mirror+file:")
	if isList {
		data, err := os.ReadFile(h.path("/" + strings.TrimLeft(list, "/")))
		if err != nil {
			return "", fmt.Errorf("mirror list: %w", err)
		}
		words := strings.Fields(string(data))
		if len(words) == 0 {
			return "", fmt.Errorf("mirror list %s is empty", list)
		}
		uri = words[0]
	}
	if strings.HasPrefix(uri, "http://") || strings.HasPrefix(uri, "https://") {
		return uri, nil
	}
	if dir, ok := localDir(uri); ok {
		return dir, nil
	}
	return "", nil
}

func (h Host) path(p string) string { return filepath.Join("/", h.Root, p) }
