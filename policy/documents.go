package policy

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/util"
)

// isData tells whether a file is a data document, not Rego.
func isData(name string) bool {
	return slices.Contains([]string{".json", ".yaml", ".yml"}, path.Ext(name))
}

func isTest(name string) bool { return strings.HasSuffix(name, "_test.rego") }

func withoutTests(files map[string][]byte) map[string][]byte {
	files = maps.Clone(files)
	maps.DeleteFunc(files, func(name string, _ []byte) bool { return isTest(name) })
	return files
}

// documents joins the data documents to what policies see as data. As in an
// OPA bundle a document counts below the folder that it lies in: a/data.json is
// data.a. Packages of Rego are not to be covered by data, so none may be named
// kiln, and no value may be given twice.
func documents(files map[string][]byte) (map[string]any, error) {
	all := map[string]any{"config": map[string]any{}}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !isData(name) {
			continue
		}
		var doc map[string]any
		if err := util.Unmarshal(files[name], &doc); err != nil {
			return nil, fmt.Errorf("%s: want an object: %w", name, err)
		}
		dir := path.Dir(name)
		for dir != "." && dir != "/" {
			doc = map[string]any{path.Base(dir): doc}
			dir = path.Dir(dir)
		}
		if err := join(all, doc, "data"); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	for root := range all {
		if root == "kiln" || strings.HasPrefix(root, "kiln_") {
			return nil, fmt.Errorf("data.%s: a data document cannot stand in for a package of Rego; name it otherwise", root)
		}
	}
	return all, nil
}

// join adds src to dst, objects key by key.
func join(dst, src map[string]any, where string) error {
	for key, value := range src {
		old, there := dst[key]
		if !there {
			dst[key] = value
			continue
		}
		a, aok := old.(map[string]any)
		b, bok := value.(map[string]any)
		if !aok || !bok {
			return fmt.Errorf("%s.%s is given twice", where, key)
		}
		if err := join(a, b, where+"."+key); err != nil {
			return err
		}
	}
	return nil
}
