package policy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// Isolated is the same policy, evaluated in a process of its own with hard
// limits on memory, processor time and open files: whatever the policy does, it
// ends within Timeout and MaxMemory, and what it breaks is that process.
// Policies that are made of nothing but what this package embeds stay here.
//
// Of one policy at most MaxApart are evaluated at once, whatever is asked for
// meanwhile; others wait their turn, which does not count to their time.
//
// The process is this program again; its main calls Init before all else.
func (p *Policy) Isolated() *Policy {
	if p == nil || p.builtIn {
		return p
	}
	apart := *p
	apart.apart = make(chan struct{}, MaxApart)
	return &apart
}

// MaxApart bounds the processes of one isolated policy; each may take MaxMemory.
const MaxApart = 4

// enter waits until one more process may run, and returns what ends its turn.
func (p *Policy) enter(ctx context.Context) (leave func(), err error) {
	if p.apart == nil {
		return func() {}, nil
	}
	select {
	case p.apart <- struct{}{}:
		return func() { <-p.apart }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// order is what the process is asked, on its standard input.
type order struct {
	Files   map[string][]byte `json:"files"`
	Facts   []byte            `json:"facts"`
	Timeout time.Duration     `json:"timeout"`
}

// outcome is what it answers, on its standard output.
type outcome struct {
	Verdict verdict `json:"verdict"`
	Error   string  `json:"error"`
}

// maxOutcome bounds an answer, in bytes: maxReasons of three escaped maxText.
const maxOutcome = 4 << 20

func (p *Policy) evaluateApart(ctx context.Context, text []byte) (verdict, error) {
	in, err := json.Marshal(order{Files: p.files, Facts: text, Timeout: p.timeout})
	if err != nil {
		return verdict{}, err
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args, cmd.Env, cmd.Dir, cmd.WaitDelay = []string{processName}, []string{"GOMAXPROCS=2"}, "/", time.Second
	cmd.Stdin = bytes.NewReader(in)
	out, errs := &atMost{n: maxOutcome}, &atMost{n: 4096}
	cmd.Stdout, cmd.Stderr = out, errs
	if err := cmd.Run(); err != nil {
		return verdict{}, died(ctx, err, errs.Bytes())
	}
	var o outcome
	if err := json.Unmarshal(out.Bytes(), &o); err != nil {
		return verdict{}, fmt.Errorf("the process that evaluates it gave no answer: %w", err)
	}
	if o.Error != "" {
		return verdict{}, errors.New(o.Error)
	}
	return o.Verdict, nil
}

// died says why the process ended without an answer.
func died(ctx context.Context, err error, stderr []byte) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case bytes.Contains(stderr, []byte("out of memory")), bytes.Contains(stderr, []byte("cannot allocate memory")),
		bytes.Contains(stderr, []byte("pthread_create failed")):
		return fmt.Errorf("it needed more than %d MiB of memory", MaxMemory>>20)
	case bytes.Contains(stderr, []byte("stack exceeds")):
		return errors.New("it recursed too deep")
	}
	line, _, _ := bytes.Cut(stderr, []byte("\n"))
	return fmt.Errorf("the process that evaluates it ended: %w: %s", err, line)
}

// atMost keeps the first n bytes and takes the rest.
type atMost struct {
	bytes.Buffer
	n int
}

func (b *atMost) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), b.n-b.Len())])
	return len(p), nil
}

// Init must be the first thing that a program's main does: where the program
// was started to evaluate an isolated policy, it does so and ends it.
func Init() {
	if len(os.Args) != 1 || os.Args[0] != processName {
		return
	}
	if err := serveOrder(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serveOrder evaluates one order. Once it is read no file can be opened and no
// connection made.
func serveOrder(in io.Reader, out io.Writer) error {
	text, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	if err := confine(); err != nil {
		return fmt.Errorf("limits: %w", err)
	}
	var o order
	if err := json.Unmarshal(text, &o); err != nil {
		return err
	}
	v, err := o.evaluate()
	answer := outcome{Verdict: v}
	if err != nil {
		answer = outcome{Error: clip(err.Error())}
	}
	return json.NewEncoder(out).Encode(answer)
}

func (o order) evaluate() (verdict, error) {
	p, err := Load(o.Files)
	if err != nil {
		return verdict{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.Timeout)
	defer cancel()
	input, now, err := readDocument(o.Facts)
	if err != nil {
		return verdict{}, err
	}
	query, err := p.compile()
	if err != nil {
		return verdict{}, err
	}
	return evaluate(ctx, query, input, now)
}
