package bake

import (
	"archive/tar"
	"maps"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kiln/layers"
)

// Exposure is what of an image others can reach or use: facts, not faults.
type Exposure struct {
	Setuid       []string `json:"setuid"`
	Setgid       []string `json:"setgid"`
	Writable     []string `json:"world_writable"` // by all, without the sticky bit
	Capabilities []string `json:"capabilities"`   // files that have some
	Ports        []string `json:"ports"`
	Root         bool     `json:"root"` // it runs as root unless told otherwise
}

// mark is what an entry of a layer exposes.
type mark struct {
	Path string `json:"path"` // absolute
	What string `json:"what"`
}

// What a path can expose.
const (
	isSetuid   = "setuid"
	isSetgid   = "setgid"
	isWritable = "writable"
	isCapable  = "capable"
)

// capabilityRecord is where a layer has the capabilities of a file.
const capabilityRecord = "SCHILY.xattr.security.capability"

// marksOf lists what an entry exposes.
func marksOf(name string, h *tar.Header) []mark {
	file := h.Typeflag == tar.TypeReg || h.Typeflag == tar.TypeLink
	var list []mark
	add := func(is bool, what string) {
		if is {
			list = append(list, mark{name, what})
		}
	}
	add(file && h.Mode&layers.ModeSetuid != 0, isSetuid)
	add(file && h.Mode&layers.ModeSetgid != 0, isSetgid)
	add((file || h.Typeflag == tar.TypeDir) && h.Mode&(layers.ModeSticky|0o002) == 0o002, isWritable)
	add(file && h.PAXRecords[capabilityRecord] != "", isCapable)
	return list
}

// covered are the marks that are left when a layer lies on top, with its own.
func covered(below []mark, above *layers.Index, own []mark) []mark {
	left := slices.DeleteFunc(slices.Clone(below), func(m mark) bool {
		return above.Hides(strings.TrimPrefix(m.Path, "/"))
	})
	return append(left, own...)
}

// expose sorts the marks of an image, and adds what its configuration exposes.
func (r *ScanReport) expose(marks []mark, config *v1.ConfigFile) {
	of := func(what string) []string {
		list := []string{}
		for _, m := range marks {
			if m.What == what {
				list = append(list, m.Path)
			}
		}
		slices.Sort(list)
		return slices.Compact(list)
	}
	user, _, _ := strings.Cut(config.Config.User, ":")
	r.Exposed = Exposure{
		Setuid: of(isSetuid), Setgid: of(isSetgid), Writable: of(isWritable), Capabilities: of(isCapable),
		Ports: append([]string{}, slices.Sorted(maps.Keys(config.Config.ExposedPorts))...),
		Root:  user == "" || user == "0" || user == "root",
	}
}
