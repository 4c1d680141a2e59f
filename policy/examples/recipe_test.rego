package kiln_examples.recipe_test

import data.kiln_examples.recipe

facts := {"action": "promote", "channel": "prod", "provenance": {
	"present": true, "trusted": true,
	"steps": [{"kind": "run", "name": "hardening", "network": false}],
}}

messages(steps) := list if list := {r.message | some r in recipe.deny} with input as facts
	with data.config.recipe as {"steps": steps}

test_there if count(messages(["hardening"])) == 0

test_by_kind if count(messages(["run:hard*"])) == 0

test_other_kind if count(messages(["packages:hardening"])) == 1

test_missing if messages(["hardening", "audit"]) == {"its attested recipe has no step \"audit\""}

test_untrusted if {
	count(recipe.deny) == 1 with input as object.union(facts, {"provenance": {"trusted": false}})
		with data.config.recipe as {"steps": ["hardening"]}
}

test_no_provenance if {
	count(recipe.deny) == 1 with input as {"channel": "prod"} with data.config.recipe as {"steps": ["hardening"]}
}

test_other_channels if {
	count(recipe.deny) == 0 with input as facts with data.config.recipe as {"steps": ["audit"], "channels": ["dev"]}
}
