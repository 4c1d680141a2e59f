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

// maxReasons bounds what a policy can make us store and print.
const maxReasons = 100

// judge reads the result of a query for package kiln: anything but allow = true
// with an empty deny is a denial.
func judge(results rego.ResultSet) (allow bool, reasons []Reason) {
	pkg, ok := kilnPackage(results)
	if !ok {
		return false, []Reason{broken("the policy defines nothing in package kiln")}
	}
	reasons, err := readReasons(pkg["deny"])
	if err != nil {
		return false, []Reason{broken(err.Error())}
	}
	if len(reasons) > 0 {
		return false, reasons
	}
	switch v := pkg["allow"].(type) {
	case bool:
		if v {
			return true, nil
		}
		return false, []Reason{{Rule: "allow", Message: "the policy does not allow it and gives no reason", Fix: "read the policy; let its deny rules say why"}}
	case nil:
		return false, []Reason{broken("the policy leaves allow undefined")}
	default:
		return false, []Reason{broken(fmt.Sprintf("the policy's allow is no boolean but %T", v))}
	}
}

func broken(message string) Reason {
	return Reason{Rule: "policy", Message: message, Fix: "correct the policy: allow must be a boolean in package kiln"}
}

func kilnPackage(results rego.ResultSet) (map[string]any, bool) {
	if len(results) != 1 || len(results[0].Expressions) != 1 {
		return nil, false
	}
	pkg, ok := results[0].Expressions[0].Value.(map[string]any)
	return pkg, ok && len(pkg) > 0
}

// readReasons reads deny: a list (Rego sets arrive so) of objects or strings.
func readReasons(deny any) ([]Reason, error) {
	if deny == nil {
		return nil, nil
	}
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
		return Reason{Rule: "deny", Message: text}, nil
	}
	raw, err := json.Marshal(item)
	if err != nil {
		return Reason{}, fmt.Errorf("a reason of the policy: %w", err)
	}
	var r Reason
	if err := json.Unmarshal(raw, &r); err != nil || r.Message == "" {
		return Reason{}, fmt.Errorf("a reason of the policy is neither a string nor {rule, message, fix}: %.120s", raw)
	}
	return r, nil
}
