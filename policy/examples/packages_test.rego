package kiln_examples.packages_test

import data.kiln_examples.packages

facts := {"action": "promote", "channel": "prod", "sbom": {
	"present": true, "trusted": true,
	"packages": [
		{"name": "telnetd", "version": "0.17-36", "type": "deb", "purl": "", "licenses": []},
		{"name": "@acme/ui", "version": "1.2.3", "type": "npm", "purl": "", "licenses": []},
	],
}}

messages(patterns) := list if list := {r.message | some r in packages.deny} with input as facts
	with data.config.packages as {"deny": patterns}

test_by_name if messages(["telnetd"]) == {"1 packages that are denied: deb/telnetd@0.17-36"}

test_by_pattern if count(messages(["telnet*"])) == 1

test_by_version if count(messages(["telnetd@0.17-36"])) == 1

test_other_version if count(messages(["telnetd@0.18"])) == 0

test_by_type if count(messages(["npm/@acme/*"])) == 1

test_other_type if count(messages(["pypi/telnetd"])) == 0

test_part_of_a_name if count(messages(["telnet"])) == 0

test_no_packages if {
	count(packages.deny) == 1 with input as {"channel": "prod", "sbom": {"present": true, "trusted": true, "packages": []}}
}

test_no_bill if {
	count(packages.deny) == 1 with input as {"channel": "prod"}
}

test_other_channels if {
	count(packages.deny) == 0 with input as facts with data.config.packages as {"deny": ["telnetd"], "channels": ["dev"]}
}
