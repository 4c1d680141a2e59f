# A version must have been in the channel before for some hours.
#
# A rollback goes where the channel has been and does not wait.
package kiln_examples.soak

defaults := {
	"hours": 24,
	"channels": [], # to which it applies; none are all
}

deny contains reason if {
	applies
	before != ""
	not soaked
	reason := {"rule": "soak", "message": message, "fix": fix}
}

config := object.union(defaults, object.get(data.config, "soak", {}))

applies if {
	input.action != "rollback"
	count(config.channels) == 0
}

applies if {
	input.action != "rollback"
	input.channel in config.channels
}

default before := ""

before := input.channels[i - 1] if {
	some i, channel in input.channels
	channel == input.channel
	i > 0
}

since := time.parse_rfc3339_ns(input.soak.since) if {
	input.soak.channel == before
	is_string(input.soak.since)
}

until := since + ((config.hours * 3600) * 1000000000)

soaked if time.parse_rfc3339_ns(input.now) >= until

span := "1 hour" if config.hours == 1

else := sprintf("%v hours", [config.hours])

default message := "how long it was in the channel before is not known"

message := sprintf("it has been in %s since %s, which is less than %s", [before, input.soak.since, span]) if until

message := sprintf("it was never in %s, where it must have been for %s", [before, span]) if {
	input.soak.channel == before
	input.soak.since == null
}

fix := sprintf("wait until %s", [time.format([until, "UTC", "2006-01-02T15:04:05Z07:00"])]) if until

else := sprintf("promote it to %s first", [before])
