package templates

import (
	"bytes"
	"path/filepath"
	"regexp"
	"strings"
)

// sampleProject is the project line of every template here.
const sampleProject = `project = "example"`

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

// projectName makes a project's name of its folder's, so that two projects do
// not share their images; "example" where nothing is left of it.
func projectName(dir string) string {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "example"
	}
	name := strings.Trim(notInName.ReplaceAllString(strings.ToLower(filepath.Base(abs)), "-"), "-")
	if name == "" || name == "localhost" || len(name) > 60 {
		return "example"
	}
	return name
}

// named puts the project's name into a template.
func named(text []byte, dir string) []byte {
	return bytes.Replace(text, []byte(sampleProject), []byte(`project = "`+projectName(dir)+`"`), 1)
}
