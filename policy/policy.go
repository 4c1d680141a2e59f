package policy

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/opencontainers/go-digest"
)

//go:embed default.rego
var defaultSource []byte

const (
	// MaxSource bounds a policy's files together, in bytes.
	MaxSource = 1 << 20
	// Timeout bounds one evaluation.
	Timeout = 5 * time.Second
)

// Policy is a compiled or yet to be compiled policy. Safe for concurrent use.
type Policy struct {
	files   map[string][]byte
	digest  digest.Digest
	timeout time.Duration
	compile func() (*rego.PreparedEvalQuery, error)
}

// Default is the built-in policy. It is compiled at its first evaluation.
func Default() *Policy {
	return prepare(map[string][]byte{"default.rego": defaultSource})
}

// Load reads a policy of one or several Rego files, by name, and compiles it:
// a file that does not parse, or that uses a function which reaches outside
// (http.send, net.*, opa.runtime, the clock, chance), is an error that names
// file and line.
func Load(files map[string][]byte) (*Policy, error) {
	size := 0
	for _, text := range files {
		size += len(text)
	}
	switch {
	case size == 0:
		return nil, errors.New("load policy: it is empty; without a policy nothing may be promoted")
	case size > MaxSource:
		return nil, fmt.Errorf("load policy: %d bytes, over the limit of %d", size, MaxSource)
	}
	p := prepare(maps.Clone(files))
	if _, err := p.compile(); err != nil {
		return nil, fmt.Errorf("load policy: %w", err)
	}
	return p, nil
}

func prepare(files map[string][]byte) *Policy {
	p := &Policy{files: files, digest: sourceDigest(files), timeout: Timeout}
	p.compile = sync.OnceValues(func() (*rego.PreparedEvalQuery, error) { return compile(files) })
	return p
}

// Digest is the digest of the policy's source: names and contents of its files.
func (p *Policy) Digest() digest.Digest { return p.digest }

// Source returns the policy's files by name.
func (p *Policy) Source() map[string][]byte { return maps.Clone(p.files) }

// Evaluate decides. A denial is a Decision without Allow and no error. With an
// error (a policy that breaks or exceeds Timeout, a cancelled ctx) the decision
// denies too.
func (p *Policy) Evaluate(ctx context.Context, facts Facts) (Decision, error) {
	text, err := facts.Canonical()
	if err != nil {
		return Decision{}.failed(err)
	}
	return p.EvaluateText(ctx, text)
}

// EvaluateText decides on the text of canonical facts as it is, so that an old
// decision is replayed on just what it was made on.
func (p *Policy) EvaluateText(ctx context.Context, text []byte) (Decision, error) {
	if p == nil {
		return Decision{Reasons: []Reason{broken("no policy is configured")}}, errors.New("evaluate policy: there is none")
	}
	d := Decision{Policy: string(p.digest), Facts: string(digest.FromBytes(text)), Reasons: []Reason{}}
	facts, err := ParseFacts(text)
	if err != nil {
		return d.failed(err)
	}
	var input any
	if err := json.Unmarshal(text, &input); err != nil {
		return d.failed(err)
	}
	query, err := p.compile()
	if err != nil {
		return d.failed(err)
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	results, err := query.Eval(ctx, rego.EvalInput(input), rego.EvalTime(facts.Now), rego.EvalSeed(strings.NewReader("")))
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return d.failed(err)
	}
	allow, reasons := judge(results)
	d.Allow = allow
	d.Reasons = append(d.Reasons, reasons...)
	return d, nil
}

// failed denies because err kept the policy from deciding.
func (d Decision) failed(err error) (Decision, error) {
	d.Allow = false
	d.Reasons = []Reason{broken("the policy could not be evaluated: " + err.Error())}
	return d, fmt.Errorf("evaluate policy %s: %w", d.Policy, err)
}

func compile(files map[string][]byte) (*rego.PreparedEvalQuery, error) {
	opts := []func(*rego.Rego){
		rego.Query("data.kiln"),
		rego.Capabilities(capabilities()),
		rego.SetRegoVersion(ast.RegoV1),
		rego.StrictBuiltinErrors(true),
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		opts = append(opts, rego.Module(name, string(files[name])))
	}
	query, err := rego.New(opts...).PrepareForEval(context.Background())
	if err != nil {
		return nil, err
	}
	return &query, nil
}

// capabilities leaves out every function that looks outside the facts.
func capabilities() *ast.Capabilities {
	caps := ast.CapabilitiesForThisVersion()
	caps.AllowNet = []string{}
	caps.Builtins = slices.DeleteFunc(caps.Builtins, func(b *ast.Builtin) bool {
		return b.Nondeterministic || b.Name == "http.send" || b.Name == "opa.runtime" ||
			strings.HasPrefix(b.Name, "net.") || strings.HasPrefix(b.Name, "rand.")
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
