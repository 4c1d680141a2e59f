package debian

import (
	"fmt"
	"strings"
)

// alternative is one package that a relation field names, such as
// "python3:any (>= 3.9)".
type alternative struct {
	name      string
	qualifier string // what follows the colon: "any", "native", an architecture, or ""
	op        string // "", "<<", "<=", "=", ">=" or ">>"
	version   string
}

// relation is a group of alternatives of which one is enough.
type relation []alternative

// String writes the alternative the way control files do.
func (a alternative) String() string {
	text := a.name
	if a.qualifier != "" {
		text += ":" + a.qualifier
	}
	if a.op != "" {
		text += " (" + a.op + " " + a.version + ")"
	}
	return text
}

// String writes the group the way control files do.
func (r relation) String() string {
	parts := make([]string, len(r))
	for i, a := range r {
		parts[i] = a.String()
	}
	return strings.Join(parts, " | ")
}

// accepts says whether a version meets the alternative's constraint.
func (a alternative) accepts(version string) bool {
	if a.op == "" {
		return true
	}
	c := CompareVersions(version, a.version)
	switch a.op {
	case "<<":
		return c < 0
	case "<=":
		return c <= 0
	case "=":
		return c == 0
	case ">=":
		return c >= 0
	}
	return c > 0
}

// parseRelations reads a relation field of a binary package (deb-control(5)):
// groups divided by commas, alternatives by bars.
func parseRelations(field string) ([]relation, error) {
	var out []relation
	for rest := field; rest != ""; {
		var group string
		group, rest, _ = strings.Cut(rest, ",")
		if strings.TrimSpace(group) == "" {
			continue
		}
		var r relation
		for _, text := range strings.Split(group, "|") {
			a, err := parseAlternative(text)
			if err != nil {
				return nil, err
			}
			r = append(r, a)
		}
		out = append(out, r)
	}
	return out, nil
}

func parseAlternative(text string) (alternative, error) {
	var a alternative
	text = strings.TrimSpace(text)
	name, constraint, versioned := strings.Cut(text, "(")
	name, a.qualifier, _ = strings.Cut(strings.TrimSpace(name), ":")
	a.name = name
	if !validName(name) || strings.ContainsAny(a.qualifier, " \t\n") {
		return a, fmt.Errorf("relation %.80q: not a package name", text)
	}
	if !versioned {
		return a, nil
	}
	constraint, after, closed := strings.Cut(constraint, ")")
	if !closed || strings.TrimSpace(after) != "" {
		return a, fmt.Errorf("relation %.80q: version in parentheses expected", text)
	}
	constraint = strings.TrimSpace(constraint)
	n := len(constraint) - len(strings.TrimLeft(constraint, "<>="))
	a.op, a.version = constraint[:n], strings.TrimSpace(constraint[n:])
	switch a.op {
	case "<":
		a.op = "<="
	case ">":
		a.op = ">="
	case "<<", "<=", "=", ">=", ">>":
	default:
		return a, fmt.Errorf("relation %.80q: unknown operator %q", text, a.op)
	}
	if a.version == "" || strings.ContainsAny(a.version, " \t\n") {
		return a, fmt.Errorf("relation %.80q: no version", text)
	}
	return a, nil
}

// validName says whether text can name a package: letters, digits and "+-.",
// beginning with a letter or digit. Upper case is tolerated, as dpkg does.
func validName(text string) bool {
	for i := 0; i < len(text); i++ {
		c := text[i]
		alnum := isDigit(c) || isLetter(c)
		if !alnum && (i == 0 || (c != '+' && c != '-' && c != '.' && c != '_')) {
			return false
		}
	}
	return text != ""
}
