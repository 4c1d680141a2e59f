package policy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/opencontainers/go-digest"
)

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
	builtIn bool          // made of what this package embeds, and of parameters
	apart   chan struct{} // holds a place for each process that evaluates it; nil evaluates here
	compile func() (*rego.PreparedEvalQuery, error)
}

// Load reads a policy of one or several files, by name, and compiles it. Names
// that end in .json, .yaml or .yml are data documents (see documents), those in
// _test.rego are left out, all others are Rego. A file that does not parse, or
// that uses a function that reaches outside or that a policy could use to ask
// for any amount of memory at once, is an error that names file and line.
//
// Load takes the files as they are; Compose joins a user's with what this
// package embeds.
func Load(files map[string][]byte) (*Policy, error) {
	files = withoutTests(files)
	if len(files) == 0 {
		return nil, errors.New("load policy: it is empty; without a policy nothing may be promoted")
	}
	if err := checkSize(files); err != nil {
		return nil, fmt.Errorf("load policy: %w", err)
	}
	p := prepare(files)
	if _, err := p.compile(); err != nil {
		return nil, fmt.Errorf("load policy: %w", err)
	}
	return p, nil
}

func checkSize(files map[string][]byte) error {
	size := 0
	for _, text := range files {
		size += len(text)
	}
	if size > MaxSource {
		return fmt.Errorf("%d bytes, over the limit of %d", size, MaxSource)
	}
	return nil
}

func prepare(files map[string][]byte) *Policy {
	p := &Policy{files: files, digest: sourceDigest(files), timeout: Timeout}
	p.compile = sync.OnceValues(func() (*rego.PreparedEvalQuery, error) { return compile(files) })
	return p
}

// Digest is the digest of the policy's source: names and contents of its files.
func (p *Policy) Digest() digest.Digest { return p.digest }

// Names tells whether the source has a rule's name as a text. Of one that it
// does not have it gives no reason.
func (p *Policy) Names(rule string) bool {
	if p == nil {
		return false
	}
	for name, text := range p.files {
		if !isData(name) && bytes.Contains(text, []byte(strconv.Quote(rule))) {
			return true
		}
	}
	return false
}

// Source returns the policy's files by name: what Load takes to make it again.
func (p *Policy) Source() map[string][]byte { return maps.Clone(p.files) }

// Evaluate decides. A denial is a Decision without Allow and no error. With an
// error (a policy that breaks or exceeds its bounds, a cancelled ctx) the
// decision denies too.
func (p *Policy) Evaluate(ctx context.Context, facts Facts) (Decision, error) {
	facts = facts.normal()
	text, err := facts.Canonical()
	if err != nil {
		return Decision{Reasons: []Reason{}}.failed(err)
	}
	return p.decide(ctx, text, func() (ast.Value, time.Time, error) { return facts.document(), facts.Now, nil })
}

// EvaluateText decides on the text of canonical facts as it is, so that an old
// decision is replayed on just what it was made on.
func (p *Policy) EvaluateText(ctx context.Context, text []byte) (Decision, error) {
	return p.decide(ctx, text, func() (ast.Value, time.Time, error) { return readDocument(text) })
}

// decide evaluates here, or in a process of its own. Only the former asks for
// the input.
func (p *Policy) decide(ctx context.Context, text []byte, input func() (ast.Value, time.Time, error)) (Decision, error) {
	if p == nil {
		return Decision{Reasons: []Reason{broken("no policy is configured")}}, errors.New("evaluate policy: there is none")
	}
	d := Decision{Policy: string(p.digest), Facts: string(digest.FromBytes(text)), Reasons: []Reason{}}
	leave, err := p.enter(ctx)
	if err != nil {
		return d.failed(err)
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	var v verdict
	if p.apart != nil {
		v, err = p.evaluateApart(ctx, text)
	} else {
		v, err = p.evaluateHere(ctx, input)
	}
	if ctx.Err() == context.DeadlineExceeded {
		err = fmt.Errorf("it took longer than %v: %w", p.timeout, context.DeadlineExceeded)
	}
	if err != nil {
		return d.failed(err)
	}
	d.Allow = v.Allow
	d.Reasons = append(d.Reasons, v.Reasons...)
	return d, nil
}

// failed denies because err kept the policy from deciding.
func (d Decision) failed(err error) (Decision, error) {
	d.Allow = false
	d.Reasons = []Reason{{
		Rule: "policy", Message: clip("the policy could not be evaluated: " + err.Error()),
		Fix: "correct the policy; kiln policy test runs its unit tests",
	}}
	return d, fmt.Errorf("evaluate policy %s: %w", d.Policy, err)
}
