package template

import "kiln/layers"

// compression of the layers of an image's own steps. That of gzip, the default,
// is "", so that saying it changes nothing.
func (s *section) compression() string {
	c := layers.Compression(s.text("compression"))
	if _, err := c.Encoder(); err != nil {
		s.wrong("compression", `write "gzip" or "zstd"`, "there is no compression %q", c)
		return ""
	}
	if c == layers.Gzip {
		return ""
	}
	return string(c)
}
