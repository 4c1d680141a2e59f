package kiln_examples.provenance_test

import data.kiln_examples.provenance

facts(change) := {"action": "promote", "channel": "prod", "provenance": object.union(
	{
		"present": true, "trusted": true, "hermetic": true, "dirty": false, "commit": "c0ffee",
		"repository": "https://git.example.com/acme/shop", "steps": [],
	},
	change,
)}

messages(change) := list if list := {r.message | some r in provenance.deny} with input as facts(change)

test_good if count(messages({})) == 0

test_none if count(messages({"present": false})) == 1

test_network if {
	messages({"hermetic": false, "steps": [{"name": "install", "kind": "run", "network": true}]}) == {"it was not baked hermetically: install had a network"}
}

test_network_unknown if count(messages({"hermetic": null})) == 1

test_network_may_be if {
	count(messages({"hermetic": false})) == 0 with data.config.provenance as {"hermetic": false}
}

test_dirty if messages({"dirty": true}) == {"it does not come from a commit without changes"}

test_dirty_unknown if count(messages({"dirty": null})) == 1

test_no_commit if count(messages({"commit": ""})) == 1

test_dirty_may_be if {
	count(messages({"dirty": true})) == 0 with data.config.provenance as {"committed": false}
}

test_repository if {
	count(messages({})) == 0 with data.config.provenance as {"repositories": ["https://git.example.com/acme/*"]}
}

test_other_repository if {
	count(messages({})) == 1 with data.config.provenance as {"repositories": ["https://git.example.org/*"]}
}

test_unknown_repository if {
	count(messages({"repository": ""})) == 1 with data.config.provenance as {"repositories": ["https://*"]}
}

test_other_channels if {
	count(messages({"present": false})) == 0 with data.config.provenance as {"channels": ["dev"]}
}
