package kiln_examples.licenses_test

import data.kiln_examples.licenses

facts(found) := {"action": "promote", "channel": "prod", "sbom": {
	"present": true, "trusted": true,
	"packages": [{"name": "left-pad", "version": "1.0", "type": "npm", "purl": "", "licenses": found}],
}}

messages(found, config) := list if list := {r.message | some r in licenses.deny} with input as facts(found)
	with data.config.licenses as config

permissive := {"allow": ["MIT", "Apache-*", "BSD-*"]}

no_gpl := {"deny": ["GPL-*", "AGPL-*"]}

test_allowed if count(messages(["MIT"], permissive)) == 0

test_not_allowed if messages(["GPL-3.0-only"], permissive) == {"1 packages with a licence that is not allowed: left-pad 1.0 (GPL-3.0-only)"}

test_pattern if count(messages(["apache-2.0"], permissive)) == 0

test_denied if count(messages(["GPL-2.0-or-later"], no_gpl)) == 1

test_not_denied if count(messages(["ISC"], no_gpl)) == 0

test_denied_beats_allowed if count(messages(["MIT"], {"allow": ["*"], "deny": ["MIT"]})) == 1

test_choice if count(messages(["MIT OR GPL-3.0-only"], no_gpl)) == 0

test_both if count(messages(["MIT AND GPL-3.0-only"], no_gpl)) == 1

test_mixed if count(messages(["(MIT OR GPL-3.0-only) AND GPL-2.0-only"], no_gpl)) == 1

test_one_of_two_entries if count(messages(["MIT", "GPL-3.0-only"], no_gpl)) == 1

test_exception if count(messages(["Apache-2.0 WITH LLVM-exception"], permissive)) == 0

test_unknown if messages([], no_gpl) == {"1 packages without a known licence: left-pad 1.0"}

test_no_assertion if count(messages(["NOASSERTION"], no_gpl)) == 1

test_unknown_may_be if count(messages([], object.union(no_gpl, {"unknown": true}))) == 0

test_ignored if count(messages(["GPL-3.0-only"], object.union(no_gpl, {"ignore": ["left-*"]}))) == 0

test_no_packages if {
	count(licenses.deny) == 1 with input as {"channel": "prod", "sbom": {"present": true, "trusted": true, "packages": []}}
}

test_untrusted if {
	count(licenses.deny) == 1 with input as object.union(facts(["MIT"]), {"sbom": {"trusted": false}})
}

test_other_channels if count(messages(["GPL-3.0-only"], object.union(no_gpl, {"channels": ["dev"]}))) == 0
