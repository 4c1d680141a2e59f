package debian

// Package is one binary package of an archive, chosen or to choose: what an
// index says about it. Relation fields hold the text of the control field of
// that name, unparsed.
type Package struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// Arch is the package's own architecture, "all" included.
	Arch string `json:"arch"`
	// Suite is the label of the suite that listed it, such as
	// "bookworm-security": never a host.
	Suite string `json:"suite"`
	// Path lies below the mirror, such as "pool/main/h/hello/hello_2.10-3_amd64.deb".
	Path string `json:"path"`
	// Size of the .deb in bytes.
	Size int64 `json:"size"`
	// SHA256 of the .deb, 64 hexadecimal digits in lower case.
	SHA256 string `json:"sha256"`

	Essential bool   `json:"essential,omitempty"`
	Priority  string `json:"priority,omitempty"`
	// MultiArch is "", "same", "foreign" or "allowed".
	MultiArch string `json:"multi_arch,omitempty"`
	// Source is the source package's name, with its version in parentheses
	// when that differs; empty when it is the same as Name.
	Source string `json:"source,omitempty"`
	// InstalledSize in KiB, 0 when the index does not say.
	InstalledSize int64 `json:"installed_size,omitempty"`

	Depends    string `json:"depends,omitempty"`
	PreDepends string `json:"pre_depends,omitempty"`
	Provides   string `json:"provides,omitempty"`
	Conflicts  string `json:"conflicts,omitempty"`
	Breaks     string `json:"breaks,omitempty"`
	Replaces   string `json:"replaces,omitempty"`

	// Requested is set by Resolve on what the request named, as opposed to
	// what came by dependency or variant.
	Requested bool `json:"requested,omitempty"`
}

// Installed is a package that the parent of an image already has: what its
// dpkg database says about it.
type Installed struct {
	Name      string
	Version   string
	Arch      string
	MultiArch string
	Essential bool
	Priority  string
	Source    string

	Depends    string
	PreDepends string
	Provides   string
	Conflicts  string
	Breaks     string
	Replaces   string
}
