package policy

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	Init()
	os.Exit(m.Run())
}

// bombs are policies that would take memory without end.
var bombs = map[string]string{
	"strings that double": "package kiln\n" + doubling(40, `s0 := "0123456789"`, "concat(\"\", [%, %])") + "allow if count(s40) > 0\n",
	"numbers that square": "package kiln\n" + doubling(40, "s0 := 12345678901234567890", "% * %") + "allow if s40 > 0\n",
	"lists that double":   "package kiln\n" + doubling(40, "s0 := [1, 2, 3]", "array.concat(%, %)") + "allow if count(s40) > 0\n",
	"a set without end":   strings.Replace(endless, "allow if {", "allow if count(all) > 0\nall contains [a, b, c, e, f, g, h, i, j] if {", 1),
	"wide formats":        "package kiln\nallow if count(sprintf(\"" + strings.Repeat("%999999d", 2000) + "\", [" + strings.Repeat("1,", 1999) + "1])) > 0\n",
	"a giant exponent":    "package kiln\nallow if to_number(\"1e999999999\") + 1 > 0\n",
}

func doubling(n int, first, next string) string {
	var b strings.Builder
	b.WriteString(first + "\n")
	last := "s0"
	for i := 1; i <= n; i++ {
		name := "s" + string(rune('0'+i/10)) + string(rune('0'+i%10))
		b.WriteString(name + " := " + strings.ReplaceAll(next, "%", last) + "\n")
		last = name
	}
	return strings.ReplaceAll(b.String(), "s"+string(rune('0'+n/10))+string(rune('0'+n%10))+" :=", "s40 :=")
}

// FAULTS 36: memory is bounded, however long it may take.
func TestIsolatedMemory(t *testing.T) {
	p, err := Load(map[string][]byte{"p.rego": []byte(bombs["strings that double"])})
	if err != nil {
		t.Fatal(err)
	}
	p = p.Isolated()
	p.timeout = time.Minute
	d, err := p.Evaluate(t.Context(), good())
	if d.Allow || err == nil || !strings.Contains(d.Reasons[0].Message, "it needed more than 512 MiB of memory") {
		t.Fatalf("decision %+v, error %v", d, err)
	}
}

// FAULTS 36: time is bounded, whatever it does, and the process is gone then.
func TestIsolated(t *testing.T) {
	for name, source := range bombs {
		t.Run(name, func(t *testing.T) {
			p, err := Load(map[string][]byte{"p.rego": []byte(source)})
			if err != nil {
				t.Fatal(err)
			}
			p = p.Isolated()
			p.timeout = 500 * time.Millisecond
			start := time.Now()
			d, err := p.Evaluate(t.Context(), good())
			if d.Allow || err == nil {
				t.Fatalf("decision %+v, error %v", d, err)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// FAULTS 36: many promotions at once do not start as many processes.
func TestIsolatedTakeTurns(t *testing.T) {
	p, err := Load(map[string][]byte{"p.rego": []byte(endless)})
	if err != nil {
		t.Fatal(err)
	}
	p = p.Isolated()
	p.timeout = 300 * time.Millisecond
	start := time.Now()
	var all sync.WaitGroup
	for range MaxApart + 1 {
		all.Go(func() {
			if d, err := p.Evaluate(t.Context(), good()); d.Allow || err == nil {
				t.Errorf("decision %+v, error %v", d, err)
			}
		})
	}
	all.Wait()
	if took := time.Since(start); took < 2*p.timeout {
		t.Errorf("%d that take %v each took %v together", MaxApart+1, p.timeout, took)
	}
	// Who waits can be called off.
	for range MaxApart {
		p.apart <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if d, err := p.Evaluate(ctx, good()); d.Allow || !errors.Is(err, context.Canceled) {
		t.Errorf("decision %+v, error %v", d, err)
	}
}
