package debian

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"testing"
)

// debWithData is hello with another data.tar.
func debWithData(t *testing.T, suffix string, data []byte) Deb {
	t.Helper()
	whole := hello("").bytes(t)
	at := bytes.Index(whole, []byte("data.tar"))
	return debFile(t, "hello", "1", append(whole[:at:at], arMember("data.tar"+suffix, data)...))
}

// rawHeader is a tar header block with a type that archive/tar does not write.
func rawHeader(name string, typ byte, size int) []byte {
	block := make([]byte, 512)
	copy(block, name)
	copy(block[100:], "0000644\x000000000\x000000000\x00")
	copy(block[124:], fmt.Sprintf("%011o\x00%011o\x00        ", size, 0))
	block[156] = typ
	copy(block[257:], "ustar\x0000")
	sum := 0
	for _, b := range block {
		sum += int(b)
	}
	copy(block[148:], fmt.Sprintf("%06o\x00 ", sum))
	return block
}

// TestSparseMembers holds FAULTS 24.
func TestSparseMembers(t *testing.T) {
	end := make([]byte, 1024)
	records := "22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n"
	pax := append(rawHeader("pax", tar.TypeXHeader, len(records)), append([]byte(records), make([]byte, 512-len(records))...)...)
	pax = append(pax, rawHeader("./big", tar.TypeReg, 512)...)
	// One block of map: one extent of nothing, at one tebibyte.
	sparse := []byte("1\n1099511627776\n0\n")
	pax = append(pax, append(sparse, make([]byte, 512-len(sparse))...)...)
	for name, data := range map[string][]byte{
		"old GNU": append(rawHeader("./big", tar.TypeGNUSparse, 0), end...),
		"PAX":     append(pax, end...),
	} {
		target := newTarget(t)
		err := unpackOnly(t, target, Cache{t.TempDir()}, debWithData(t, "", data))
		if err == nil || !strings.Contains(err.Error(), "package hello 1: ") || !strings.Contains(err.Error(), "data.tar") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestInflateLimit: a member that grows beyond its bound ends there (FAULTS 24).
func TestInflateLimit(t *testing.T) {
	const limit = 1 << 20
	small := compress(t, ".gz", make([]byte, 64*limit))
	m := member{"data.tar.gz", io.NewSectionReader(bytes.NewReader(small), 0, int64(len(small)))}
	n, err := inflate(t.Context(), io.Discard, sha256.New(), m, limit)
	if err == nil || !strings.Contains(err.Error(), "data.tar.gz decompresses to more than 1048576 bytes") || n > limit+1 {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// TestControlBomb: a control.tar may not grow beyond its bound either (FAULTS 24).
func TestControlBomb(t *testing.T) {
	bomb := compress(t, ".zst", make([]byte, maxControl+512))
	whole := []byte(arMagic)
	whole = append(whole, arMember("debian-binary", []byte("2.0\n"))...)
	whole = append(whole, arMember("control.tar.zst", bomb)...)
	whole = append(whole, arMember("data.tar", make([]byte, 1024))...)
	err := unpackOnly(t, newTarget(t), Cache{t.TempDir()}, debFile(t, "hello", "1", whole))
	if err == nil || !strings.Contains(err.Error(), "control.tar.zst decompresses to more than") {
		t.Error(err)
	}
}

// repeated is one block again and again.
type repeated struct{ block []byte }

func (r repeated) ReadAt(p []byte, at int64) (int, error) {
	for i := 0; i < len(p); {
		i += copy(p[i:], r.block[(at+int64(i))%int64(len(r.block)):])
	}
	return len(p), nil
}

// TestMemberLimit: more members than any package has are refused (FAULTS 24).
func TestMemberLimit(t *testing.T) {
	block := rawHeader("./x", tar.TypeDir, 0)
	data := io.NewSectionReader(repeated{block}, 0, (maxEntries+10)*int64(len(block)))
	c := &contents{unpacked: &unpackedDeb{data: data}}
	if err := c.readEntries(); err == nil || !strings.Contains(err.Error(), "more than 1048576 members") || len(c.entries) > maxEntries {
		t.Errorf("%d entries, %v", len(c.entries), err)
	}
}
