# The attested recipe must have some steps.
#
# Each is written as name, or kind:name, and may have a * in it: "hardening",
# "run:*audit*", "packages:*".
package kiln_examples.recipe

defaults := {
	"steps": [],
	"channels": [], # to which it applies; none are all
}

# One of them must be given.
required := ["steps"]

deny contains reason if {
	applies
	some wanted in config.steps
	not has(wanted)
	reason := {
		"rule": "recipe",
		"message": sprintf("its attested recipe has no step %q", [wanted]),
		"fix": "add the step to the template and bake it again",
	}
}

config := object.union(defaults, object.get(data.config, "recipe", {}))

applies if count(config.channels) == 0

applies if input.channel in config.channels

has(wanted) if {
	input.provenance.present == true
	input.provenance.trusted == true
	some step in input.provenance.steps
	some name in {step.name, sprintf("%s:%s", [step.kind, step.name])}
	glob.match(wanted, null, name)
}
