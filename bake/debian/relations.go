package debian

// replaces says whether a Replaces field covers a package at a version. What
// cannot be parsed covers nothing.
func replaces(field, name, version string) bool {
	groups, err := parseRelations(field)
	if err != nil {
		return false
	}
	for _, group := range groups {
		for _, a := range group {
			if a.name == name && a.accepts(version) {
				return true
			}
		}
	}
	return false
}

// mentioned lists the packages that relation fields name, alternatives
// included, without their versions. What cannot be parsed names none.
func mentioned(fields ...string) []string {
	var all []string
	for _, field := range fields {
		groups, err := parseRelations(field)
		if err != nil {
			continue
		}
		for _, group := range groups {
			for _, a := range group {
				all = append(all, a.name)
			}
		}
	}
	return all
}
