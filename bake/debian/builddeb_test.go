package debian

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// madeDeb describes a package for a test.
type madeDeb struct {
	name    string
	version string // "1" when empty
	fields  string // more lines of the control file
	control map[string]string
	files   []tar.Header
	bodies  map[string]string // by name
	suffix  string            // compression of both members, as in their names
}

var madeTime = time.Unix(1_600_000_000, 0)

func tarball(t testing.TB, headers []tar.Header, bodies map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range headers {
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Mode == 0 {
			h.Mode = 0o644
			if h.Typeflag == tar.TypeDir {
				h.Mode = 0o755
			}
		}
		h.ModTime = madeTime
		h.Size = int64(len(bodies[h.Name]))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, bodies[h.Name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func compress(t testing.TB, suffix string, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	var err error
	switch suffix {
	case ".gz":
		w = gzip.NewWriter(&out)
	case ".xz":
		w, err = xz.NewWriter(&out)
	case ".zst":
		w, err = zstd.NewWriter(&out)
	default:
		return data
	}
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func arMember(name string, data []byte) []byte {
	head := fmt.Sprintf("%-16s%-12d%-6d%-6d%-8s%-10d`\n", name, 0, 0, 0, "100644", len(data))
	out := append([]byte(head), data...)
	if len(data)%2 == 1 {
		out = append(out, '\n')
	}
	return out
}

// bytes makes the .deb.
func (m madeDeb) bytes(t testing.TB) []byte {
	t.Helper()
	if m.version == "" {
		m.version = "1"
	}
	text := "Package: " + m.name + "\nVersion: " + m.version + "\nArchitecture: all\n" +
		"Maintainer: Nobody <nobody@example.com>\nDescription: for a test\n" + m.fields
	headers, bodies := []tar.Header{{Name: "./", Typeflag: tar.TypeDir}, {Name: "./control"}}, map[string]string{"./control": text}
	for _, name := range sortedKeys(m.control) {
		h := tar.Header{Name: "./" + name}
		if strings.HasPrefix(m.control[name], "#!") {
			h.Mode = 0o755
		}
		headers, bodies["./"+name] = append(headers, h), m.control[name]
	}
	out := []byte(arMagic)
	out = append(out, arMember("debian-binary", []byte("2.0\n"))...)
	out = append(out, arMember("control.tar"+m.suffix, compress(t, m.suffix, tarball(t, headers, bodies)))...)
	return append(out, arMember("data.tar"+m.suffix, compress(t, m.suffix, tarball(t, m.files, m.bodies)))...)
}

// deb writes the package to a file.
func (m madeDeb) deb(t testing.TB) Deb {
	t.Helper()
	if m.version == "" {
		m.version = "1"
	}
	return debFile(t, m.name, m.version, m.bytes(t))
}

func debFile(t testing.TB, name, version string, data []byte) Deb {
	t.Helper()
	file := filepath.Join(t.TempDir(), name+".deb")
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return Deb{Package{
		Name: name, Version: version, Arch: "all",
		SHA256: hex.EncodeToString(sum[:]), Size: int64(len(data)),
	}, file}
}

// unpackOnly unpacks packages into a target without running anything.
func unpackOnly(t testing.TB, target Target, cache Cache, debs ...Deb) error {
	t.Helper()
	ctx := context.Background()
	all, err := readAll(ctx, cache, debs)
	defer closeAll(all)
	if err != nil {
		return err
	}
	in := &Install{Target: target, Timestamp: madeTime.Add(time.Hour)}
	j := &job{Install: in, view: newView(target), shipped: map[string]*node{}}
	p, w, err := j.plan(all, len(target.Lowers) == 0)
	if err != nil {
		return err
	}
	defer w.root.Close()
	for _, c := range all {
		if err := w.registerControl(c); err != nil {
			return err
		}
	}
	return j.unpack(ctx, p, w, all)
}
