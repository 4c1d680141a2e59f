package debian

import (
	"fmt"
	"io"
	"strings"
)

// ReadStatus reads the packages that a dpkg status file (or a fragment of
// /var/lib/dpkg/status.d, or several of them one after the other) lists as
// installed. Packages removed with their configuration left are not in it.
func ReadStatus(r io.Reader) ([]Installed, error) {
	stanzas, err := readParagraphs(r)
	if err != nil {
		return nil, fmt.Errorf("read dpkg status: %w", err)
	}
	var all []Installed
	for _, s := range stanzas {
		if s.value("Package") == "" {
			return nil, fmt.Errorf("read dpkg status: a stanza names no package")
		}
		if !present(strings.Fields(s.value("Status"))) {
			continue
		}
		all = append(all, installedOf(s))
	}
	return all, nil
}

// present says whether a Status (want, flag, state) is of a package whose
// files are there. Fragments of status.d have none.
func present(status []string) bool {
	if len(status) == 0 {
		return true
	}
	state := status[len(status)-1]
	return state != "not-installed" && state != "config-files"
}

func installedOf(s *paragraph) Installed {
	return Installed{
		Name:       s.value("Package"),
		Version:    s.value("Version"),
		Arch:       s.value("Architecture"),
		MultiArch:  s.value("Multi-Arch"),
		Essential:  s.value("Essential") == "yes",
		Priority:   s.value("Priority"),
		Source:     s.value("Source"),
		Depends:    s.value("Depends"),
		PreDepends: s.value("Pre-Depends"),
		Provides:   s.value("Provides"),
		Conflicts:  s.value("Conflicts"),
		Breaks:     s.value("Breaks"),
		Replaces:   s.value("Replaces"),
	}
}
