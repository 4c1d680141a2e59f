package reports

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

const spdxText = `{"spdxVersion":"SPDX-2.3","dataLicense":"CC0-1.0","SPDXID":"SPDXRef-DOCUMENT","name":"n","documentNamespace":"urn:n",
"creationInfo":{"created":"2026-01-02T03:04:05Z","creators":["Tool: t"]},"packages":[
{"SPDXID":"SPDXRef-Image","name":"acme/shop","downloadLocation":"NOASSERTION","primaryPackagePurpose":"CONTAINER"},
{"SPDXID":"SPDXRef-a","name":"a","versionInfo":"1","downloadLocation":"NONE","licenseConcluded":"NOASSERTION","licenseDeclared":"MIT AND (GPL-2.0-only OR Artistic-1.0)",
"externalRefs":[{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":"pkg:deb/debian/a@1"}]}]}`

const cyclonedxText = `{"bomFormat":"CycloneDX","specVersion":"1.6","version":1,"components":[
{"bom-ref":"os","type":"operating-system","name":"debian"},
{"bom-ref":"b","type":"library","group":"@acme","name":"b","version":"2","purl":"pkg:npm/%40acme/b@2","licenses":[{"license":{"id":"MIT"}},{"license":{"name":"Own"}}],
 "components":[{"bom-ref":"c","type":"library","name":"c","licenses":[{"expression":"MIT OR BSD-2-Clause"}]}]}]}`

func TestParseSBOM(t *testing.T) {
	for _, c := range []struct {
		text string
		want SBOM
	}{
		{spdxText, SBOM{SPDX, "SPDX-2.3", []Package{
			{"a", "1", "deb", "pkg:deb/debian/a@1", []string{"MIT", "(GPL-2.0-only OR Artistic-1.0)"}},
		}}},
		{cyclonedxText, SBOM{CycloneDX, "1.6", []Package{
			{"@acme/b", "2", "npm", "pkg:npm/%40acme/b@2", []string{"MIT", "Own"}},
			{"c", "", "", "", []string{"MIT OR BSD-2-Clause"}},
		}}},
	} {
		got, err := ParseSBOM([]byte(c.text))
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v, %v\nwant %+v", got, err, c.want)
		}
	}
}

