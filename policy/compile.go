package policy

import (
	"context"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/opencontainers/go-digest"
)

// query asks for the two documents that count. Of one that is undefined the
// list is empty.
const query = `x := {"allow": [v | v := data.kiln.allow], "deny": [v | v := data.kiln.deny]}`

func compile(files map[string][]byte) (*rego.PreparedEvalQuery, error) {
	modules, err := parse(files)
	if err != nil {
		return nil, err
	}
	data, err := documents(files)
	if err != nil {
		return nil, err
	}
	compiler := ast.NewCompiler().WithCapabilities(capabilities())
	if compiler.Compile(modules); compiler.Failed() {
		return nil, compiler.Errors
	}
	prepared, err := rego.New(
		rego.Query(query),
		rego.Compiler(compiler),
		rego.Capabilities(capabilities()),
		rego.SetRegoVersion(ast.RegoV1),
		rego.StrictBuiltinErrors(true),
		rego.Store(inmem.NewFromObjectWithOpts(data, inmem.OptRoundTripOnWrite(false))),
	).PrepareForEval(context.Background())
	if err != nil {
		return nil, err
	}
	return &prepared, nil
}

// parse reads the Rego files among files.
func parse(files map[string][]byte) (map[string]*ast.Module, error) {
	modules := map[string]*ast.Module{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if isData(name) {
			continue
		}
		m, err := ast.ParseModuleWithOpts(name, string(files[name]), ast.ParserOptions{
			RegoVersion: ast.RegoV1, Capabilities: capabilities(),
		})
		if err != nil {
			return nil, err
		}
		if m == nil {
			return nil, fmt.Errorf("%s is empty", name)
		}
		modules[name] = m
	}
	return modules, nil
}

// callable are the functions that a policy may call. What is not in the list
// looks outside (http.send, net, opa.runtime, the clock, chance, the system's
// certificates), makes of a few bytes any amount in one call (numbers.range,
// bits.lsh, graph.reachable_paths, yaml.unmarshal, templates), or has no use
// here. A function that a newer OPA brings is not callable before somebody has
// looked at it.
var callable = []string{
	"abs", "and", "array.concat", "array.flatten", "array.reverse", "array.slice", "assign",
	"base64.decode", "base64.encode", "base64.is_valid", "base64url.decode", "base64url.encode", "base64url.encode_no_pad",
	"ceil", "concat", "contains", "count", "crypto.md5", "crypto.sha1", "crypto.sha256",
	"div", "endswith", "eq", "equal", "floor", "format_int", "glob.match", "glob.quote_meta", "graph.reachable", "gt", "gte",
	"hex.decode", "hex.encode", "indexof", "indexof_n",
	"internal.member_2", "internal.member_3", "internal.print", "internal.template_string", "internal.test_case", "intersection",
	"is_array", "is_boolean", "is_null", "is_number", "is_object", "is_set", "is_string",
	"json.filter", "json.is_valid", "json.marshal", "json.patch", "json.remove", "json.unmarshal",
	"lower", "lt", "lte", "max", "min", "minus", "mul", "neq",
	"object.filter", "object.get", "object.keys", "object.remove", "object.subset", "object.union", "object.union_n", "or",
	"plus", "print", "product",
	"regex.find_all_string_submatch_n", "regex.find_n", "regex.is_valid", "regex.match", "regex.replace", "regex.split", "rem", "replace", "round",
	"semver.compare", "semver.is_valid", "set_diff", "sort", "split", "sprintf", "startswith",
	"strings.any_prefix_match", "strings.any_suffix_match", "strings.count", "strings.replace_n", "strings.reverse", "strings.split_n", "substring", "sum",
	"time.add_date", "time.clock", "time.date", "time.diff", "time.format", "time.parse_duration_ns", "time.parse_ns", "time.parse_rfc3339_ns", "time.weekday",
	"to_number", "trace", "trim", "trim_left", "trim_prefix", "trim_right", "trim_space", "trim_suffix", "type_name",
	"union", "units.parse", "units.parse_bytes", "upper", "uri.is_valid", "uri.parse",
	"urlquery.decode", "urlquery.decode_object", "urlquery.encode", "urlquery.encode_object", "walk",
}

// capabilities are those of OPA without the functions that are not callable.
func capabilities() *ast.Capabilities {
	caps := ast.CapabilitiesForThisVersion()
	caps.AllowNet = []string{}
	caps.Builtins = slices.DeleteFunc(caps.Builtins, func(b *ast.Builtin) bool {
		return b.Nondeterministic || !slices.Contains(callable, b.Name)
	})
	return caps
}

func sourceDigest(files map[string][]byte) digest.Digest {
	h := digest.SHA256.Digester()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		frame(h.Hash(), []byte(name))
		frame(h.Hash(), files[name])
	}
	return h.Digest()
}

// frame writes b behind its length, so that no two lists of fields hash alike.
func frame(h hash.Hash, b []byte) {
	fmt.Fprintf(h, "%d:", len(b))
	io.WriteString(h, string(b))
}
