package kiln_examples.builders_test

import data.kiln_examples.builders

facts := {
	"action": "promote", "channel": "prod",
	"provenance": {"present": true, "trusted": true, "builder": "https://ci.example.com/7"},
	"signatures": [
		{"trusted": true, "key_id": "sha256:aa", "identity": null},
		{"trusted": true, "key_id": "", "identity": {"issuer": "https://accounts.example.com", "subject": "release-1@example.com"}},
		{"trusted": false, "key_id": "sha256:bb", "identity": null},
	],
}

messages(config) := list if list := {r.message | some r in builders.deny} with input as facts with data.config.builders as config

test_builder if count(messages({"builders": ["https://ci.example.com/*"]})) == 0

test_other_builder if messages({"builders": ["https://ci.example.org/*"]}) == {"its provenance names the builder \"https://ci.example.com/7\", which is not among the allowed"}

test_no_provenance if {
	count(builders.deny) == 1 with input as {"channel": "prod"} with data.config.builders as {"builders": ["*"]}
}

test_key if count(messages({"signers": ["sha256:aa"]})) == 0

test_untrusted_key if count(messages({"signers": ["sha256:bb"]})) == 1

test_identity if count(messages({"identities": [{"issuer": "https://accounts.example.com", "subject": "release-*@example.com"}]})) == 0

test_other_issuer if count(messages({"identities": [{"issuer": "https://accounts.example.org", "subject": "release-*@example.com"}]})) == 1

test_other_subject if count(messages({"identities": [{"issuer": "https://accounts.example.com", "subject": "ann@example.com"}]})) == 1

test_empty_key_is_nobody if count(messages({"signers": ["sha256:"]})) == 1

test_other_channels if count(messages({"signers": ["sha256:cc"], "channels": ["dev"]})) == 0
