# The policy that gates every promotion unless another is configured.
#
# Each requirement is a rule that must be true, and a denial for when it is not,
# so that a missing fact denies. The facts are documented at policy.Facts.
#
# It has a package of its own, so that no rule of a user's policy adds to one of
# these by bearing its name. Package kiln joins the denials.
package kiln_default

deny contains reason("known", "the request names no known action, image, digest or channel", "promote IMAGE@DIGEST to one of the configured channels") if not known

deny contains reason("signature", sprintf("%s has no signature by a key that is trusted to bake %s", [id, image]), "bake it with a trusted key (kiln bake --key), or trust its key: kiln trust add KEY.pub --role bake --image PATTERN") if not signed

deny contains reason("provenance", provenance_problem, "bake it with kiln bake --key, which attests where it comes from") if not proven

deny contains reason("sbom", "no software bill of materials signed by a trusted key is attached", "bake it with kiln bake --key, or attach one: kiln attest --type spdx") if not listed

deny contains reason("tier", sprintf("its tier %q is none of base, middleware, app", [object.get(input, "tier", "")]), "set tier in the template and bake it again") if not tiered

deny contains reason("tests", tests_problem, "add a test block to the template, make it pass and bake it again") if not tested

deny contains reason("scan", scan_problem, scan_fix) if not scanned

deny contains reason("order", sprintf("it was never in %s, which comes before %s", [missing, channel]), sprintf("promote it to %s first: kiln promote %s@%s --to %s", [missing, image, id, missing])) if {
	not ordered
	missing := unvisited[0]
}

deny contains reason("order", "the channels and their order are not known", "configure the channels") if {
	not ordered
	count(unvisited) == 0
}

deny contains reason("revoked", sprintf("%s is revoked: %s", [id, object.get(input, "revoked_because", "")]), sprintf("promote another version, or have the revocation taken back: kiln restore %s@%s", [image, id])) if not sound

deny contains reason("ancestry", sprintf("what it was baked on is not known: %s", [object.get(input, ["ancestry", "problem"], "no facts")]), "bake it, and its parents, with a trusted key (kiln bake --key); kiln ancestry shows them") if not traced

deny contains reason("ancestry", sprintf("it was baked on %s, which is revoked: %s", [name, object.get(ancestor, "reason", "")]), sprintf("bake it on another version of that, or move it there: kiln rebase %s --onto DIGEST", [image])) if {
	some ancestor in input.ancestry.ancestors
	not ancestor.revoked == false
	name := sprintf("%s@%s", [object.get(ancestor, "image", "?"), object.get(ancestor, "digest", "?")])
}

reason(rule, message, fix) := {"rule": rule, "message": message, "fix": fix}

# What is missing has a text, too: a denial whose words are undefined is none.
image := object.get(input, "image", "")

id := object.get(input, "digest", "")

channel := object.get(input, "channel", "")

known if {
	input.action in {"promote", "rollback"}
	input.image != ""
	input.digest != ""
	input.channel in input.channels
}

signed if {
	some signature in input.signatures
	signature.trusted == true
	named(signature)
}

named(signature) if {
	is_string(signature.key_id)
	signature.key_id != ""
}

named(signature) if {
	is_string(signature.identity.subject)
	signature.identity.subject != ""
}

proven if {
	input.provenance.present == true
	input.provenance.trusted == true
	input.provenance.subject == input.digest
	input.provenance.image == input.image
}

default provenance_problem := "no provenance signed by a trusted key is attached"

provenance_problem := sprintf("its provenance speaks of %s, not of this digest", [input.provenance.subject]) if {
	input.provenance.present
	input.provenance.trusted
	input.provenance.subject != input.digest
} else := sprintf("its provenance says that it is the image %q, not %q", [input.provenance.image, input.image]) if {
	input.provenance.present
	input.provenance.trusted
	input.provenance.image != input.image
}

listed if {
	input.sbom.present == true
	input.sbom.trusted == true
}

tiered if input.tier in {"base", "middleware", "app"}

failed contains object.get(test, "name", "") if {
	some test in input.tests
	not test.passed == true
}

passed contains object.get(test, "name", "") if {
	some test in input.tests
	test.passed == true
	test.trusted == true
}

# Only an app must have a test; a failed one stops every tier.
tested if {
	is_array(input.tests)
	count(failed) == 0
	enough
}

enough if input.tier in {"base", "middleware"}

enough if count(passed) > 0

default tests_problem := "no passed test signed by a trusted key is attested"

tests_problem := sprintf("a test failed: %s", [concat(", ", sort(failed))]) if count(failed) > 0

# A failed scan stops everything. Without any, a rollback still goes where the
# channel has been: to a version from before there were scans.
scanned if {
	input.scan.present == true
	input.scan.trusted == true
	input.scan.passed == true
}

scanned if {
	input.action == "rollback"
	input.scan.present == false
}

default scan_problem := "no scan for secrets signed by a trusted key is attested"

scan_problem := "its scan found secrets" if {
	input.scan.present == true
	input.scan.trusted == true
	input.scan.passed == false
}

default scan_fix := "bake it again with this kiln, which scans every image for secrets before it signs it (kiln bake --key)"

scan_fix := "take them out of the steps that add them, or allow each with a reason (scan { allow … } in the template), and bake it again" if {
	input.scan.present == true
	input.scan.trusted == true
	input.scan.passed == false
}

# A rollback goes where the channel has been; order was checked on the way there.
ordered if input.action == "rollback"

ordered if {
	known
	is_array(input.been_in)
	count(unvisited) == 0
}

unvisited := [before |
	some at, here in input.channels
	here == channel
	some i, before in input.channels
	i == at - 1
	not before in input.been_in
]

sound if input.revoked == false

traced if {
	input.ancestry.known == true
	is_array(input.ancestry.ancestors)
}
