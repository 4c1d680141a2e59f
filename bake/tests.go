package bake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"kiln/bake/sandbox"
	"kiln/bake/template"
)

// defaultTestTimeout bounds a test that sets none.
const defaultTestTimeout = time.Minute

// maxTestOutput is how much of a command's output is kept to match, in bytes.
const maxTestOutput = 1 << 20

// Test runs the tests of a built image on its own content, before it is
// stored. A test that passed for the same digest is not run again.
func (b *Builder) Test(ctx context.Context, img *Image) error {
	img.Tests = TestReport{Cached: true}
	img.TestsBy = key("tests", testKeys(img.Recipe.Tests))
	for _, t := range img.Recipe.Tests {
		cached := false
		err := b.within(ctx, lightWork, func() (err error) {
			cached, err = b.test(ctx, img, t)
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: image %q: test %q: %w", t.Pos, img.Recipe.Name, t.Name, err)
		}
		img.Tests.Passed = append(img.Tests.Passed, t.Name)
		img.Tests.Cached = img.Tests.Cached && cached
	}
	return nil
}

// testKeys leaves out where a test stands in its file.
func testKeys(tests []template.Test) []template.Test {
	out := append([]template.Test(nil), tests...)
	for i := range out {
		out[i].Pos = template.Pos{}
	}
	return out
}

func (b *Builder) test(ctx context.Context, img *Image, t template.Test) (cached bool, err error) {
	entry := key("test", img.Digest, testKeys([]template.Test{t})) + ".json"
	var passed bool
	if b.cache.load(&passed, "tests", entry) && passed {
		return true, nil
	}
	start := time.Now()
	b.tell(img.Recipe, Event{Type: TestStarted, Step: t.Name})
	spec, done, err := b.testSpec(ctx, img, t)
	if err != nil {
		return false, err
	}
	defer done()
	if t.HTTP != nil {
		err = testHTTP(ctx, spec, *t.HTTP)
	} else {
		err = testCommand(ctx, spec, t)
	}
	if err != nil {
		return false, err
	}
	b.tell(img.Recipe, Event{Type: TestFinished, Step: t.Name, Took: time.Since(start)})
	return false, b.cache.save(true, "tests", entry)
}

// testSpec runs the image as a deployer would: its user, environment and
// folder, its root read-only unless the test asks otherwise.
func (b *Builder) testSpec(ctx context.Context, img *Image, t template.Test) (sandbox.Spec, func(), error) {
	if err := b.executes(img.Recipe); err != nil {
		return sandbox.Spec{}, nil, err
	}
	lowers, err := b.lowers(ctx, img.Image)
	if err != nil {
		return sandbox.Spec{}, nil, err
	}
	config, err := img.Image.ConfigFile()
	if err != nil {
		return sandbox.Spec{}, nil, err
	}
	spec := sandbox.Spec{
		Root: b.root(lowers, "", ""),
		Args: t.Command, Env: mergeEnv(config.Config.Env, t.Env), Dir: config.Config.WorkingDir,
		User: config.Config.User, Network: "none", Tmpfs: scratchDirs,
		Timeout: orDefault(t.Timeout, defaultTestTimeout),
	}
	if t.User != "" {
		spec.User = t.User
	}
	if spec.Args == nil {
		spec.Args = append(append([]string(nil), config.Config.Entrypoint...), config.Config.Cmd...)
	}
	if len(spec.Args) == 0 {
		return spec, nil, errors.New("the image has neither entrypoint nor cmd to start (add config { entrypoint = […] })")
	}
	dir, done, err := b.cache.tempDir("test")
	if err != nil {
		return spec, nil, err
	}
	spec.Root.ReadOnly, spec.Root.Work, spec.Limits = !t.WritableRoot, dir+"/work", limitsOf(dir)
	if t.WritableRoot {
		spec.Root.Upper = dir + "/upper"
	}
	if err := makeDirs(dir+"/upper", spec.Root.Work); err != nil {
		done()
		return spec, nil, err
	}
	return spec, done, nil
}

// testCommand runs a command and holds exit code and output against the test.
func testCommand(ctx context.Context, spec sandbox.Spec, t template.Test) error {
	var stdout, stderr bytes.Buffer
	spec.Stdout, spec.Stderr = &limited{w: &stdout, left: maxTestOutput}, &limited{w: &stderr, left: maxTestOutput}
	err := sandbox.Run(ctx, spec)
	code := 0
	if exit := (*sandbox.ExitError)(nil); errors.As(err, &exit) && exit.Signal == 0 && !exit.TimedOut {
		code = exit.Code
	} else if err != nil {
		return withOutput(err, stdout.Bytes(), stderr.Bytes())
	}
	if code != t.Exit {
		return withOutput(fmt.Errorf("exit code %d, want %d", code, t.Exit), stdout.Bytes(), stderr.Bytes())
	}
	for _, m := range []struct {
		name, pattern string
		got           []byte
	}{{"stdout", t.Stdout, stdout.Bytes()}, {"stderr", t.Stderr, stderr.Bytes()}} {
		if err := match(m.name, m.pattern, m.got); err != nil {
			return err
		}
	}
	return nil
}

func match(what, pattern string, got []byte) error {
	if pattern == "" {
		return nil
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if !re.Match(got) {
		return fmt.Errorf("%s does not match %q; it is %q", what, pattern, clip(got))
	}
	return nil
}

// testHTTP starts the image and asks until the answer is right or the time is
// up.
func testHTTP(ctx context.Context, spec sandbox.Spec, t template.HTTPTest) error {
	out := newTail(io.Discard)
	spec.Stdout, spec.Stderr = out, out
	within := orDefault(t.Within, 10*time.Second)
	spec.Timeout = within + defaultTestTimeout
	proc, err := sandbox.Start(ctx, spec)
	if err != nil {
		return err
	}
	exited := make(chan error, 1)
	go func() { exited <- proc.Wait() }()
	defer proc.Stop()
	deadline, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	client := inside(proc)
	defer client.CloseIdleConnections()
	last := errors.New("no answer")
	for {
		if last = ask(deadline, client, t, last); last == nil {
			return nil
		}
		select {
		case err := <-exited:
			return withOutput(fmt.Errorf("the process ended (%v) before it answered", err), out.bytes(), nil)
		case <-deadline.Done():
			return withOutput(fmt.Errorf("http %s: %w (within %s)", t.Path, last, within), out.bytes(), nil)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// inside is a client that connects in the process's network.
func inside(proc *sandbox.Process) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				return proc.Dial(ctx, network, addr)
			},
			DisableKeepAlives: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// ask makes one request; the error says what was wrong, or stays before when
// the time ran out first.
func ask(ctx context.Context, client *http.Client, t template.HTTPTest, before error) error {
	url := "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(t.Port)) + t.Path
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return before
		}
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxTestOutput))
	if err != nil {
		return err
	}
	if want := orStatus(t.Status); resp.StatusCode != want {
		return fmt.Errorf("status %d, want %d", resp.StatusCode, want)
	}
	return match("body", t.Body, body)
}

func orStatus(s int) int {
	if s == 0 {
		return http.StatusOK
	}
	return s
}
