package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Spec says what a policy is made of. All parts count: a promotion happens only
// when none of them denies it.
type Spec struct {
	Default  bool              // the built-in policy
	Examples []string          // packaged examples, by name
	Files    map[string][]byte // a user's Rego and data documents, as Load takes them
	Config   json.RawMessage   // an object: data.config, the parameters; may be empty
}

// ownPrefix begins the names of files that Compose adds.
const ownPrefix = "kiln-"

// Compose joins the parts in package kiln: deny has the denials of all of them.
// Where no file of the user's defines allow, it is true when nothing is denied;
// else it is the user's, and true only helps where nothing is denied.
//
// Nothing of a user's can weaken another part: what this package embeds lives in
// packages of its own, and files that are in these are refused. So are
// parameters that an example does not know, which nobody would miss otherwise.
func Compose(s Spec) (*Policy, error) {
	if !s.Default && len(s.Examples) == 0 && len(withoutTests(s.Files)) == 0 {
		return nil, errors.New("load policy: it has no part; without a policy nothing may be promoted")
	}
	s.Files = withoutTests(s.Files)
	files, err := s.files()
	if err != nil {
		return nil, fmt.Errorf("load policy: %w", err)
	}
	p, err := Load(files)
	if err != nil {
		return nil, err
	}
	if err := s.checkParameters(files); err != nil {
		return nil, fmt.Errorf("load policy: %w", err)
	}
	p.builtIn = len(s.Files) == 0
	return p, nil
}

// files are all files of the policy, the user's tests included.
func (s Spec) files() (map[string][]byte, error) {
	for i, name := range s.Examples {
		if _, err := example(name); err != nil {
			return nil, err
		}
		if slices.Contains(s.Examples[:i], name) {
			return nil, fmt.Errorf("the example %s is named twice", name)
		}
	}
	if err := checkSize(s.Files); err != nil {
		return nil, err
	}
	allows, err := checkUser(s.Files)
	if err != nil {
		return nil, err
	}
	files := s.builtIn()
	if s.Default || len(s.Examples) > 0 {
		files[ownPrefix+"join.rego"] = s.joint(!allows)
	}
	maps.Copy(files, s.Files)
	if err := s.checkConfig(); err != nil {
		return nil, err
	}
	if len(s.Config) > 0 {
		doc, err := json.Marshal(map[string]json.RawMessage{"config": s.Config})
		if err != nil {
			return nil, fmt.Errorf("parameters: %w", err)
		}
		files[ownPrefix+"config.json"] = doc
	}
	return files, nil
}

// builtIn are the files that this package embeds, joined as if the user had
// none.
func (s Spec) builtIn() map[string][]byte {
	files := map[string][]byte{ownPrefix + "join.rego": s.joint(true)}
	if s.Default {
		files[ownPrefix+"default.rego"] = defaultSource
	}
	for _, e := range Examples() {
		if slices.Contains(s.Examples, e.Name) {
			files[ownPrefix+"example-"+e.Name+".rego"] = e.Source
		}
	}
	if !s.Default && len(s.Examples) == 0 {
		clear(files)
	}
	return files
}

// joint is the Rego that joins the parts.
func (s Spec) joint(allow bool) []byte {
	var b strings.Builder
	b.WriteString("# Written by kiln: joins the parts of this policy.\npackage kiln\n")
	if allow {
		b.WriteString("\ndefault allow := false\n\nallow if count(deny) == 0\n")
	}
	if s.Default {
		b.WriteString("\ndeny contains reason if some reason in data.kiln_default.deny\n")
	}
	names := slices.Sorted(slices.Values(s.Examples))
	for _, name := range names {
		fmt.Fprintf(&b, "\ndeny contains reason if some reason in data.kiln_examples.%s.deny\n", name)
	}
	if len(names) > 0 {
		list, _ := json.Marshal(names)
		fmt.Fprintf(&b, `
# A channel that is misspelt would make a part apply nowhere.
deny contains {"rule": "config", "message": message, "fix": "correct channels in the parameters of the policy"} if {
	some part in %s
	some channel in data.config[part].channels
	not channel in input.channels
	message := sprintf("the parameters of %%s name the channel %%q, which there is not", [part, channel])
}
`, list)
	}
	return []byte(b.String())
}

// checkUser parses a user's files, refuses what could stand in for a part of
// kiln's, and tells whether they say themselves what is allowed.
func checkUser(files map[string][]byte) (allows bool, err error) {
	modules, err := parse(files)
	if err != nil {
		return false, err
	}
	for name := range files {
		if strings.HasPrefix(name, ownPrefix) {
			return false, fmt.Errorf("%s: names that begin with %s are kiln's own; name it otherwise", name, ownPrefix)
		}
	}
	for name, m := range modules {
		if len(m.Package.Path) < 2 {
			continue
		}
		root := m.Package.Path[1].Value
		if s, ok := root.(ast.String); ok && strings.HasPrefix(string(s), "kiln_") && !isTest(name) {
			return false, fmt.Errorf("%s: package %s is one of kiln's own; write into package kiln", name, string(s))
		}
		if root.Compare(ast.String("config")) == 0 && !isTest(name) {
			return false, fmt.Errorf("%s: package config would stand in for parameters; name it otherwise", name)
		}
		if !isKiln(m) || isTest(name) {
			continue
		}
		for _, r := range m.Rules {
			allows = allows || r.Head.Ref()[0].Value.Compare(ast.Var("allow")) == 0
		}
	}
	return allows, checkEntrances(modules)
}
