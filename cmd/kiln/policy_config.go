package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// policyConfig is what a policy block says: of what the policy that gates
// promotions is made. docs/policy.md describes it.
type policyConfig struct {
	builtin  bool
	examples []string
	files    []string                   // .rego files and folders of them
	bundles  []string                   // IMAGE@DIGEST in the store
	config   map[string]json.RawMessage // data.config
	misread  bool                       // some parameters could not be read: more is not known to be wrong with them
}

// builtinPolicy is the built-in policy alone.
func builtinPolicy() policyConfig { return policyConfig{builtin: true} }

// readPolicy reads a policy block; none is the built-in policy.
func readPolicy(b *configBlock) policyConfig {
	if b == nil {
		return builtinPolicy()
	}
	p := policyConfig{
		builtin: b.boolean("default", true), files: b.paths("files"), bundles: b.Texts("bundles"),
	}
	wrong := b.Len()
	p.config = b.jsonMap("config")
	p.misread = b.Len() > wrong
	for _, ref := range p.bundles {
		if _, err := bundleRef(ref); err != nil {
			b.Wrong("bundles", "%v", err)
		}
	}
	for _, e := range b.blocks("example", "name") {
		p.examples = append(p.examples, e.Labels[0])
		if p.config == nil {
			p.config = map[string]json.RawMessage{}
		}
		if _, there := p.config[e.Labels[0]]; there {
			e.WrongBlock("its parameters stand in config as well; write them here only")
		}
		wrong := b.Len()
		p.config[e.Labels[0]] = e.parameters()
		p.misread = p.misread || b.Len() > wrong
		e.Done()
	}
	if !p.builtin && len(p.examples) == 0 && len(p.files) == 0 && len(p.bundles) == 0 {
		b.WrongBlock("without any part nothing could be promoted: write default = true, example, files or bundles")
	}
	b.Done()
	return p
}

// loadPolicyFile reads a file with one policy block, as serve's configuration
// has it.
func loadPolicyFile(path string) (policyConfig, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return policyConfig{}, err
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return policyConfig{}, err
	}
	b, err := parseConfig(path, dir, src)
	if err != nil {
		return policyConfig{}, err
	}
	block := b.block("policy")
	p := readPolicy(block)
	if block == nil {
		b.Add(0, "", "it has no policy block: write policy { … }")
	}
	b.Done()
	return p, b.err()
}

// checkChannels notes channels in the parameters of examples that there are not:
// with one of them every promotion would be denied. b is the policy block.
func (p policyConfig) checkChannels(b *configBlock, known []string) {
	for _, name := range p.examples {
		var given struct{ Channels []string }
		if json.Unmarshal(p.config[name], &given) != nil {
			continue // no list of texts, which the example refuses
		}
		for _, c := range given.Channels {
			if !slices.Contains(known, c) {
				b.peek("example", name).Wrong("channels", "there is no channel %q, but %s", c, strings.Join(known, ", "))
			}
		}
	}
}

// paths are files or folders, relative to the file of the configuration.
func (b *configBlock) paths(name string) []string {
	list := b.Texts(name)
	for i, p := range list {
		if !filepath.IsAbs(p) {
			list[i] = filepath.Join(b.dir, p)
		}
		if _, err := os.Stat(list[i]); err != nil {
			b.Wrong(name, "%v", err)
		}
	}
	return list
}

// jsonMap reads { name = anything }, as JSON.
func (b *configBlock) jsonMap(name string) map[string]json.RawMessage {
	v, ok := b.Value(name, cty.DynamicPseudoType)
	if !ok {
		return nil
	}
	if !v.Type().IsObjectType() && !v.Type().IsMapType() {
		b.Wrong(name, "want an object: { name = value }")
		return nil
	}
	m := map[string]json.RawMessage{}
	for key, value := range v.AsValueMap() {
		text, err := ctyjson.Marshal(value, value.Type())
		if err != nil {
			b.Wrong(name, "%v", err)
			return nil
		}
		m[key] = text
	}
	return m
}

// parameters are all attributes of the block, as a JSON object. Whoever takes
// them knows which there are.
func (b *configBlock) parameters() json.RawMessage {
	m := map[string]json.RawMessage{}
	for _, name := range b.Written() {
		v, ok := b.Value(name, cty.DynamicPseudoType)
		if !ok {
			continue
		}
		text, err := ctyjson.Marshal(v, v.Type())
		if err != nil {
			b.Wrong(name, "%v", err)
			continue
		}
		m[name] = text
	}
	text, err := json.Marshal(m)
	if err != nil {
		b.WrongBlock("%v", err)
	}
	return text
}

// isPolicyFile tells whether a name is that of a file that counts in a folder
// or bundle of a policy.
func isPolicyFile(name string) bool {
	base := name[strings.LastIndex(name, "/")+1:]
	switch base {
	case "data.json", "data.yaml", "data.yml":
		return true
	}
	return strings.HasSuffix(base, ".rego") && !strings.HasPrefix(base, ".")
}

// addPolicyFiles adds files to all; none may be there twice.
func addPolicyFiles(all, files map[string][]byte, where string) error {
	for name, text := range files {
		if _, there := all[name]; there {
			return fmt.Errorf("%s: %s is there twice; give one of them another name", where, name)
		}
		all[name] = text
	}
	return nil
}
