package kiln_default_test

import data.kiln_default

id := "sha256:aa"

good := {
	"action": "promote", "now": "2026-03-01T12:00:00Z", "image": "acme/shop", "tier": "app", "digest": id,
	"channel": "staging", "channels": ["dev", "staging", "prod"], "been_in": ["dev"], "revoked": false,
	"signatures": [{"key_id": "sha256:cc", "trusted": true}],
	"provenance": {"present": true, "trusted": true, "subject": id, "image": "acme/shop"},
	"sbom": {"present": true, "trusted": true},
	"tests": [{"name": "healthy", "passed": true, "trusted": true}],
	"scan": {"present": true, "trusted": true, "passed": true},
	"ancestry": {"known": true, "problem": "", "ancestors": [{"image": "acme/base", "digest": "sha256:bb", "revoked": false, "reason": "", "outdated": null, "foreign": false}]},
}

rules(change) := list if list := {r.rule | some r in kiln_default.deny} with input as object.union(good, change)

test_good if rules({}) == set()

test_empty if {
	found := {r.rule | some r in kiln_default.deny} with input as {}
	found == {"known", "signature", "provenance", "sbom", "tier", "tests", "scan", "order", "revoked", "ancestry"}
}

test_every_reason_says_what_to_do if {
	found := kiln_default.deny with input as {}
	every r in found {
		r.message != ""
		r.fix != ""
	}
}

test_unsigned if rules({"signatures": []}) == {"signature"}

test_untrusted_signature if rules({"signatures": [{"key_id": "sha256:cc", "trusted": false}]}) == {"signature"}

test_provenance_of_another_digest if rules({"provenance": {"subject": "sha256:bb"}}) == {"provenance"}

test_provenance_of_another_image if rules({"provenance": {"image": "acme/base"}}) == {"provenance"}

test_no_bill if rules({"sbom": {"present": false}}) == {"sbom"}

test_app_without_test if rules({"tests": []}) == {"tests"}

test_base_without_test if rules({"tests": [], "tier": "base"}) == set()

test_failed_test if rules({"tests": [{"name": "slow", "passed": false, "trusted": true}], "tier": "base"}) == {"tests"}

test_failed_scan if rules({"scan": {"passed": false}}) == {"scan"}

test_order if rules({"channel": "prod"}) == {"order"}

test_revoked if rules({"revoked": true}) == {"revoked"}

test_revoked_says_why_and_what_to_do if {
	found := kiln_default.deny with input as object.union(good, {"revoked": true, "revoked_because": "CVE-1"})
	some r in found
	r.message == sprintf("%s is revoked: CVE-1", [id])
	contains(r.fix, sprintf("kiln restore acme/shop@%s", [id]))
}

test_unknown_ancestry if rules({"ancestry": {"known": false}}) == {"ancestry"}

test_revoked_ancestor if {
	rules({"ancestry": {"ancestors": [{"image": "acme/base", "digest": "sha256:bb", "revoked": true, "reason": "r"}]}}) == {"ancestry"}
}

test_rollback_skips_only_the_order if {
	rules({"action": "rollback", "been_in": []}) == set()
	rules({"action": "rollback", "signatures": []}) == {"signature"}
	rules({"action": "rollback", "revoked": true}) == {"revoked"}
}
