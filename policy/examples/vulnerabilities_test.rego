package kiln_examples.vulnerabilities_test

import data.kiln_examples.vulnerabilities

finding := {"id": "CVE-1", "severity": "critical", "package": "openssl", "version": "3.0.1", "fixed_in": "3.0.2", "state": "fixed"}

facts(change, report) := object.union(
	{
		"action": "promote", "image": "acme/shop", "digest": "sha256:aa", "channel": "prod", "now": "2026-03-08T12:00:00Z",
		"vulnerabilities": object.union({"present": true, "trusted": true, "scanner": "s", "scanned_at": "2026-03-08T00:00:00Z", "findings": []}, report),
	},
	change,
)

messages(report) := list if list := {r.message | some r in vulnerabilities.deny} with input as facts({}, report)

of(change) := messages({"findings": [object.union(finding, change)]})

test_clean if count(messages({})) == 0

test_none if messages({"present": false}) == {"no vulnerability report signed by a trusted key is attached"}

test_untrusted if count(messages({"trusted": false})) == 1

test_old if messages({"scanned_at": "2026-03-01T11:59:59Z"}) == {"its vulnerability report is of 2026-03-01T11:59:59Z: older than 168 hours, or of the future"}

test_old_by_an_hour if {
	messages({"scanned_at": "2026-03-01T11:59:59Z"}) == {"its vulnerability report is of 2026-03-01T11:59:59Z: older than 1 hour, or of the future"} with data.config.vulnerabilities as {"max_age_hours": 1}
}

test_just_in_time if count(messages({"scanned_at": "2026-03-01T12:00:00Z"})) == 0

test_of_the_future if count(messages({"scanned_at": "2026-03-09T00:00:00Z"})) == 1

test_undated if count(messages({"scanned_at": null})) == 1

test_critical if of({}) == {"1 vulnerability that counts: CVE-1 in openssl 3.0.1 (critical)"}

test_medium if count(of({"severity": "medium"})) == 0

test_medium_counts if {
	count(of({"severity": "medium"})) == 1 with data.config.vulnerabilities as {"severities": ["medium"]}
}

test_odd_severity if count(of({"severity": "CRITICAL!"})) == 1

test_without_fix if count(of({"fixed_in": "", "state": "not_fixed"})) == 0

test_without_fix_counts if {
	count(of({"fixed_in": "", "state": "not_fixed"})) == 1 with data.config.vulnerabilities as {"fixed_only": false}
}

ignoring(entry) := {"ignore": [object.union({"id": "CVE-1", "until": "2026-04-01T00:00:00Z", "reason": "not reachable"}, entry)]}

test_ignored if {
	count(of({})) == 0 with data.config.vulnerabilities as ignoring({})
}

test_ignored_until if {
	count(of({})) == 1 with data.config.vulnerabilities as ignoring({"until": "2026-03-08T12:00:00Z"})
}

test_ignored_until_a_day if {
	count(of({})) == 0 with data.config.vulnerabilities as ignoring({"until": "2026-03-09"})
}

test_ignored_until_today if {
	count(of({})) == 1 with data.config.vulnerabilities as ignoring({"until": "2026-03-08"})
}

test_ignored_without_reason if {
	count(of({})) == 1 with data.config.vulnerabilities as ignoring({"reason": ""})
}

test_ignored_another if {
	count(of({})) == 1 with data.config.vulnerabilities as ignoring({"id": "CVE-2"})
}

test_rollback if {
	count(vulnerabilities.deny) == 0 with input as facts({"action": "rollback"}, {"present": false})
}

test_other_channels if {
	count(of({})) == 0 with data.config.vulnerabilities as {"channels": ["dev"]}
}
