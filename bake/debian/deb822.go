package debian

import "strings"

// words splits the value of a field at blanks and line ends.
func (s *paragraph) words(name string) []string { return strings.Fields(s.value(name)) }

// yes says whether a field holds a true value as apt understands it, or
// fallback when it is absent or empty.
func (s *paragraph) yes(name string, fallback bool) bool {
	value := s.value(name)
	if value == "" {
		return fallback
	}
	return isYes(value)
}

// text is the value of a field with its folded lines as they were before
// folding: without the blank that marks them, a lone dot for an empty line.
func (s *paragraph) text(name string) string {
	lines := strings.Split(s.value(name), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
		if lines[i] == "." {
			lines[i] = ""
		}
	}
	return strings.Join(lines, "\n")
}

func isYes(value string) bool {
	switch strings.ToLower(value) {
	case "yes", "true", "on", "1", "with", "enable":
		return true
	}
	return false
}
