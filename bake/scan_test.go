package bake

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kiln/bake/template"
	"kiln/layers"
	"kiln/sign"
)

// markScanner finds the words SECRET, and GUESS as a guess.
type markScanner struct{}

func (markScanner) Rules() string { return strings.Repeat("ab", 32) }

func (markScanner) Find(name string, text []byte) ([]Secret, error) {
	var found []Secret
	line := 0
	for l := range bytes.Lines(text) {
		line++
		if bytes.Contains(l, []byte("SECRET")) {
			found = append(found, Secret{Rule: "mark", Line: line, Masked: "S…"})
		}
		if bytes.Contains(l, []byte("GUESS")) {
			found = append(found, Secret{Rule: "guess", Line: line, Masked: "G…", Guess: true})
		}
	}
	if strings.HasSuffix(name, ".p12") {
		found = append(found, Secret{Rule: "name", Masked: "…"})
	}
	return found, nil
}

// testExpanded is how much of an archive tests look into.
const testExpanded = 8 << 20

type memberFile struct {
	name, content string
	capable       bool
}

// archiveOf is an archive of files.
func archiveOf(t testing.TB, files ...memberFile) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: 0o644, Size: int64(len(f.content))}
		if f.capable {
			h.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": "x"}
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(f.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func packedGzip(t testing.TB, content []byte) string {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

func packedZip(t testing.TB, name, content string) string {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	f, err := w.Create(name)
	if err == nil {
		_, err = f.Write([]byte(content))
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

func wideOf(text string) string {
	b := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(text)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return string(b)
}

func scanned(t testing.TB, files ...memberFile) *layerScan {
	t.Helper()
	found, err := scanTar(t.Context(), markScanner{}, bytes.NewReader(archiveOf(t, files...)), testExpanded)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// FAULTS 30: secrets in files, wherever they hide in a layer.
func TestScanTar(t *testing.T) {
	binary := "\x7fELF\x00\x00SECRET"
	long := strings.Repeat("words without end\n", 200_000)
	for _, tc := range []struct {
		name, file, content string
		want                string // path:line of the findings
		unread              string
	}{
		{"text", "srv/a", "x\nSECRET\n", "/srv/a:2", ""},
		{"no text", "srv/a", binary, "", "binary"},
		{"by name", "srv/a.p12", binary, "/srv/a.p12:0", "binary"},
		{"at the end of a long text", "a", long + "SECRET", "/a:200001", ""},
		{"between chunks", "a", long[:chunkSize-3] + "SECRET" + long, fmt.Sprintf("/a:%d", 1+strings.Count(long[:chunkSize-3], "\n")), ""},
		{"UTF-16", "a.txt", wideOf("x\nSECRET\n"), "/a.txt:2", ""},
		{"gzip", "a.gz", packedGzip(t, []byte("SECRET")), "/a.gz:1", ""},
		{"zip", "a.jar", packedZip(t, "in/b", "SECRET"), "/a.jar!in/b:1", ""},
		{"tar", "a.tar", string(archiveOf(t, memberFile{"in/b", "SECRET", false})), "/a.tar!in/b:1", ""},
		{"tar in gzip", "a.tgz", packedGzip(t, archiveOf(t, memberFile{"b", "SECRET", false})), "/a.tgz!b:1", ""},
		{"zip in zip", "a.war", packedZip(t, "b.jar", packedZip(t, "c", "SECRET")), "/a.war!b.jar!c:1", ""},
		{"too deep", "a.zip", packedZip(t, "b", packedZip(t, "c", packedZip(t, "d", "SECRET"))), "", "compressed in a form that is not opened"},
		{"damaged", "a.gz", packedGzip(t, []byte(long))[:99], "", "archive that cannot be read"},
		{"a bomb", "a.gz", packedGzip(t, make([]byte, testExpanded+1)), "", "binary"},
		{"a bomb of text", "a.gz", packedGzip(t, bytes.Repeat([]byte("x\n"), testExpanded/2+1)), "", "archive over the limit"},
		{"xz", "a.xz", "\xfd7zXZ\x00\x00SECRET", "", "compressed in a form that is not opened"},
		{"whiteout", "srv/.wh.SECRET", "", "", ""},
		{"in a whiteout", "srv/.wh.a", "SECRET", "/srv/.wh.a:1", ""},
		{"named as a whiteout in an archive", "a.tar", string(archiveOf(t, memberFile{".wh.b", "SECRET", false})), "/a.tar!.wh.b:1", ""},
		{"outside", "../../etc/a", "SECRET", "/etc/a:1", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			found := scanned(t, memberFile{tc.file, tc.content, false})
			var got []string
			for _, f := range found.Found {
				got = append(got, fmt.Sprintf("%s:%d", f.Path, f.Line))
			}
			if strings.Join(got, " ") != tc.want {
				t.Errorf("found %q, want %q", got, tc.want)
			}
			if _, ok := found.Unread[tc.unread]; ok != (tc.unread != "") || len(found.Unread) > 1 {
				t.Errorf("not looked into: %v, want %q", found.Unread, tc.unread)
			}
		})
	}
}

// What allows a secret by its content needs the sum of the whole file.
func TestScanTarSums(t *testing.T) {
	long := strings.Repeat("x\n", chunkSize) + "SECRET"
	packed := packedGzip(t, []byte("SECRET"))
	for _, content := range []string{"SECRET", long, packed} {
		sum := sha256.Sum256([]byte(content))
		found := scanned(t, memberFile{"a", content, false}).Found
		if len(found) != 1 || found[0].SHA256 != hex.EncodeToString(sum[:]) {
			t.Errorf("found %+v, want the sum %x", found, sum)
		}
	}
}

// A guess does not count in what a Debian package brought, unless the file was
// changed since; what is sure counts there, too.
func TestScanExcusesDebianPackages(t *testing.T) {
	doc := packedGzip(t, []byte("GUESS"))
	line := func(name, content string) string { return fmt.Sprintf("%x  %s\n", md5.Sum([]byte(content)), name) }
	sums := line("usr/share/a", "GUESS") + line("lib/b", "GUESS") + line("usr/c", "GUESS") + line("usr/d", "SECRET") + line("usr/e.gz", doc)
	found := scanned(t,
		memberFile{"usr/share/a", "GUESS", false}, memberFile{"usr/lib/b", "GUESS", false}, memberFile{"usr/c", "GUESS now", false},
		memberFile{"usr/d", "SECRET", false}, memberFile{"usr/e.gz", doc, false}, memberFile{"usr/f", "GUESS", false},
		memberFile{"var/lib/dpkg/info/p.md5sums", sums, false})
	var counts []string
	for _, f := range found.Found {
		if f.Known == "" {
			counts = append(counts, f.Path)
		}
	}
	if want := "/usr/c /usr/d /usr/f"; strings.Join(counts, " ") != want {
		t.Errorf("%q count, want %q", counts, want)
	}
}

// Configuration files as their packages brought them are excused by dpkg's
// status, and files of several chunks by the sum of all of them.
func TestScanExcusesDebianConffiles(t *testing.T) {
	long := strings.Repeat("x\n", chunkSize) + "GUESS"
	line := func(name, content string) string { return fmt.Sprintf(" %s %x\n", name, md5.Sum([]byte(content))) }
	status := "Package: a\nConffiles:\n" + line("/etc/a", "GUESS") + strings.TrimSuffix(line("/etc/b", "GUESS"), "\n") + " obsolete\n" +
		line("/etc/c", "GUESS") + "Description: text\n" + line("/etc/d", "GUESS") + "\nPackage: b\nConffiles:\n" + line("/etc/long", long)
	found := scanned(t,
		memberFile{"etc/a", "GUESS", false}, memberFile{"etc/b", "GUESS", false}, memberFile{"etc/c", "GUESS, changed", false},
		memberFile{"etc/d", "GUESS", false}, memberFile{"etc/long", long, false}, memberFile{"etc/longer", long + "x", false},
		memberFile{"var/lib/dpkg/status", strings.TrimSuffix(status, "\n"), false})
	var counts []string
	for _, f := range found.Found {
		if f.Known == "" {
			counts = append(counts, f.Path)
		}
	}
	if want := "/etc/c /etc/d /etc/longer"; strings.Join(counts, " ") != want {
		t.Errorf("%q count, want %q", counts, want)
	}
}

// A log full of what looks like secrets neither stops the scan nor fills the
// report: all its chunks wait for its sum.
func TestScanFileOfSecrets(t *testing.T) {
	content := strings.Repeat("SECRET GUESS\n", 16*chunkSize/13)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	done := make(chan *layerScan, 1)
	go func() {
		found, err := scanTar(ctx, markScanner{}, bytes.NewReader(archiveOf(t, memberFile{"srv/log", content, false})), testExpanded)
		if err != nil {
			t.Error(err)
		}
		done <- found
	}()
	select {
	case <-ctx.Done():
		t.Fatal("the scan does not end")
	case found := <-done:
		sum := sha256.Sum256([]byte(content))
		if len(found.Found) != 2*maxAlike || found.Found[0].SHA256 != hex.EncodeToString(sum[:]) || found.Found[0].Line != 1 {
			t.Errorf("%d findings, the first %+v", len(found.Found), found.Found[0])
		}
	}
}

// The report is the same whatever the order in which the cores come to it.
func TestScanIsDeterministic(t *testing.T) {
	var files []memberFile
	for i := range 200 {
		files = append(files, memberFile{fmt.Sprintf("f%03d", i), strings.Repeat("x\n", i*50) + "SECRET GUESS\nSECRET", i%7 == 0})
	}
	first, err := json.Marshal(scanned(t, files...))
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if again, _ := json.Marshal(scanned(t, files...)); !bytes.Equal(first, again) {
			t.Fatalf("%s, then %s", first, again)
		}
	}
}

func TestScanReport(t *testing.T) {
	allow := []template.Allow{
		{Reason: "an example", Path: "/usr/share/doc/**", Rule: "mark"},
		{Reason: "of the tests", SHA256: strings.Repeat("c", 64)},
		{Reason: "public", Path: "env PUBLIC_*"},
	}
	r := newReport("rules", allow)
	r.layer("packages", &layerScan{
		Found: []fileSecret{
			{Path: "/usr/share/doc/x/README", Secret: Secret{Rule: "mark"}},
			{Path: "/usr/share/doc/x/README", Secret: Secret{Rule: "other"}},
			{Path: "/srv/a", SHA256: strings.Repeat("c", 64), Secret: Secret{Rule: "mark"}},
			{Path: "/srv/b", Secret: Secret{Rule: "mark", Known: ofPackage}},
		},
		Files: 3, Unread: unread{isBinary: {2, 20, "/bin/a"}},
	}, allow)
	r.add(FoundSecret{Where: "env PUBLIC_KEY", Secret: Secret{Rule: "mark"}}, allow)
	r.add(FoundSecret{Where: "env KEY", Secret: Secret{Rule: "mark", Masked: "S…"}}, allow)
	if len(r.Allowed) != 3 || r.Allowed[0].Reason != "an example" || r.Allowed[2].Reason != "public" || r.Known[ofPackage] != 1 {
		t.Errorf("allowed %+v, known %v", r.Allowed, r.Known)
	}
	err := &SecretsError{Image: "shop", Found: r.Secrets}
	for _, text := range []string{`packages: "/usr/share/doc/x/README": other`, `env KEY: mark: "S…"`, "scan { allow"} {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%v lacks %q", err, text)
		}
	}
}

// What is exposed is so in the merged tree: what a later layer replaces or
// removes is not, what it leaves is.
func TestExposure(t *testing.T) {
	base, err := scanTar(t.Context(), markScanner{}, bytes.NewReader(exposedTar(t)), testExpanded)
	if err != nil {
		t.Fatal(err)
	}
	top := archiveOf(t, memberFile{"usr/bin/su", "plain", false}, memberFile{"srv/open/.wh.f", "", false}, memberFile{"usr/bin/ping", "p", true})
	above, err := layers.IndexTar(t.Context(), bytes.NewReader(top))
	if err != nil {
		t.Fatal(err)
	}
	own, err := scanTar(t.Context(), markScanner{}, bytes.NewReader(top), testExpanded)
	if err != nil {
		t.Fatal(err)
	}
	config := &v1.ConfigFile{Config: v1.Config{ExposedPorts: map[string]struct{}{"8080/tcp": {}}, User: "10001:0"}}
	for _, tc := range []struct {
		marks []mark
		want  Exposure
	}{
		{base.Marks, Exposure{
			Setuid: []string{"/usr/bin/su"}, Setgid: []string{"/usr/bin/wall"}, Writable: []string{"/srv/open", "/srv/open/f"},
			Capabilities: []string{}, Ports: []string{"8080/tcp"},
		}},
		{covered(base.Marks, above, own.Marks), Exposure{
			Setuid: []string{}, Setgid: []string{"/usr/bin/wall"}, Writable: []string{"/srv/open"},
			Capabilities: []string{"/usr/bin/ping"}, Ports: []string{"8080/tcp"},
		}},
	} {
		r := &ScanReport{}
		r.expose(tc.marks, config)
		if got, want := fmt.Sprintf("%+v", r.Exposed), fmt.Sprintf("%+v", tc.want); got != want {
			t.Errorf("exposed %s, want %s", got, want)
		}
	}
}

// exposedTar has files and folders of every kind of exposure.
func exposedTar(t testing.TB) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, h := range []*tar.Header{
		{Typeflag: tar.TypeDir, Name: "srv/open/", Mode: 0o777},
		{Typeflag: tar.TypeReg, Name: "srv/open/f", Mode: 0o666},
		{Typeflag: tar.TypeSymlink, Name: "srv/open/link", Mode: 0o777, Linkname: "f"},
		{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777},
		{Typeflag: tar.TypeDir, Name: "usr/", Mode: 0o2755},
		{Typeflag: tar.TypeReg, Name: "usr/bin/su", Mode: 0o4755},
		{Typeflag: tar.TypeReg, Name: "usr/bin/wall", Mode: 0o2755},
	} {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// FAULTS 30: secrets in env, labels, annotations and history.
func TestConfigTexts(t *testing.T) {
	config := &v1.ConfigFile{
		Config: v1.Config{
			Env: []string{"A=1", "B=SECRET"}, Labels: map[string]string{"l": "SECRET"},
			Entrypoint: []string{"x", "SECRET"}, Cmd: []string{"SECRET"},
			Healthcheck: &v1.HealthConfig{Test: []string{"CMD", "SECRET"}},
		},
		History: []v1.History{{CreatedBy: "ok"}, {CreatedBy: "RUN SECRET"}, {Comment: "SECRET"}},
	}
	var at []string
	for _, c := range configTexts(config, &v1.Manifest{Annotations: map[string]string{"n": "SECRET"}}) {
		if found, _ := (markScanner{}).Find("", []byte(c.Text)); len(found) > 0 {
			at = append(at, c.Where)
		}
	}
	if want := "env B,label l,annotation n,history 2,history 3,entrypoint,cmd,healthcheck"; strings.Join(at, ",") != want {
		t.Errorf("found in %q, want %q", at, want)
	}
}

// FAULTS 21: the attested report shows no part of a secret, and is only that of
// the same rules, list and outcome.
func TestScanAttestation(t *testing.T) {
	r := newReport(strings.Repeat("ab", 32), nil)
	r.Exposed.Setuid = []string{"/usr/bin/su"}
	r.add(FoundSecret{Where: "copy", Path: "/a", Secret: Secret{Rule: "mark", Masked: "AKIA…"}}, []template.Allow{{Path: "/a", Reason: "why"}})
	raw, err := r.predicate()
	if err != nil {
		t.Fatal(err)
	}
	if s := string(raw); strings.Contains(s, "AKIA") || !strings.Contains(s, "/usr/bin/su") || !strings.Contains(s, "why") {
		t.Errorf("predicate %s", raw)
	}
	is := func(change func(*ScanReport)) bool {
		other := *r
		change(&other)
		return other.attestedBy([]sign.Attestation{
			{Statement: sign.Statement{Predicate: json.RawMessage(`{"result":"PASSED"}`)}}, {Statement: sign.Statement{Predicate: raw}},
		})
	}
	if !is(func(*ScanReport) {}) {
		t.Error("the report is not found again")
	}
	for name, change := range map[string]func(*ScanReport){
		"rules":   func(o *ScanReport) { o.Rules = strings.Repeat("cd", 32) },
		"list":    func(o *ScanReport) { o.Allow = "other" },
		"outcome": func(o *ScanReport) { o.Secrets = []FoundSecret{{}} },
	} {
		if is(change) {
			t.Errorf("the report is taken for one of another %s", name)
		}
	}
}

func TestLayerNames(t *testing.T) {
	layer := &layers.Layer{}
	base := &Image{Name: "acme/base", Steps: []StepResult{{Step: "packages", layer: layer}}, Parent: &Image{Name: "other"}}
	img := &Image{Name: "acme/shop", Steps: []StepResult{{Step: "run nothing"}, {Step: "copy app", layer: layer}}, Parent: base}
	if got := layerNames(img, 4); !slices.Equal(got, []string{"of the parent", "of the parent", "acme/base: packages", "copy app"}) {
		t.Errorf("%q", got)
	}
}

func TestScanStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := scanTar(ctx, markScanner{}, bytes.NewReader(archiveOf(t, memberFile{"a", "SECRET", false}, memberFile{"b", "x", false})), testExpanded)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled scan says %v", err)
	}
}

func FuzzScanTar(f *testing.F) {
	f.Add(archiveOf(f, memberFile{"a.zip", packedZip(f, "b", "SECRET"), false}, memberFile{"c.gz", packedGzip(f, []byte("GUESS")), true}))
	f.Add(archiveOf(f, memberFile{"var/lib/dpkg/info/p.md5sums", "x  y\n", false}, memberFile{"w", wideOf("SECRET"), false}))
	f.Add([]byte("no archive"))
	f.Fuzz(func(t *testing.T, content []byte) {
		first, err := scanTar(t.Context(), markScanner{}, bytes.NewReader(content), testExpanded)
		again, err2 := scanTar(t.Context(), markScanner{}, bytes.NewReader(content), testExpanded)
		if (err == nil) != (err2 == nil) {
			t.Fatalf("%v, then %v", err, err2)
		}
		if err != nil {
			return
		}
		a, _ := json.Marshal(first)
		b, _ := json.Marshal(again)
		if !bytes.Equal(a, b) {
			t.Fatalf("%s, then %s", a, b)
		}
	})
}
