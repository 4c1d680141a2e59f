package bake

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/opencontainers/go-digest"
	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdxlib"

	"kiln/policy/reports"
)

// described is an image of two Debian packages, of which one is on two
// platforms, and of packages of languages.
func described() *Image {
	return &Image{
		Components: []Component{
			{Name: "libstdc++6", Version: "12.2.0-14+deb12u1", Arch: "amd64", Distro: "bookworm", SHA256: strings.Repeat("a", 64)},
			{Name: "tzdata", Version: "2026a-1", Arch: "all", Source: "tz (1)"},
			{Name: "tzdata", Version: "2026a-1", Arch: "all", Source: "tz (1)", SHA256: strings.Repeat("b", 64)},
		},
		Scan: &ScanReport{Packages: []foundPackage{
			{Path: "/usr/share/doc/tzdata/copyright", Kind: licenseKind, Name: "tzdata", License: "LicenseRef-public-domain AND (GPL-2.0-only OR MIT)"},
			{Path: "/srv/node_modules/@acme/a/package.json", Kind: "npm", Name: "@acme/a", Version: "1.0.0", License: "MIT"},
			{Path: "/opt/node_modules/@acme/a/package.json", Kind: "npm", Name: "@acme/a", Version: "1.0.0", License: "MIT"},
			{Path: "/x/My_Lib.dist-info/METADATA", Kind: "pypi", Name: "My_Lib", Version: "2"},
			{Path: "/bin/x", Kind: "golang", Name: "example.com/x/v2", Version: "v2.0.0+incompatible"},
			{Path: "/bin/x", Kind: "golang", Name: "stdlib", Version: "1.26.8"},
		}},
	}
}

// What both formats say is one list; their bytes follow from it and are kept
// here, their validators read them, and so does what kiln takes from others.
func TestSBOMGolden(t *testing.T) {
	d := digest.FromString("image")
	for name, doc := range map[string]any{
		"spdx.json":      SBOM("acme/shop", d, Epoch, described().Packages()),
		"cyclonedx.json": CycloneDX("acme/shop", d, Epoch, described().Packages()),
	} {
		got, err := json.MarshalIndent(doc, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", "sbom", name)
		want, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(bytes.TrimSpace(want), got) {
			t.Errorf("%s is not what is made now (%v):\n%s", file, err, got)
		}
		sbom, err := reports.ParseSBOM(got)
		if err != nil || len(sbom.Packages) != 7 {
			t.Errorf("%s: %+v, %v", name, sbom, err)
		}
	}
}

func TestSBOMValid(t *testing.T) {
	d := digest.FromString("image")
	text, err := json.Marshal(SBOM("acme/shop", d, Epoch, described().Packages()))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := spdxjson.Read(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := spdxlib.ValidateDocument(doc); err != nil {
		t.Error(err)
	}
	if len(doc.OtherLicenses) != 1 || doc.OtherLicenses[0].LicenseIdentifier != "LicenseRef-public-domain" {
		t.Errorf("licences of its own: %+v", doc.OtherLicenses)
	}
	if text, err = json.Marshal(CycloneDX("acme/shop", d, Epoch, described().Packages())); err != nil {
		t.Fatal(err)
	}
	bom := new(cyclonedx.BOM)
	if err := cyclonedx.NewBOMDecoder(bytes.NewReader(text), cyclonedx.BOMFileFormatJSON).Decode(bom); err != nil {
		t.Fatal(err)
	}
	refs := map[string]bool{}
	for _, c := range *bom.Components {
		refs[c.BOMRef] = true
	}
	if len(refs) != 7 || len(*(*bom.Dependencies)[0].Dependencies) != 7 {
		t.Errorf("references %v, dependencies %v", refs, *(*bom.Dependencies)[0].Dependencies)
	}
	if other := CycloneDX("acme/shop", digest.FromString("other"), Epoch, nil); other.SerialNumber == bom.SerialNumber {
		t.Error("two images have one serial number")
	}
}

// Both documents of 2,000 packages are made in a moment.
func TestSBOMOfMany(t *testing.T) {
	img := &Image{Scan: &ScanReport{}}
	for i := range 2000 {
		name := fmt.Sprintf("package-%d", i)
		img.Components = append(img.Components, Component{Name: name, Version: "1:2.3-4", Arch: "amd64", Source: "s", SHA256: strings.Repeat("c", 64)})
		img.Scan.Packages = append(img.Scan.Packages, foundPackage{Kind: licenseKind, Name: name, License: "GPL-2.0-or-later AND MIT"})
	}
	start := time.Now()
	for _, doc := range []any{
		SBOM("acme/shop", digest.FromString("image"), Epoch, img.Packages()),
		CycloneDX("acme/shop", digest.FromString("image"), Epoch, img.Packages()),
	} {
		if text, err := json.Marshal(doc); err != nil || len(text) < 2000*200 {
			t.Fatalf("%d bytes, %v", len(text), err)
		}
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
}
