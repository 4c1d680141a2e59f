package filestore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"kiln/registry/store"
	"kiln/registry/store/storetest"
)

// childEnv tells the test binary to be one of several processes of a test:
// "job dir" with a job of the table children.
const childEnv = "FILESTORE_TEST_CHILD"

var children = map[string]func(ctx context.Context, s *Store) error{
	"increment": func(ctx context.Context, s *Store) error {
		return storetest.Increment(ctx, s.Pointers(), "counter", perChild)
	},
	"create": func(ctx context.Context, s *Store) error {
		_, err := s.Pointers().Swap(ctx, store.Absent("race"), []byte(strconv.Itoa(os.Getpid())))
		if errors.Is(err, store.ErrConflict) {
			return nil
		}
		fmt.Println("won", os.Getpid())
		return err
	},
	"churn": churn,
}

const (
	processes = 4
	perChild  = 50
)

func TestMain(m *testing.M) {
	job, dir, ok := strings.Cut(os.Getenv(childEnv), " ")
	if !ok {
		os.Exit(m.Run())
	}
	ctx := context.Background()
	s, err := Open(ctx, dir, Options{Create: true})
	if err == nil {
		err = children[job](ctx, s)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func child(t *testing.T, job, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+job+" "+dir)
	cmd.Stderr = os.Stderr
	return cmd
}

// runChildren runs a job in several processes at once and returns what they said.
func runChildren(t *testing.T, job, dir string) string {
	t.Helper()
	var said strings.Builder
	var cmds []*exec.Cmd
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	for range processes {
		cmd := child(t, job, dir)
		cmd.Stdout = w
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		cmds = append(cmds, cmd)
	}
	w.Close()
	if _, err := io.Copy(&said, r); err != nil {
		t.Fatal(err)
	}
	for _, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	return said.String()
}

func TestProcessesIncrement(t *testing.T) {
	dir := t.TempDir()
	runChildren(t, "increment", dir)
	got, err := mustOpen(t, dir).Pointers().Load(t.Context(), "counter")
	if err != nil || string(got.Value) != strconv.Itoa(processes*perChild) {
		t.Errorf("counter is %q, %v, want %d", got.Value, err, processes*perChild)
	}
}

func TestProcessesCreate(t *testing.T) {
	for range 5 {
		dir := t.TempDir() // its format too is made by all of them at once
		said := strings.Fields(runChildren(t, "create", dir))
		got, err := mustOpen(t, dir).Pointers().Load(t.Context(), "race")
		if err != nil || len(said) != 2 || said[1] != string(got.Value) {
			t.Errorf("winners %q, pointer %q, %v", said, got.Value, err)
		}
	}
}

// churn writes objects and moves a pointer, and says so after each.
func churn(ctx context.Context, s *Store) error {
	p := s.Pointers()
	for {
		old, err := p.Load(ctx, "head")
		if errors.Is(err, store.ErrNotFound) {
			old, err = store.Absent("head"), nil
		}
		if err != nil {
			return err
		}
		n, _ := strconv.Atoi(string(old.Value))
		n++
		if err := s.Put(ctx, fmt.Sprintf("objects/%d/%d", n%3, n), strings.NewReader(churned(n))); err != nil {
			return err
		}
		switch _, err := p.Swap(ctx, old, []byte(strconv.Itoa(n))); {
		case errors.Is(err, store.ErrConflict):
			continue
		case err != nil:
			return err
		}
		fmt.Println(n)
	}
}

func churned(n int) string { return strings.Repeat(fmt.Sprintf("object %d\n", n), 3000) }

// TestKill kills two writers at random moments, again and again.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	acked := 0
	for range 50 {
		said := make(chan int, 2)
		for range 2 {
			cmd := child(t, "churn", dir)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			go func() {
				said <- lastLine(out, func() {
					time.AfterFunc(rand.N(20*time.Millisecond), func() { cmd.Process.Kill() })
				})
				cmd.Wait()
			}()
		}
		acked = max(acked, <-said, <-said)
	}
	checkChurned(t, dir, acked)
}

// lastLine reads a number from each line; first is called at the first line.
func lastLine(r io.Reader, first func()) int {
	last := 0
	for sc := bufio.NewScanner(r); sc.Scan(); {
		if last == 0 {
			first()
		}
		if n, err := strconv.Atoi(sc.Text()); err == nil {
			last = n
		}
	}
	return last
}

func checkChurned(t *testing.T, dir string, acked int) {
	s := mustOpen(t, dir)
	head, err := s.Pointers().Load(t.Context(), "head")
	if err != nil {
		t.Fatal(err)
	}
	reached, _ := strconv.Atoi(string(head.Value))
	if reached < acked {
		t.Errorf("head is %d, but %d was acknowledged", reached, acked)
	}
	for n := 1; n <= reached; n++ {
		if got, err := read(t, s, fmt.Sprintf("objects/%d/%d", n%3, n)); err != nil || got != churned(n) {
			t.Errorf("object %d has %d bytes, %v", n, len(got), err)
		}
	}
	for info, err := range s.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		n, _ := strconv.Atoi(info.Key[strings.LastIndexByte(info.Key, '/')+1:])
		if info.Size != int64(len(churned(n))) {
			t.Errorf("%s is half", info.Key)
		}
	}
}
