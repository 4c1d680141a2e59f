package bake

import (
	"os"
	"path/filepath"

	"kiln/bake/debian"
	"kiln/bake/template"
)

// installedSuffix ends the cache entry that lists the packages of an image
// after a step that changed its dpkg database.
const installedSuffix = ".installed.json"

// noteInstalled keeps what a step left installed, under the step's key.
func (b *Builder) noteInstalled(k string, list []debian.Installed) error {
	return b.cache.save(list, "layers", k+installedSuffix)
}

// noteChanged does so if the step wrote to the dpkg database.
func (b *Builder) noteChanged(k, upper string, lowers []string) error {
	if _, err := os.Lstat(filepath.Join(upper, "var/lib/dpkg/status")); err != nil {
		return nil
	}
	list, err := debian.InstalledIn(append(lowers[:len(lowers):len(lowers)], upper))
	if err != nil {
		return err
	}
	return b.noteInstalled(k, list)
}

// refresh makes the components what the step with key k left installed, if it
// changed that, with the hashes of the lock.
func (b *Builder) refresh(st *state, k string) {
	installed, ok := b.installedAfter(k)
	if !ok {
		return
	}
	type id struct{ name, version, arch string }
	known := map[id]Component{}
	for _, c := range append(st.result.Components, lockedComponents(st.result.Locked)...) {
		known[id{c.Name, c.Version, c.Arch}] = c
	}
	st.result.Components = nil
	for _, p := range installed {
		c := known[id{p.Name, p.Version, p.Arch}]
		c.Name, c.Version, c.Arch, c.Source = p.Name, p.Version, p.Arch, p.Source
		st.result.Components = append(st.result.Components, c)
	}
}

// lockedComponents are the packages of an image's own lock.
func lockedComponents(locked template.LockedImage) []Component {
	list := make([]Component, len(locked.Packages))
	for i, p := range locked.Packages {
		list[i] = Component{Name: p.Name, Version: p.Version, Arch: p.Arch, SHA256: p.SHA256, Distro: locked.Suite}
	}
	return list
}

// noteInputs records the packages of the lock as inputs.
func (b *Builder) noteInputs(st *state) {
	for _, c := range lockedComponents(st.result.Locked) {
		st.result.Inputs = append(st.result.Inputs, Input{
			Dependency: Dependency{URI: c.PURL(), Digest: map[string]string{"sha256": c.SHA256}},
			Path:       b.debs().Path(c.SHA256),
		})
	}
}
