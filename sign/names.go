package sign

import (
	"regexp"
	"strings"
)

// hostName is what a registry's host may look like.
var hostName = regexp.MustCompile(`^(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?$`)

// checkName requires that said, how a signature or statement names its image,
// is image, or image at some registry: names of kiln have no host, and images
// move between registries with their evidence. A signature that names none
// counts only if v was made to admit it. ErrInvalid.
func (v *Verifier) checkName(what, said, image string, signature bool) error {
	switch {
	case said == "" && signature && v.nameless:
		return nil
	case said == "" && signature:
		return invalid("%s names no image, so it could be of another one than %s", what, image)
	case said == "":
		return invalid("%s names no image", what)
	case said != image && withoutHost(said) != image:
		return invalid("%s about image %q, not %s", what, said, image)
	}
	return nil
}

// withoutHost cuts a registry's host off a name. As in references, the first
// of several components is one if it has a "." or ":" or is localhost; names of
// images have no such component.
func withoutHost(name string) string {
	host, rest, found := strings.Cut(name, "/")
	if found && (strings.ContainsAny(host, ".:") || host == "localhost") && hostName.MatchString(host) {
		return rest
	}
	return name
}
