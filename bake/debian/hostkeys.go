package debian

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
)

// archiveKeys are the archive keys of the host's distributions, as their
// keyring packages install them.
type archiveKeys struct {
	host         Host
	files        []string
	fingerprints map[string]bool // of the primary keys in files
}

// archiveKeyFile matches the files of debian-archive-keyring and
// ubuntu-keyring, without the keys that they removed.
var archiveKeyFile = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(debian-archive|ubuntu-archive|ubuntu-keyring)-.*\.(gpg|pgp|asc)$`)
})

func isArchiveKeyFile(path string) bool {
	name := filepath.Base(path)
	return archiveKeyFile().MatchString(name) && !strings.Contains(name, "removed")
}

// archiveKeyring finds the keyrings. Files that cannot be read are passed
// over: apt does not trust them either.
func (h Host) archiveKeyring() *archiveKeys {
	a := &archiveKeys{host: h, fingerprints: map[string]bool{}}
	for _, dir := range []string{"/usr/share/keyrings", "/etc/apt/keyrings", "/etc/apt/trusted.gpg.d"} {
		files, _ := os.ReadDir(h.path(dir))
		for _, f := range files {
			path := filepath.Join(h.path(dir), f.Name())
			if !isArchiveKeyFile(path) {
				continue
			}
			keys, err := loadKeyring([]string{path})
			if err != nil {
				continue
			}
			a.files = append(a.files, path)
			for print := range fingerprints(keys) {
				a.fingerprints[print] = true
			}
		}
	}
	return a
}

// keysFor returns the keyring for an entry that names these keys, nil when
// they are not the distribution's. An entry that names none is assumed to be
// the distribution's until its signature is seen.
func (a *archiveKeys) keysFor(signedBy []string) (keyring []string, assumed bool, err error) {
	if len(signedBy) == 0 {
		if len(a.files) == 0 {
			return nil, false, nil
		}
		return a.files, true, nil
	}
	for _, name := range signedBy {
		ok, isFile := false, strings.HasPrefix(name, "/")
		switch {
		case isFile && isArchiveKeyFile(name):
			name, ok = a.host.path(name), true
		case isFile || strings.Contains(name, armorStart):
			if isFile {
				name = a.host.path(name)
			}
			ok, err = a.holds(name)
		default:
			if a.fingerprints[strings.ToUpper(strings.TrimSuffix(name, "!"))] {
				return a.files, false, nil
			}
		}
		if err != nil || !ok {
			return nil, false, err
		}
		keyring = append(keyring, name)
	}
	return keyring, false, nil
}

// holds says whether every key of a keyring is one of the distribution's.
func (a *archiveKeys) holds(name string) (bool, error) {
	keys, err := loadKeyring([]string{name})
	if os.IsNotExist(err) || err != nil && strings.HasPrefix(name, "/") {
		return false, nil // apt cannot use the entry either
	}
	if err != nil {
		return false, fmt.Errorf("signed-by: %w", err)
	}
	for print := range fingerprints(keys) {
		if !a.fingerprints[print] {
			return false, nil
		}
	}
	return true, nil
}
