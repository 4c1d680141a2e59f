package reports

import (
	"encoding/json"
	"slices"
	"strings"
)

// Scanned lists the digests of manifests that the output of trivy or grype,
// or a predicate around it, says it looked at; none where it does not say.
func Scanned(content []byte) []string {
	var r struct {
		Scanner struct {
			Result json.RawMessage `json:"result"`
		} `json:"scanner"`
		Metadata struct {
			RepoDigests []string
		}
		Source struct {
			Target json.RawMessage `json:"target"` // a text for folders and files
		} `json:"source"`
	}
	if len(content) > MaxSize || json.Unmarshal(content, &r) != nil {
		return nil
	}
	if r.Scanner.Result != nil {
		return Scanned(r.Scanner.Result)
	}
	var image struct {
		ManifestDigest string   `json:"manifestDigest"`
		RepoDigests    []string `json:"repoDigests"`
	}
	_ = json.Unmarshal(r.Source.Target, &image) // it may be of another form
	var list []string
	for _, said := range append(append(r.Metadata.RepoDigests, image.RepoDigests...), image.ManifestDigest) {
		if _, d, ok := strings.Cut(said, "@"); ok {
			said = d
		}
		if strings.HasPrefix(said, "sha") && !slices.Contains(list, said) {
			list = append(list, said)
		}
	}
	return list
}
