package kiln_examples.soak_test

import data.kiln_examples.soak

facts(change) := object.union(
	{
		"action": "promote", "channel": "prod", "channels": ["dev", "staging", "prod"],
		"now": "2026-03-02T12:00:00Z", "soak": {"channel": "staging", "since": "2026-03-01T12:00:00Z"},
	},
	change,
)

messages(change) := list if list := {r.message | some r in soak.deny} with input as facts(change)

test_long_enough if count(messages({})) == 0

test_too_short if {
	messages({"now": "2026-03-02T11:59:59Z"}) == {"it has been in staging since 2026-03-01T12:00:00Z, which is less than 24 hours"}
}

test_an_hour if {
	messages({"now": "2026-03-01T12:59:59Z"}) == {"it has been in staging since 2026-03-01T12:00:00Z, which is less than 1 hour"} with data.config.soak as {"hours": 1}
}

test_never_there_for_an_hour if {
	messages({"soak": {"channel": "staging", "since": null}}) == {"it was never in staging, where it must have been for 1 hour"} with data.config.soak as {"hours": 1}
}

test_says_until_when if {
	{r.fix | some r in soak.deny} == {"wait until 2026-03-02T12:00:00Z"} with input as facts({"now": "2026-03-01T13:00:00Z"})
}

test_never_there if {
	messages({"soak": {"channel": "staging", "since": null}}) == {"it was never in staging, where it must have been for 24 hours"}
}

test_of_another_channel if count(messages({"soak": {"channel": "dev", "since": "2026-01-01T00:00:00Z"}})) == 1

test_unknown if count(messages({"soak": null})) == 1

test_first_channel if count(messages({"channel": "dev", "soak": {"channel": "", "since": null}})) == 0

test_rollback if count(messages({"action": "rollback", "soak": {"channel": "staging", "since": null}})) == 0

test_hours if {
	count(messages({})) == 1 with data.config.soak as {"hours": 25}
}

test_other_channels if {
	count(messages({"soak": null})) == 0 with data.config.soak as {"channels": ["staging"]}
}
