# Some packages must not be in an image.
#
# Each is written as name, name@version, type/name or type/name@version, and may
# have a * in it: "telnet*", "npm/event-stream@3.3.6". Types are those of package
# URLs: deb, npm, pypi, golang, …
package kiln_examples.packages

defaults := {
	"deny": [],
	"channels": [], # to which it applies; none are all
}

# One of them must be given.
required := ["deny"]

deny contains reason if {
	applies
	not listed
	reason := {"rule": "packages", "message": "no signed software bill of materials lists its packages", "fix": "bake it with kiln bake --key, or attach one: kiln attest --type cyclonedx"}
}

deny contains reason if {
	applies
	count(found) > 0
	list := sort(found)
	reason := {
		"rule": "packages",
		"message": sprintf("%d packages that are denied: %s", [count(list), concat(", ", array.slice(list, 0, 10))]),
		"fix": "take them out of the template, or take another version, and bake it again",
	}
}

config := object.union(defaults, object.get(data.config, "packages", {}))

applies if count(config.channels) == 0

applies if input.channel in config.channels

listed if {
	input.sbom.present == true
	input.sbom.trusted == true
	count(input.sbom.packages) > 0
}

found contains full if {
	some pkg in input.sbom.packages
	full := sprintf("%s/%s@%s", [pkg.type, pkg.name, pkg.version])
	short := sprintf("%s/%s", [pkg.type, pkg.name])
	some pattern in config.deny
	some name in {pkg.name, sprintf("%s@%s", [pkg.name, pkg.version]), short, full}
	glob.match(pattern, null, name)
}