// FAULTS 32: what is not surely of the format is refused. FAULTS 33: nothing
// goes beyond the bounds.
func TestParseSBOMRefuses(t *testing.T) {
	many := strings.Repeat(`{"bom-ref":"","type":"library","name":"x"},`, MaxEntries) + `{"type":"library","name":"x"}`
	for _, c := range []struct{ name, text, want string }{
		{"no JSON", `x`, "not a JSON object"},
		{"an array", `[]`, "not a JSON object"},
		{"truncated", spdxText[:200], "JSON"},
		{"another document", `{"predicateType":"x"}`, "neither SPDX"},
		{"both", strings.Replace(spdxText, `{`, `{"bomFormat":"CycloneDX",`, 1), "SPDX and CycloneDX"},
		{"an unread version", strings.Replace(spdxText, "SPDX-2.3", "SPDX-3.0", 1), "is not read"},
		{"another licence of the data", strings.Replace(spdxText, "CC0-1.0", "MIT", 1), "dataLicense"},
		{"no name", strings.Replace(spdxText, `"name":"n"`, `"name":""`, 1), "name and documentNamespace"},
		{"no creators", strings.Replace(spdxText, `["Tool: t"]`, `[]`, 1), "creationInfo"},
		{"an id twice", strings.Replace(spdxText, "SPDXRef-Image", "SPDXRef-a", 1), "twice"},
		{"a bad id", strings.Replace(spdxText, "SPDXRef-Image", "Image", 1), "SPDXRef-"},
		{"a package without a name", strings.Replace(spdxText, `"name":"a"`, `"x":"a"`, 1), "name is required"},
		{"no download location", strings.Replace(spdxText, `"downloadLocation":"NONE",`, ``, 1), "downloadLocation"},
		{"another bomFormat", strings.Replace(cyclonedxText, `"CycloneDX"`, `"X"`, 1), "bomFormat"},
		{"an unread CycloneDX", strings.Replace(cyclonedxText, `"1.6"`, `"1.0"`, 1), "is not read"},
		{"a component of no type", strings.Replace(cyclonedxText, `"type":"library"`, `"type":"bogus"`, 1), "none of CycloneDX"},
		{"a ref twice", strings.Replace(cyclonedxText, `"bom-ref":"c"`, `"bom-ref":"b"`, 1), "twice"},
		{"too deep", strings.Repeat(`{"a":`, maxDepth+1) + `1` + strings.Repeat(`}`, maxDepth+1), "levels"},
		{"too large", `{"a":"` + strings.Repeat("x", MaxSize) + `"}`, "at most"},
		{"too many", `{"bomFormat":"CycloneDX","specVersion":"1.6","components":[` + many + `]}`, "more than"},
	} {
		if _, err := ParseSBOM([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestConjuncts(t *testing.T) {
	for text, want := range map[string][]string{
		"": {}, "NONE": {}, "NOASSERTION": {}, "MIT": {"MIT"}, "MIT AND BSD and X": {"MIT", "BSD", "X"},
		"A AND (B OR C)": {"A", "(B OR C)"}, "A OR B AND C": {"A OR B AND C"}, " AND ": {"AND"}, "A AND  AND B": {"A", "B"},
		"GPL-2.0-only WITH Classpath-exception-2.0": {"GPL-2.0-only WITH Classpath-exception-2.0"},
	} {
		if got := conjuncts(text); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

const trivyText = `{"SchemaVersion":2,"Trivy":{"Version":"0.66.0"},"CreatedAt":"2026-03-04T05:06:07Z","ArtifactName":"x","Results":[{"Target":"d","Class":"os-pkgs","Vulnerabilities":[
{"VulnerabilityID":"CVE-1","PkgName":"zlib1g","InstalledVersion":"1.2","FixedVersion":"1.3","Status":"fixed","Severity":"CRITICAL"},
{"VulnerabilityID":"CVE-2","PkgName":"bash","InstalledVersion":"5","Status":"will_not_fix","Severity":"LOW"}]}]}`

const grypeText = `{"matches":[{"vulnerability":{"id":"CVE-3","severity":"Negligible","fix":{"versions":["2"],"state":"fixed"}},"artifact":{"name":"p","version":"1"}}],
"descriptor":{"name":"grype","version":"0.100.0","timestamp":"2026-03-04T05:06:07Z","db":{"status":{"built":"2026-03-03T00:00:00Z"}}}}`

const osvText = `{"results":[{"source":{"path":"p"},"packages":[{"package":{"name":"q","version":"1","ecosystem":"npm"},
"vulnerabilities":[{"id":"GHSA-1","affected":[{"package":{"name":"q"},"ranges":[{"events":[{"introduced":"0"},{"fixed":"1.5"}]}]}]},{"id":"CVE-4"},{"id":"GHSA-2","database_specific":{"severity":"MODERATE"}}],
"groups":[{"ids":["GHSA-1","CVE-4"],"max_severity":"7.5"},{"ids":["GHSA-2"],"max_severity":""}]}]}]}`

const sarifText = `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"Trivy","version":"0.66.0","rules":[{"id":"CVE-5","properties":{"security-severity":"9.8"}}]}},
"invocations":[{"endTimeUtc":"2026-03-04T05:06:07Z"}],"results":[{"ruleId":"CVE-5","locations":[{"physicalLocation":{"artifactLocation":{"uri":"usr/bin/x"}}}]},{"ruleId":"CVE-6"}]}]}`

const plainText = `{"schema":"kiln.vulnerabilities/v1","scanner":{"name":"own","version":"1"},"scanned_at":"2026-03-04T05:06:07Z","findings":[{"id":"CVE-7","severity":"HIGH","package":"p","version":"1"}]}`

var scanTime = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func TestVulnPredicate(t *testing.T) {
	for _, c := range []struct {
		text, scanner, version string
		want                   []Finding
	}{
		{trivyText, "trivy", "0.66.0", []Finding{
			{"CVE-1", Critical, "zlib1g", "1.2", "1.3", Fixed}, {"CVE-2", Low, "bash", "5", "", WontFix},
		}},
		{grypeText, "grype", "0.100.0", []Finding{{"CVE-3", Negligible, "p", "1", "2", Fixed}}},
		{osvText, "osv-scanner", "", []Finding{{"GHSA-1", High, "q", "1", "1.5", Fixed}, {"GHSA-2", Medium, "q", "1", "", NotFixed}}},
		{sarifText, "trivy", "0.66.0", []Finding{{"CVE-5", Critical, "usr/bin/x", "", "", StateUnknown}, {"CVE-6", Unknown, "", "", "", StateUnknown}}},
		{plainText, "own", "1", []Finding{{"CVE-7", High, "p", "1", "", StateUnknown}}},
	} {
		predicate, err := VulnPredicate([]byte(c.text), scanTime)
		if err != nil {
			t.Errorf("%s: %v", c.scanner, err)
			continue
		}
		got, err := ParseVulnerabilities(predicate)
		want := Vulnerabilities{c.scanner, c.version, scanTime, c.want}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, %v\nwant %+v", got, err, want)
		}
		again, err := VulnPredicate(predicate, time.Time{})
		if err != nil || string(again) != string(predicate) {
			t.Errorf("%s: a predicate did not stay as it was: %v", c.scanner, err)
		}
	}
	if _, err := VulnPredicate([]byte(osvText), time.Time{}); !errors.Is(err, ErrNoTime) {
		t.Errorf("a report without a time: %v", err)
	}
}

// FAULTS 32: a report that is not surely one of vulnerabilities is refused,
// above all where it would seem to have found nothing.
func TestVulnPredicateRefuses(t *testing.T) {
	edit := func(text, old, new string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("no %q to edit", old)
		}
		return strings.Replace(text, old, new, 1)
	}
	wrap := func(result string) string {
		return fmt.Sprintf(`{"invocation":{},"scanner":{"uri":"u","version":"1","result":%s},"metadata":{"scanFinishedOn":"2026-01-01T00:00:00Z"}}`, result)
	}
	for _, c := range []struct{ name, text, want string }{
		{"an SBOM", spdxText, "not the JSON of"},
		{"an empty object", `{}`, "not the JSON of"},
		{"two scanners at once", `{"SchemaVersion":2,"runs":[]}`, "several scanners"},
		{"trivy on secrets only", edit(trivyText, "os-pkgs", "secret"), "no packages"},
		{"trivy without results", `{"SchemaVersion":2,"ArtifactName":"x"}`, "no packages"},
		{"an unread schema of trivy", edit(trivyText, `:2`, `:3`), "is not read"},
		{"trivy without ids", edit(trivyText, `"VulnerabilityID":"CVE-1",`, ``), "without id"},
		{"syft as grype", edit(grypeText, `"grype"`, `"syft"`), "descriptor.name"},
		{"grype without ids", edit(grypeText, `CVE-3`, ``), "without id"},
		{"osv without ids", edit(osvText, `"id":"GHSA-2"`, `"id":""`), "without an id"},
		{"osv that looked at nothing", `{"results":[]}`, "lists no packages"},
		{"SARIF of another tool", edit(sarifText, `Trivy`, `gitleaks`), "not known to look"},
		{"SARIF of two runs", edit(sarifText, `"runs":[`, `"runs":[{},`), "2 runs"},
		{"SARIF without results", edit(sarifText, `"results"`, `"x"`), "no results"},
		{"an unread SARIF", edit(sarifText, `2.1.0`, `1.0.0`), "is not read"},
		{"a plain list without findings", edit(plainText, `"findings":[`, `"x":[`), "not the JSON of"},
		{"a plain list of another state", edit(plainText, `"id"`, `"state":"fine","id"`), "is none"},
		{"a predicate of an unknown result", wrap(`{"a":1}`), "scanner.result"},
		{"a predicate without a result", wrap(`null`), "scanner.result"},
		{"a predicate without a time", edit(wrap(grypeText), `scanFinishedOn`, `x`), "does not say when"},
		{"too deep", strings.Repeat(`{"a":`, maxDepth+1) + `1` + strings.Repeat(`}`, maxDepth+1), "levels"},
	} {
		_, err := VulnPredicate([]byte(c.text), scanTime)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if _, err := ParseVulnerabilities([]byte(c.text)); err == nil {
			t.Errorf("%s: read as a predicate", c.name)
		}
	}
	if _, err := ParseVulnerabilities([]byte(trivyText)); err == nil {
		t.Error("raw output was read as a predicate")
	}
}

func TestRated(t *testing.T) {
	for score, want := range map[string]Severity{
		"9.8": Critical, "9.0": Critical, "8.9": High, "7": High, "4.0": Medium, "0.1": Low,
		"0": Unknown, "": Unknown, "-1": Unknown, "11": Unknown, "NaN": Unknown, "Inf": Unknown,
	} {
		if got := rated(score); got != want {
			t.Errorf("%q: %s, want %s", score, got, want)
		}
	}
}

func TestScanned(t *testing.T) {
	for text, want := range map[string][]string{
		`{"Metadata":{"RepoDigests":["host/a@sha256:1","b@sha256:1"]}}`:                                           {"sha256:1"},
		`{"source":{"type":"image","target":{"manifestDigest":"sha256:2","repoDigests":["host/a@sha256:3"]}}}`:    {"sha256:3", "sha256:2"},
		`{"source":{"type":"directory","target":"/srv"}}`:                                                         nil,
		`{"scanner":{"result":{"Metadata":{"RepoDigests":["a@sha256:4"]}}},"metadata":{"scanFinishedOn":"2026"}}`: {"sha256:4"},
		`{"Metadata":{"RepoDigests":7}}`:                                                                          nil, `[]`: nil,
	} {
		if got := Scanned([]byte(text)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
