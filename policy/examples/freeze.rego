# Nothing is promoted while a channel is frozen.
#
# windows are from one moment to another, weekly ones repeat; both in UTC. A day
# is the moment when it begins, so the last day of a window is the one before to:
#   windows = [{from = "2026-12-20T15:00:00Z", to = "2027-01-04", reason = "holidays"}]
#   weekly  = [{days = ["Friday"], from = "15:00", to = "24:00", reason = "weekend"}]
# A rollback is for when something is on fire and passes, unless told otherwise.
package kiln_examples.freeze

defaults := {
	"windows": [],
	"weekly": [],
	"rollbacks": false, # whether rollbacks are frozen too
	"channels": [], # to which it applies; none are all
}

# One of them must be given.
required := ["windows", "weekly"]

deny contains reason if {
	applies
	some window in config.windows
	now >= moment(window.from)
	now < moment(window.to)
	reason := {
		"rule": "freeze",
		"message": sprintf("%s is frozen: %s", [input.channel, object.get(window, "reason", "no reason given")]),
		"fix": sprintf("wait until %s", [time.format([moment(window.to), "UTC", "2006-01-02T15:04:05Z07:00"])]),
	}
}

deny contains reason if {
	applies
	some window in config.weekly
	time.weekday(now) in window.days
	minute >= minutes(window.from)
	minute < minutes(window.to)
	reason := {
		"rule": "freeze",
		"message": sprintf("%s is frozen on %ss: %s", [input.channel, time.weekday(now), object.get(window, "reason", "no reason given")]),
		"fix": sprintf("wait until %s UTC", [window.to]),
	}
}

# A window that cannot be read freezes, so that nobody believes in it in vain.
deny contains reason if {
	applies
	some window in array.concat(config.windows, config.weekly)
	not readable(window)
	reason := {"rule": "freeze", "message": sprintf("a freeze window cannot be read: %s", [json.marshal(window)]), "fix": "write from and to as 2026-12-20T15:00:00Z (RFC 3339) or 2026-12-20, or days in English and from and to as 15:00"}
}

config := object.union(defaults, object.get(data.config, "freeze", {}))

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

now := time.parse_rfc3339_ns(input.now)

moment(day) := time.parse_rfc3339_ns(sprintf("%sT00:00:00Z", [day])) if regex.match(`^\d{4}-\d\d-\d\d$`, day)

else := time.parse_rfc3339_ns(day)

minute := (clock[0] * 60) + clock[1] if clock := time.clock(now)

minutes(text) := (to_number(parts[0]) * 60) + to_number(parts[1]) if parts := split(text, ":")

readable(window) if {
	not window.days
	every text in [window.from, window.to] {
		regex.match(`^\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d))?$`, text)
	}
	moment(window.from) < moment(window.to)
}

readable(window) if {
	every day in window.days {
		day in {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}
	}
	every text in [window.from, window.to] {
		regex.match(`^([01]\d|2[0-3]):[0-5]\d$|^24:00$`, text)
	}
	window.from < window.to
}
