package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/rego"
)

// Decision is the answer of a policy. Its zero value denies.
type Decision struct {
	Allow   bool     `json:"allow"`
	Reasons []Reason `json:"reasons"` // why not; empty when allowed
	Policy  string   `json:"policy"`  // digest of the policy's source
	Facts   string   `json:"facts"`   // digest of the canonical facts
}

// Reason is one thing against a promotion, and what would satisfy it.
type Reason struct {
	Rule    string `json:"rule"`
	Message string `json:"message"`
	Fix     string `json:"fix"`
}

func (r Reason) String() string {
	if r.Fix == "" {
		return r.Message
	}
	return r.Message + ": " + r.Fix
}

// Bounds on what a policy can make us store and print.
const (
	maxReasons = 100
	maxText    = 2000 // bytes of each part of a reason
)

// judge reads the result of query: anything but allow = true with an empty deny
// is a denial.
func judge(results rego.ResultSet) (allow bool, reasons []Reason) {
	if len(results) != 1 {
		return false, []Reason{broken("the policy has no result")}
	}
	pkg, _ := results[0].Bindings["x"].(map[string]any)
	denied, ok := pkg["deny"].([]any)
	if !ok || len(denied) > 1 {
		return false, []Reason{broken("the policy's deny cannot be read")}
	}
	if len(denied) == 1 {
		reasons, err := readReasons(denied[0])
		if err != nil {
			return false, []Reason{broken(err.Error())}
		}
		if len(reasons) > 0 {
			return false, reasons
		}
	}
	allowed, _ := pkg["allow"].([]any)
	if len(allowed) != 1 {
		return false, []Reason{broken("the policy leaves allow undefined in package kiln")}
	}
	switch v := allowed[0].(type) {
	case bool:
		if v {
			return true, nil
		}
		return false, []Reason{{Rule: "allow", Message: "the policy does not allow it and gives no reason", Fix: "read the policy; let its deny rules say why"}}
	default:
		return false, []Reason{broken(fmt.Sprintf("the policy's allow is no boolean but %T", v))}
	}
}

func broken(message string) Reason {
	return Reason{Rule: "policy", Message: message, Fix: "correct the policy: allow must be a boolean in package kiln"}
}

// readReasons reads deny: a list (Rego sets arrive so) of objects or strings.
func readReasons(deny any) ([]Reason, error) {
	list, ok := deny.([]any)
	if !ok {
		return nil, fmt.Errorf("the policy's deny is no set but %T", deny)
	}
	reasons := make([]Reason, 0, min(len(list), maxReasons))
	for _, item := range list {
		if len(reasons) == maxReasons {
			break
		}
		r, err := readReason(item)
		if err != nil {
			return nil, err
		}
		reasons = append(reasons, r)
	}
	slices.SortFunc(reasons, func(a, b Reason) int {
		return strings.Compare(a.Rule+"\x00"+a.Message, b.Rule+"\x00"+b.Message)
	})
	return reasons, nil
}

func readReason(item any) (Reason, error) {
	if text, ok := item.(string); ok {
		return Reason{Rule: "deny", Message: clip(text)}, nil
	}
	raw, err := json.Marshal(item)
	if err != nil {
		return Reason{}, fmt.Errorf("a reason of the policy: %w", err)
	}
	var r Reason
	if err := json.Unmarshal(raw, &r); err != nil || r.Message == "" {
		return Reason{}, fmt.Errorf("a reason of the policy is neither a string nor {rule, message, fix}: %.120s", raw)
	}
	return Reason{Rule: clip(r.Rule), Message: clip(r.Message), Fix: clip(r.Fix)}, nil
}

// clip shortens a text that is longer than maxText.
func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "…"
}
