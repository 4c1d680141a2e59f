//go:build full

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// Processes that bake the same and other things with one cache, which is far
// too small for them, all come to the right end.
func TestCacheIsSharedAndTooSmall(t *testing.T) {
	w := newWorld(t)
	helper := w.path("helper")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", helper, "./testdata/helper")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	w.must(build)
	const bakers, rounds = 3, 4
	for i := range bakers {
		dir := w.mkdir(fmt.Sprint("p", i))
		w.must(exec.Command("cp", helper, filepath.Join(dir, "helper")))
		text := fmt.Sprintf("variable \"round\" {}\nproject = \"acme\"\nimage \"p%d\" {\n  tier = \"base\"\n  copy {\n    source = \"helper\"\n    target = \"/helper\"\n  }\n"+
			"  run {\n    command = [\"/helper\", \"write\", \"/common\", var.round]\n  }\n  run {\n    command = [\"/helper\", \"write\", \"/own\", \"%d\"]\n  }\n"+
			"  test \"writes\" {\n    command = [\"/helper\", \"read\", \"/common\"]\n  }\n}\n", i, i)
		if err := os.WriteFile(filepath.Join(dir, "kiln.hcl"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var mu sync.Mutex
	digests := map[string]string{}
	var all sync.WaitGroup
	for i := range bakers {
		all.Go(func() {
			for round := range rounds {
				store := w.path(fmt.Sprint("store", i, round)) // so that everything is read again
				cmd := w.command([]string{"KILN_CACHE_SIZE=1MiB", "KILN_STORE=" + store},
					"bake", fmt.Sprint("p", i), "--json", "--var", fmt.Sprint("round=", round%2))
				out, err := cmd.Output()
				if err != nil {
					t.Errorf("bake %d of %d: %v\n%s", round, i, err, err.(*exec.ExitError).Stderr)
					return
				}
				name := fmt.Sprint(i, round%2)
				got := w.digests(out)[fmt.Sprint("acme/p", i)]
				mu.Lock()
				if want := digests[name]; want != "" && want != got {
					t.Errorf("%s is %s, it was %s", name, got, want)
				}
				digests[name] = got
				mu.Unlock()
			}
		})
	}
	all.Wait()
	for _, pattern := range []string{"cache/tmp/*", "cache/running/*"} {
		if list, _ := filepath.Glob(w.path(pattern)); len(list) > 0 {
			t.Errorf("left behind: %v", list)
		}
	}
}
