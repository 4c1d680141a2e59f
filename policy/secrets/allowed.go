package secrets

import (
	"path"
	"slices"
	"strings"

	"github.com/zricethezav/gitleaks/v8/config"
)

// pathIn tells whether a list of allowed paths alone covers a name.
func pathIn(lists []*config.Allowlist, name string) bool {
	for _, a := range lists {
		if a.MatchCondition != config.AllowlistMatchAnd && a.PathAllowed(name) {
			return true
		}
	}
	return false
}

// allowed applies gitleaks' lists: of "or" any content counts (paths did
// before), of "and" all that is there.
func allowed(lists []*config.Allowlist, name, secret, whole, line string) bool {
	for _, a := range lists {
		target := map[string]string{"match": whole, "line": line}[a.RegexTarget]
		if a.RegexTarget == "" {
			target = secret
		}
		regex := a.RegexAllowed(target)
		word, _ := a.ContainsStopWord(secret)
		if a.MatchCondition != config.AllowlistMatchAnd {
			if regex || word {
				return true
			}
			continue
		}
		if len(a.Commits) == 0 && (len(a.Paths) == 0 || a.PathAllowed(name)) &&
			(len(a.Regexes) == 0 || regex) && (len(a.StopWords) == 0 || word) {
			return true
		}
	}
	return false
}

// privateKey is the rule that finds PEM blocks.
const privateKey = "private-key"

// hasBody tells a key from a program that reads keys: that has the first and
// the last line of one, too, but none of its base64.
func hasBody(pem string) bool {
	const shortest = 40
	run := 0
	for i := range len(pem) {
		if b := pem[i]; b != '_' && wordByte(b) || b == '+' || b == '/' {
			if run++; run == shortest {
				return true
			}
			continue
		}
		run = 0
	}
	return false
}

// published is why files of tests in the packages of others are no secrets.
const published = "test data of a published package"

// packages are folders that hold the packages of others, as tools of languages
// install them.
func packageFolders() []string { return []string{"node_modules", "site-packages", "dist-packages"} }

// testRules find what published packages test themselves with.
func testRules() []string { return []string{heuristic, privateKey, "pkcs12-file", "jwt"} }

// known says why a finding is none: "" if it is one.
func known(rule, name string) string {
	if !slices.Contains(testRules(), rule) {
		return ""
	}
	parts := strings.Split(path.Dir(name), "/")
	at := slices.IndexFunc(parts, func(p string) bool { return slices.Contains(packageFolders(), p) })
	if at >= 0 && slices.ContainsFunc(parts[at+1:], func(p string) bool { return p == "test" || p == "tests" }) {
		return published
	}
	return ""
}
