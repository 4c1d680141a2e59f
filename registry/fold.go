package registry

import "strings"

// spelling has the fields whose spelling matters, by their folded name.
var spelling = map[string]string{
	"schemaversion": "schemaVersion", "mediatype": "mediaType", "artifacttype": "artifactType",
	"config": "config", "layers": "layers", "manifests": "manifests", "subject": "subject",
	"annotations": "annotations", "fslayers": "fsLayers", "history": "history", "blobs": "blobs",
}

// foldField folds case as encoding/json does when it looks for a field, which
// includes the two letters beyond ASCII that fold to ASCII ones: ſ and K.
func foldField(name string) string {
	return strings.ToLower(strings.NewReplacer("ſ", "s", "\u212a", "k").Replace(name))
}
