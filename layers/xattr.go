package layers

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// The extended attributes by which overlayfs marks things; each stands in the
// trusted namespace, or in user on mounts with userxattr.
const (
	overlayTrusted = "trusted.overlay."
	overlayUser    = "user.overlay."
)

// kept reports whether a layer holds the extended attribute: file
// capabilities, POSIX ACLs and user attributes, but nothing that describes the
// host (SELinux labels, trusted.*) or an overlay.
func keptXattr(name string) bool {
	switch name {
	case "security.capability", "system.posix_acl_access", "system.posix_acl_default":
		return true
	}
	return strings.HasPrefix(name, "user.") && !strings.HasPrefix(name, overlayUser)
}

// overlayXattr returns what follows "trusted.overlay." or "user.overlay.".
func overlayXattr(name string) (string, bool) {
	if rest, ok := strings.CutPrefix(name, overlayTrusted); ok {
		return rest, true
	}
	return strings.CutPrefix(name, overlayUser)
}

// readXattrs returns all extended attributes of the file at p, which is not
// followed when it is a symlink.
func readXattrs(p string) (map[string]string, error) {
	names, err := xattrBytes(func(buf []byte) (int, error) { return unix.Llistxattr(p, buf) })
	if errors.Is(err, unix.ENOTSUP) || err == nil && len(names) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for name := range strings.SplitSeq(strings.TrimSuffix(names, "\x00"), "\x00") {
		_, overlay := overlayXattr(name)
		if !overlay && !keptXattr(name) {
			continue
		}
		value, err := xattrBytes(func(buf []byte) (int, error) { return unix.Lgetxattr(p, name, buf) })
		if errors.Is(err, unix.ENODATA) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out[name] = value
	}
	return out, nil
}

// xattrBytes calls read with growing buffers until the value fits.
func xattrBytes(read func([]byte) (int, error)) (string, error) {
	for size := 256; ; size *= 4 {
		buf := make([]byte, size)
		n, err := read(buf)
		if errors.Is(err, unix.ERANGE) && size < 1<<20 {
			continue
		}
		if err != nil {
			return "", err
		}
		return string(buf[:n]), nil
	}
}

// splitXattrs separates what a layer holds from overlay's own marks.
func splitXattrs(all map[string]string) (kept, overlay map[string]string) {
	for name, value := range all {
		if rest, ok := overlayXattr(name); ok {
			if overlay == nil {
				overlay = map[string]string{}
			}
			overlay[rest] = value
			continue
		}
		if kept == nil {
			kept = map[string]string{}
		}
		kept[name] = value
	}
	return kept, overlay
}
