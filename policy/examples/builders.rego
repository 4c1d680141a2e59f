# Only some builders may have baked it, and only some keys or identities signed.
#
# What is given must hold, each for itself. Builders and subjects may have a *
# in them:
#   builders   = ["https://ci.example.com/*"]
#   signers    = ["sha256:…"]
#   identities = [{issuer = "https://accounts.example.com", subject = "release-*@example.com"}]
package kiln_examples.builders

defaults := {
	"builders": [],
	"signers": [],
	"identities": [],
	"channels": [], # to which it applies; none are all
}

# One of them must be given.
required := ["builders", "signers", "identities"]

deny contains reason if {
	applies
	count(config.builders) > 0
	not built
	reason := {
		"rule": "builders",
		"message": sprintf("its provenance names the builder %q, which is not among the allowed", [object.get(input, ["provenance", "builder"], "")]),
		"fix": sprintf("bake it on one of %s", [concat(", ", config.builders)]),
	}
}

deny contains reason if {
	applies
	count(config.signers) + count(config.identities) > 0
	not signed
	reason := {
		"rule": "builders",
		"message": "none of its trusted signatures is by an allowed key or identity",
		"fix": "sign it with an allowed key (kiln sign --key), or have the key allowed",
	}
}

config := object.union(defaults, object.get(data.config, "builders", {}))

applies if count(config.channels) == 0

applies if input.channel in config.channels

built if {
	input.provenance.present == true
	input.provenance.trusted == true
	some pattern in config.builders
	glob.match(pattern, null, input.provenance.builder)
}

signed if {
	some signature in input.signatures
	signature.trusted == true
	allowed(signature)
}

allowed(signature) if signature.key_id in config.signers

allowed(signature) if {
	some identity in config.identities
	identity.issuer == signature.identity.issuer
	glob.match(identity.subject, null, signature.identity.subject)
}
