package policy

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

// grace is how long an evaluation has to notice that it was cancelled. A few
// built-in functions do not notice; nobody waits for those.
const grace = 200 * time.Millisecond

// verdict is what a policy says of facts.
type verdict struct {
	Allow   bool     `json:"allow"`
	Reasons []Reason `json:"reasons"`
}

// evaluateHere asks the policy in this process. Time is bounded; memory is so
// far as the functions that a policy may call are.
func (p *Policy) evaluateHere(ctx context.Context, input func() (ast.Value, time.Time, error)) (verdict, error) {
	query, err := p.compile()
	if err != nil {
		return verdict{}, err
	}
	value, now, err := input()
	if err != nil {
		return verdict{}, err
	}
	type answer struct {
		verdict verdict
		err     error
	}
	done := make(chan answer, 1)
	go func() {
		v, err := evaluate(ctx, query, value, now)
		done <- answer{v, err}
	}()
	select {
	case a := <-done:
		return a.verdict, a.err
	case <-ctx.Done():
	}
	select {
	case a := <-done:
		return a.verdict, a.err
	case <-time.After(grace):
		return verdict{}, ctx.Err()
	}
}

// evaluate runs the query. What panics in it is an error like any other.
func evaluate(ctx context.Context, query *rego.PreparedEvalQuery, input ast.Value, now time.Time) (v verdict, err error) {
	defer func() {
		if r := recover(); r != nil {
			v, err = verdict{}, fmt.Errorf("the policy broke its evaluator: %v", r)
		}
	}()
	results, err := query.Eval(ctx, rego.EvalParsedInput(input), rego.EvalTime(now), rego.EvalSeed(strings.NewReader("")))
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return verdict{}, err
	}
	allow, reasons := judge(results)
	return verdict{Allow: allow, Reasons: reasons}, nil
}
