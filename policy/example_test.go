package policy_test

import (
	"context"
	"fmt"
	"time"

	"kiln/policy"
)

func ExamplePolicy_Evaluate() {
	p, err := policy.Load(map[string][]byte{"freeze.rego": []byte(`
package kiln

allow := true

deny contains {"rule": "freeze", "message": "prod is frozen in December", "fix": "wait for January"} if {
	input.channel == "prod"
	time.date(time.parse_rfc3339_ns(input.now))[1] == 12
}
`)})
	if err != nil {
		fmt.Println(err)
		return
	}
	d, err := p.Evaluate(context.Background(), policy.Facts{
		Channel: "prod",
		Now:     time.Date(2026, 12, 24, 12, 0, 0, 0, time.UTC),
	})
	fmt.Println(d.Allow, d.Reasons, err)
	// Output: false [prod is frozen in December: wait for January] <nil>
}
