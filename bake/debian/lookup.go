package debian

// Find is the package of that very name, version and architecture, if the
// archive lists it.
func (a *Archive) Find(name, version, arch string) (Package, bool) {
	for _, p := range a.universe.versions[name] {
		if p.Version == version && p.Arch == arch {
			return *p, true
		}
	}
	return Package{}, false
}

// InstalledIn lists the packages of a tree made of lower directories in
// overlayfs form, bottom first. A tree without a dpkg database has none.
func InstalledIn(lowers []string) ([]Installed, error) {
	db, err := readDatabase(newView(Target{Lowers: lowers}))
	if err != nil {
		return nil, err
	}
	return db.list(), nil
}
