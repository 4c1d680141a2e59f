# Nothing that it was baked on may be outdated, or from an unknown place.
package kiln_examples.base

defaults := {
	"foreign": [], # images from outside the store that it may be baked on, may have a * in them
	"rollbacks": false, # whether rollbacks are checked too
	"channels": [], # to which it applies; none are all
}

deny contains reason if {
	applies
	not input.ancestry.known == true
	reason := {"rule": "base", "message": sprintf("what it was baked on is not known: %s", [object.get(input, ["ancestry", "problem"], "no facts")]), "fix": "bake it and its parents with a trusted key (kiln bake --key)"}
}

deny contains reason if {
	applies
	some ancestor in input.ancestry.ancestors
	ancestor.foreign == false
	not ancestor.outdated == false
	reason := {
		"rule": "base",
		"message": sprintf("it was baked on %s@%s, which is outdated", [ancestor.image, ancestor.digest]),
		"fix": sprintf("put it onto the new one: kiln rebase %s --onto DIGEST, or bake it again", [input.image]),
	}
}

deny contains reason if {
	applies
	some ancestor in input.ancestry.ancestors
	not ancestor.foreign == false
	not allowed(ancestor.image)
	reason := {
		"rule": "base",
		"message": sprintf("it was baked on %s@%s from outside the store", [ancestor.image, ancestor.digest]),
		"fix": "bake it on an image of the store, or list that one in foreign",
	}
}

config := object.union(defaults, object.get(data.config, "base", {}))

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

allowed(image) if {
	some pattern in config.foreign
	glob.match(pattern, null, image)
}
