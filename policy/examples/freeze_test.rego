package kiln_examples.freeze_test

import data.kiln_examples.freeze

facts(change) := object.union({"action": "promote", "channel": "prod", "channels": ["dev", "prod"], "now": "2026-12-24T12:00:00Z"}, change)

holidays := {"windows": [{"from": "2026-12-20T00:00:00Z", "to": "2027-01-04T00:00:00Z", "reason": "holidays"}]}

# 2026-12-25 is a Friday.
fridays := {"weekly": [{"days": ["Friday"], "from": "15:00", "to": "24:00", "reason": "weekend"}]}

messages(change, config) := list if list := {r.message | some r in freeze.deny} with input as facts(change)
	with data.config.freeze as config

test_inside if messages({}, holidays) == {"prod is frozen: holidays"}

test_at_its_end if count(messages({"now": "2027-01-04T00:00:00Z"}, holidays)) == 0

test_before if count(messages({"now": "2026-12-19T23:59:59Z"}, holidays)) == 0

test_weekly if messages({"now": "2026-12-25T15:00:00Z"}, fridays) == {"prod is frozen on Fridays: weekend"}

test_weekly_last_minute if count(messages({"now": "2026-12-25T23:59:59Z"}, fridays)) == 1

test_weekly_earlier if count(messages({"now": "2026-12-25T14:59:59Z"}, fridays)) == 0

test_weekly_other_day if count(messages({"now": "2026-12-24T16:00:00Z"}, fridays)) == 0

test_rollback if count(messages({"action": "rollback"}, holidays)) == 0

test_rollback_too if count(messages({"action": "rollback"}, object.union(holidays, {"rollbacks": true}))) == 1

test_other_channels if count(messages({}, object.union(holidays, {"channels": ["dev"]}))) == 0

test_unreadable_day if count(messages({}, {"weekly": [{"days": ["Freitag"], "from": "15:00", "to": "24:00"}]})) == 1

test_unreadable_time if count(messages({}, {"weekly": [{"days": ["Friday"], "from": "3pm", "to": "24:00"}]})) == 1

test_upside_down if count(messages({}, {"windows": [{"from": "2027-01-04T00:00:00Z", "to": "2026-12-20T00:00:00Z"}]})) == 1

days := {"windows": [{"from": "2026-12-24", "to": "2026-12-27", "reason": "holidays"}]}

test_day_begins if messages({"now": "2026-12-24T00:00:00Z"}, days) == {"prod is frozen: holidays"}

test_day_before if count(messages({"now": "2026-12-23T23:59:59Z"}, days)) == 0

test_last_day if count(messages({"now": "2026-12-26T23:59:59Z"}, days)) == 1

test_day_is_its_beginning if count(messages({"now": "2026-12-27T00:00:00Z"}, days)) == 0

test_day_to_moment if count(messages({"now": "2026-12-24T08:59:59Z"}, {"windows": [{"from": "2026-12-24", "to": "2026-12-24T09:00:00Z"}]})) == 1

test_day_to_itself if count(messages({}, {"windows": [{"from": "2026-12-24", "to": "2026-12-24"}]})) == 1

test_when_it_ends if {
	{r.fix | some r in freeze.deny} == {"wait until 2026-12-27T00:00:00Z"} with input as facts({})
		with data.config.freeze as days
}

test_without_end if count(messages({}, {"windows": [{"from": "2026-12-20T00:00:00Z"}]})) == 1
