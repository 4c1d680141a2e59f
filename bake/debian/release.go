package debian

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// release is what a signed Release file says.
type release struct {
	origin, suite, codename string
	date, validUntil        time.Time // validUntil is zero where the archive sets none
	components              []string
	architectures           []string
	byHash                  bool
	allInNative             bool // "all" packages are listed in each architecture's index only
	pin                     int  // apt's default priority of what it lists: 500, 100 or 1
	files                   map[string]releaseFile
}

// releaseFile is the size in bytes and the sha256 of a file of the suite.
type releaseFile struct {
	size   int64
	sha256 string
}

// parseRelease reads the signed body of an InRelease file. Date and a SHA256
// list are required.
func parseRelease(body string) (*release, error) {
	stanzas, err := readParagraphs(strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if len(stanzas) != 1 {
		return nil, fmt.Errorf("one stanza expected, not %d", len(stanzas))
	}
	s := stanzas[0]
	r := &release{
		origin: s.value("Origin"), suite: s.value("Suite"), codename: s.value("Codename"),
		components: s.words("Components"), architectures: s.words("Architectures"),
		byHash:      s.yes("Acquire-By-Hash", false),
		allInNative: slices.Contains(s.words("No-Support-for-Architecture-all"), "Packages"),
		pin:         releasePin(s),
	}
	if r.date, err = parseDate(s.value("Date")); err != nil {
		return nil, fmt.Errorf("field Date: %w", err)
	}
	if until := s.value("Valid-Until"); until != "" {
		if r.validUntil, err = parseDate(until); err != nil {
			return nil, fmt.Errorf("field Valid-Until: %w", err)
		}
	}
	if r.files, err = parseFileList(s.value("SHA256")); err != nil {
		return nil, fmt.Errorf("field SHA256: %w", err)
	}
	return r, nil
}

func releasePin(s *paragraph) int {
	switch {
	case !s.yes("NotAutomatic", false):
		return 500
	case s.yes("ButAutomaticUpgrades", false):
		return 100
	}
	return 1
}

func parseDate(text string) (time.Time, error) {
	for _, layout := range []string{"Mon, 2 Jan 2006 15:04:05 MST", "Mon, 2 Jan 2006 15:04:05 -0700"} {
		t, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		if zone, offset := t.Zone(); offset == 0 && zone != "UTC" && zone != "GMT" && zone != "" {
			return time.Time{}, fmt.Errorf("%q is not in UTC", text)
		}
		return t.UTC(), nil
	}
	return time.Time{}, fmt.Errorf("%q is not a date", text)
}

func parseFileList(text string) (map[string]releaseFile, error) {
	files := map[string]releaseFile{}
	for line := range strings.SplitSeq(text, "\n") {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if len(words) != 3 || !isHexDigest(words[0]) {
			return nil, fmt.Errorf("%.120q is not a hash, a size and a name", line)
		}
		size, err := strconv.ParseInt(words[1], 10, 64)
		if err != nil || size < 0 {
			return nil, fmt.Errorf("%.120q: not a size", words[1])
		}
		files[words[2]] = releaseFile{size: size, sha256: words[0]}
	}
	if len(files) == 0 {
		return nil, errors.New("missing: archives without SHA-256 are not supported")
	}
	return files, nil
}

// checkSuite refuses a Release file that is for another suite than the one
// asked for.
func (r *release) checkSuite(asked string) error {
	if asked == r.suite || asked == r.codename {
		return nil
	}
	return fmt.Errorf("release is for suite %q (codename %q), not for %q", r.suite, r.codename, asked)
}

// checkValidUntil refuses a Release file whose time has passed.
func (r *release) checkValidUntil(now time.Time) error {
	if r.validUntil.IsZero() || !now.After(r.validUntil) {
		return nil
	}
	return fmt.Errorf("release expired: Valid-Until is %s, now is %s: the mirror is stale or somebody replays an old state",
		r.validUntil.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
}
