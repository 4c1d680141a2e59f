package kiln_examples.base_test

import data.kiln_examples.base

facts(change) := {"action": "promote", "image": "acme/shop", "channel": "prod", "ancestry": {
	"known": true, "problem": "",
	"ancestors": [object.union({"image": "acme/base", "digest": "sha256:bb", "revoked": false, "reason": "", "outdated": false, "foreign": false}, change)],
}}

messages(change) := list if list := {r.message | some r in base.deny} with input as facts(change)

test_fresh if count(messages({})) == 0

test_outdated if messages({"outdated": true}) == {"it was baked on acme/base@sha256:bb, which is outdated"}

test_outdated_unknown if count(messages({"outdated": null})) == 1

test_foreign if messages({"foreign": true, "outdated": null}) == {"it was baked on acme/base@sha256:bb from outside the store"}

test_foreign_allowed if {
	count(messages({"foreign": true, "outdated": null})) == 0 with data.config.base as {"foreign": ["acme/*"]}
}

test_unknown if {
	{r.message | some r in base.deny} == {"what it was baked on is not known: gone"} with input as {"action": "promote", "channel": "prod", "ancestry": {"known": false, "problem": "gone", "ancestors": []}}
}

test_no_facts if {
	count(base.deny) == 1 with input as {"action": "promote", "channel": "prod"}
}

test_rollback if {
	count(base.deny) == 0 with input as object.union(facts({"outdated": true}), {"action": "rollback"})
}

test_other_channels if {
	count(messages({"outdated": true})) == 0 with data.config.base as {"channels": ["dev"]}
}
