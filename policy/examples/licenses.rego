# Every package must have a licence that is allowed, and none that is denied.
#
# Licences are SPDX ids and may have a * in them: "GPL-*". Of an expression that
# offers a choice (MIT OR GPL-3.0-only) one must pass, of any other all.
package kiln_examples.licenses

defaults := {
	"allow": [], # none allows every licence that is not denied
	"deny": [],
	"unknown": false, # whether a package may have no known licence
	"ignore": [], # packages that are not looked at; may have a * in them
	"channels": [], # to which it applies; none are all
}

# One of them must be given.
required := ["allow", "deny"]

deny contains reason if {
	applies
	not listed
	reason := {"rule": "licenses", "message": "no signed software bill of materials lists its packages", "fix": "bake it with kiln bake --key, or attach one: kiln attest --type cyclonedx"}
}

deny contains reason if {
	applies
	count(refused) > 0
	list := sort(refused)
	reason := {
		"rule": "licenses",
		"message": sprintf("%d packages with a licence that is not allowed: %s", [count(list), concat(", ", array.slice(list, 0, 10))]),
		"fix": "take them out, or have the licence allowed",
	}
}

deny contains reason if {
	applies
	not config.unknown
	count(unlicensed) > 0
	list := sort(unlicensed)
	reason := {
		"rule": "licenses",
		"message": sprintf("%d packages without a known licence: %s", [count(list), concat(", ", array.slice(list, 0, 10))]),
		"fix": "attach a bill of materials that tells them, or set unknown = true, or ignore these packages",
	}
}

config := object.union(defaults, object.get(data.config, "licenses", {}))

applies if count(config.channels) == 0

applies if input.channel in config.channels

listed if {
	input.sbom.present == true
	input.sbom.trusted == true
	count(input.sbom.packages) > 0
}

looked_at contains pkg if {
	some pkg in input.sbom.packages
	not ignored(pkg.name)
}

ignored(name) if {
	some pattern in config.ignore
	glob.match(pattern, null, name)
}

unlicensed contains sprintf("%s %s", [pkg.name, pkg.version]) if {
	some pkg in looked_at
	count(known(pkg)) == 0
}

known(pkg) := {text |
	some text in pkg.licenses
	not text in {"", "NOASSERTION", "NONE"}
}

refused contains sprintf("%s %s (%s)", [pkg.name, pkg.version, text]) if {
	some pkg in looked_at
	some text in known(pkg)
	not passes(text)
}

passes(text) if {
	every id in ids(text) {
		fine(id)
	}
}

passes(text) if {
	not regex.match(`(?i)\sAND\s`, text)
	some id in ids(text)
	fine(id)
}

# Exceptions give more rights, so what follows WITH does not count.
ids(text) := {id |
	bare := regex.replace(text, `(?i)\sWITH\s+[^\s()]+`, "")
	some id in regex.split(`(?i)[()]|\s+AND\s+|\s+OR\s+|\s+`, bare)
	id != ""
}

fine(id) if {
	not matches(id, config.deny)
	count(config.allow) == 0
}

fine(id) if {
	not matches(id, config.deny)
	matches(id, config.allow)
}

matches(id, patterns) if {
	some pattern in patterns
	glob.match(lower(pattern), null, lower(id))
}
