# A fresh report of a vulnerability scanner must be attached, and list nothing
# that is grave and not ignored.
#
# kiln attest REF --type vuln --predicate REPORT --key K attaches one.
#   ignore = [{id = "CVE-2026-1234", until = "2026-06-01", reason = "not reachable"}]
# A day is the moment when it begins, in UTC; 2026-06-01T15:00:00Z is read, too.
package kiln_examples.vulnerabilities

defaults := {
	"severities": ["critical", "high"], # that stop it, of: critical, high, medium, low, negligible, unknown
	"fixed_only": true, # whether only those count for which there is a fix
	"max_age_hours": 168, # of the report
	"ignore": [], # each with id, until and reason
	"rollbacks": false, # whether rollbacks are checked too
	"channels": [], # to which it applies; none are all
}

deny contains reason if {
	applies
	not reported
	reason := {"rule": "vulnerabilities", "message": "no vulnerability report signed by a trusted key is attached", "fix": attach}
}

deny contains reason if {
	applies
	reported
	not fresh
	reason := {
		"rule": "vulnerabilities",
		"message": sprintf("its vulnerability report is of %v: older than %s, or of the future", [input.vulnerabilities.scanned_at, age_limit]),
		"fix": attach,
	}
}

deny contains reason if {
	applies
	reported
	count(grave) > 0
	list := sort(grave)
	reason := {
		"rule": "vulnerabilities",
		"message": sprintf("%s: %s", [counted(count(list)), concat(", ", array.slice(list, 0, 10))]),
		"fix": "update those packages (kiln outdated, kiln lock --update) and bake it again, or ignore them with a reason and a date",
	}
}

counted(n) := "1 vulnerability that counts" if n == 1

else := sprintf("%d vulnerabilities that count", [n])

attach := sprintf("scan it and attach the report: kiln attest %s@%s --type vuln --predicate REPORT.json", [input.image, input.digest])

config := object.union(defaults, object.get(data.config, "vulnerabilities", {}))

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

hour := (3600 * 1000) * 1000000

age_limit := "1 hour" if config.max_age_hours == 1

else := sprintf("%v hours", [config.max_age_hours])

moment(day) := time.parse_rfc3339_ns(sprintf("%sT00:00:00Z", [day])) if regex.match(`^\d{4}-\d\d-\d\d$`, day)

else := time.parse_rfc3339_ns(day)

reported if {
	input.vulnerabilities.present == true
	input.vulnerabilities.trusted == true
}

# Clocks differ a little, so a report may be of the next minutes.
fresh if {
	is_string(input.vulnerabilities.scanned_at)
	age := now - time.parse_rfc3339_ns(input.vulnerabilities.scanned_at)
	age <= config.max_age_hours * hour
	age >= -hour / 4
}

grave contains sprintf("%s in %s %s (%s)", [finding.id, finding.package, finding.version, finding.severity]) if {
	some finding in input.vulnerabilities.findings
	counts(finding.severity)
	open(finding)
	not ignored(finding.id)
}

counts(severity) if severity in config.severities

# What no scale knows counts as the worst.
counts(severity) if not severity in {"critical", "high", "medium", "low", "negligible", "unknown"}

open(_) if not config.fixed_only

open(finding) if finding.fixed_in != ""

open(finding) if finding.state == "fixed"

ignored(id) if {
	some entry in config.ignore
	entry.id == id
	entry.reason != ""
	now < moment(entry.until)
}
