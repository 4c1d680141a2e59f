package debian

import "slices"

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

// Newer lists the versions of a package that the archive has and that are newer
// than one, the newest first.
func (a *Archive) Newer(name, version, arch string) []Package {
	var list []Package
	for _, p := range a.universe.versions[name] {
		if p.Arch == arch && CompareVersions(p.Version, version) > 0 {
			list = append(list, *p)
		}
	}
	slices.SortStableFunc(list, func(x, y Package) int { return CompareVersions(y.Version, x.Version) })
	return list
}
