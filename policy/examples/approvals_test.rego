package kiln_examples.approvals_test

import data.kiln_examples.approvals

approval(by, key) := {"by": by, "key_id": key, "channel": "prod", "trusted": true, "at": "2026-03-01T12:00:00Z"}

facts(change) := object.union(
	{
		"action": "promote", "image": "acme/shop", "digest": "sha256:aa", "channel": "prod", "channels": ["staging", "prod"],
		"baked_by": ["sha256:ci"], "requested_by": "ann", "approvals": [approval("ann", "k1"), approval("bob", "k2")],
	},
	change,
)

messages(change) := list if list := {r.message | some r in approvals.deny} with input as facts(change)

of(list) := messages({"approvals": list})

test_two if count(messages({})) == 0

test_none if of([]) == {"0 of 2 approvals for prod by people other than the baker"}

test_one if of([approval("ann", "k1")]) == {"1 of 2 approvals for prod by people other than the baker"}

test_one_person_twice if count(of([approval("ann", "k1"), approval("ann", "k2")])) == 1

test_one_key_twice if count(of([approval("ann", "k1"), approval("bob", "k1")])) == 1

test_without_keys if count(of([approval("ann", ""), approval("bob", "")])) == 0

test_the_baker if count(of([approval("ann", "k1"), approval("bob", "sha256:ci")])) == 1

test_baker_unknown if count(messages({"baked_by": []})) == 1

test_untrusted if count(of([approval("ann", "k1"), object.union(approval("bob", "k2"), {"trusted": false})])) == 1

test_of_another_channel if count(of([approval("ann", "k1"), object.union(approval("bob", "k2"), {"channel": "staging"})])) == 1

test_of_every_channel if count(of([approval("ann", "k1"), object.union(approval("bob", "k2"), {"channel": ""})])) == 0

test_nameless if count(of([approval("ann", "k1"), approval("", "k2")])) == 1

test_requester if {
	count(messages({})) == 1 with data.config.approvals as {"requester": false}
}

test_rollback if count(messages({"action": "rollback", "approvals": []})) == 0

test_rollback_too if {
	count(messages({"action": "rollback", "approvals": []})) == 1 with data.config.approvals as {"rollbacks": true}
}

test_other_channels if {
	count(of([])) == 0 with data.config.approvals as {"channels": ["staging"]}
}
