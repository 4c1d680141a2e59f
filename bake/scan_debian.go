package bake

import (
	"bytes"
	"path"
	"strings"
)

// debianSums are the files of Debian packages as dpkg knows them: "MD5 /path".
type debianSums map[string]bool

// reader reads the lines of a file of dpkg's database that has sums: those of a
// package's files, or the status, which has those of configuration files as
// their packages brought them. It is nil for any other file.
func (d debianSums) reader(name string) func(line string) {
	switch dir, base := path.Split(name); {
	case (dir == "/var/lib/dpkg/info/" || dir == "/var/lib/dpkg/status.d/") && strings.HasSuffix(base, ".md5sums"):
		return d.packaged
	case name == "/var/lib/dpkg/status" || dir == "/var/lib/dpkg/status.d/":
		return d.stanzas()
	}
	return nil
}

// packaged reads a line of a list of MD5 sums.
func (d debianSums) packaged(line string) {
	if sum, name, ok := strings.Cut(line, "  "); ok {
		d[sum+" /"+name] = true
		d[sum+" /usr/"+name] = true // of the time before the merged /usr
	}
}

// stanzas reads the lines of a status file: of its Conffiles " /path MD5", and
// "obsolete" for those that the package has no more.
func (d debianSums) stanzas() func(line string) {
	in := false
	return func(line string) {
		if !strings.HasPrefix(line, " ") {
			in = strings.EqualFold(strings.TrimSpace(line), "Conffiles:")
			return
		}
		if f := strings.Fields(line); in && len(f) > 1 {
			d[f[1]+" "+f[0]] = true
		}
	}
}

// maxSumLine is longer than dpkg's lines of interest are.
const maxSumLine = 8 << 10

// lineWriter calls line with every line that is written to it; one that is too
// long is cut.
type lineWriter struct {
	line func(string)
	rest []byte
}

// Write implements io.Writer.
func (w *lineWriter) Write(p []byte) (int, error) {
	n := len(p)
	for {
		l, after, ended := bytes.Cut(p, []byte{'\n'})
		w.rest = append(w.rest, l[:min(len(l), maxSumLine-len(w.rest))]...)
		if !ended {
			return n, nil
		}
		w.line(string(w.rest))
		w.rest, p = w.rest[:0], after
	}
}

// Close gives the last line. It never fails.
func (w *lineWriter) Close() error {
	if len(w.rest) > 0 {
		w.line(string(w.rest))
	}
	return nil
}
