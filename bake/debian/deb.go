package debian

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// Deb is a package together with the file that holds its .deb. The file is
// taken as verified: Fetch checked it against Package.SHA256.
type Deb struct {
	Package
	File string
}

// member is one file of the ar archive that a .deb is.
type member struct {
	name string
	data *io.SectionReader
}

const (
	arMagic  = "!<arch>\n"
	arHeader = 60
)

// readDeb finds the control and data members of a .deb (deb(5), format 2.0).
// Members whose name starts with an underscore are skipped, as deb(5) says;
// any other one that is not known is an error.
func readDeb(f *os.File) (control, data member, err error) {
	members, err := readAr(f)
	if err != nil {
		return control, data, err
	}
	if len(members) == 0 || members[0].name != "debian-binary" {
		return control, data, errors.New("not a .deb: its first member is not debian-binary")
	}
	version, err := io.ReadAll(io.LimitReader(members[0].data, 16))
	if err != nil {
		return control, data, err
	}
	if !strings.HasPrefix(string(version), "2.") {
		return control, data, fmt.Errorf("format %q of the .deb is not known, want 2.x", strings.TrimSpace(string(version)))
	}
	for _, m := range members[1:] {
		switch {
		case strings.HasPrefix(m.name, "_"):
		case isTar(m.name, "control") && control.data == nil:
			control = m
		case isTar(m.name, "data") && control.data != nil && data.data == nil:
			data = m
		default:
			return control, data, fmt.Errorf("unexpected member %q in the .deb", m.name)
		}
	}
	if control.data == nil || data.data == nil {
		return control, data, errors.New("truncated .deb: control.tar or data.tar is missing")
	}
	return control, data, nil
}

func isTar(name, stem string) bool {
	return name == stem+".tar" || strings.HasPrefix(name, stem+".tar.")
}

// readAr lists the members of an ar archive.
func readAr(f *os.File) ([]member, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	magic := make([]byte, len(arMagic))
	if _, err := f.ReadAt(magic, 0); err != nil || string(magic) != arMagic {
		return nil, errors.New("not a .deb: no ar archive")
	}
	var members []member
	for at := int64(len(arMagic)); at < info.Size(); {
		var header [arHeader]byte
		if _, err := f.ReadAt(header[:], at); err != nil {
			return nil, fmt.Errorf("truncated .deb: member header at byte %d is incomplete", at)
		}
		name, size, err := parseArHeader(header)
		if err != nil {
			return nil, fmt.Errorf("member at byte %d of the .deb: %w", at, err)
		}
		at += arHeader
		if size > info.Size()-at {
			return nil, fmt.Errorf("truncated .deb: member %s needs %d bytes, %d are there", name, size, info.Size()-at)
		}
		members = append(members, member{name, io.NewSectionReader(f, at, size)})
		if len(members) > 32 {
			return nil, errors.New("more than 32 members in the .deb")
		}
		at += size + size%2
	}
	return members, nil
}

func parseArHeader(h [arHeader]byte) (string, int64, error) {
	if h[58] != '`' || h[59] != '\n' {
		return "", 0, errors.New("header without its end mark")
	}
	size, err := strconv.ParseInt(strings.TrimRight(string(h[48:58]), " "), 10, 64)
	if err != nil || size < 0 {
		return "", 0, fmt.Errorf("size %q is no number", h[48:58])
	}
	name := strings.TrimSuffix(strings.TrimRight(string(h[:16]), " "), "/")
	return name, size, nil
}
