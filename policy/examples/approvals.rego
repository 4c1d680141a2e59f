# Some people other than the baker must have approved.
#
# kiln approve IMAGE@DIGEST --to CHANNEL gives an approval. One person counts
# once, under whatever keys, and one key once, under whatever names.
package kiln_examples.approvals

defaults := {
	"count": 2,
	"requester": true, # whether who asks for the promotion may be among them
	"rollbacks": false, # whether a rollback needs them too
	"channels": [], # to which it applies; none are all
}

deny contains reason if {
	applies
	not approved
	reason := {
		"rule": "approvals",
		"message": sprintf("%v of %v approvals for %s by people other than the baker", [min([count(people), count(keys)]), config.count, input.channel]),
		"fix": sprintf("ask somebody whom the store trusts to: kiln approve %s@%s --to %s", [input.image, input.digest, input.channel]),
	}
}

deny contains reason if {
	applies
	not baker
	reason := {"rule": "approvals", "message": "who baked it is not known, so nobody is known to be another", "fix": "bake it with a trusted key (kiln bake --key)"}
}

config := object.union(defaults, object.get(data.config, "approvals", {}))

exempt if {
	input.action == "rollback"
	not config.rollbacks
}

applies if {
	not exempt
	count(config.channels) == 0
}

applies if {
	not exempt
	input.channel in config.channels
}

baker if count(input.baked_by) > 0

counted contains approval if {
	some approval in input.approvals
	approval.trusted == true
	approval.channel in {"", input.channel}
	approval.by != ""
	not approval.by in input.baked_by
	not approval.key_id in input.baked_by
	not requested(approval)
}

requested(approval) if {
	not config.requester
	input.requested_by in {approval.by, approval.key_id}
}

people := {approval.by | some approval in counted}

keys := {key(approval) | some approval in counted}

key(approval) := approval.key_id if approval.key_id != ""

else := approval.by

approved if {
	count(people) >= config.count
	count(keys) >= config.count
}
