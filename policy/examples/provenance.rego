# It must come from a commit of an allowed repository, as it was committed, baked
# without a network.
package kiln_examples.provenance

defaults := {
	"hermetic": true, # whether no step may have had a network
	"committed": true, # whether it must come from a commit, without changes
	"repositories": [], # of the template, may have a * in them; none are all
	"channels": [], # to which it applies; none are all
}

deny contains reason if {
	applies
	not trusted
	reason := {"rule": "provenance", "message": "no provenance signed by a trusted key is attached", "fix": "bake it with kiln bake --key"}
}

deny contains reason if {
	applies
	trusted
	config.hermetic
	not input.provenance.hermetic == true
	reason := {
		"rule": "provenance",
		"message": sprintf("it was not baked hermetically: %s had a network", [concat(", ", networked)]),
		"fix": "fetch what the steps need in fetch, git or packages steps, which are pinned, and bake it again",
	}
}

deny contains reason if {
	applies
	trusted
	config.committed
	not committed
	reason := {"rule": "provenance", "message": "it does not come from a commit without changes", "fix": "commit everything that the bake reads and bake it again"}
}

deny contains reason if {
	applies
	trusted
	count(config.repositories) > 0
	not allowed
	reason := {
		"rule": "provenance",
		"message": sprintf("it comes from the repository %q, which is not among the allowed", [object.get(input, ["provenance", "repository"], "")]),
		"fix": "bake it from an allowed repository",
	}
}

config := object.union(defaults, object.get(data.config, "provenance", {}))

applies if count(config.channels) == 0

applies if input.channel in config.channels

trusted if {
	input.provenance.present == true
	input.provenance.trusted == true
}

networked := names if {
	names := [step.name | some step in input.provenance.steps; step.network]
	count(names) > 0
}

else := ["an unknown step"]

committed if {
	input.provenance.commit != ""
	input.provenance.dirty == false
}

allowed if {
	some pattern in config.repositories
	glob.match(pattern, null, input.provenance.repository)
}
