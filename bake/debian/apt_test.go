//go:build full

package debian

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// aptChoice matches a line of apt-get --simulate: "Inst name (version …".
var aptChoice = regexp.MustCompile(`(?m)^Inst (\S+) .*?\((\S+)`)

// openHost opens the machine's own archive, into a cache of the test.
func openHost(t *testing.T) *Archive {
	t.Helper()
	sources, err := HostSources("bookworm")
	if err != nil {
		t.Fatal(err)
	}
	a, err := Open(t.Context(), Options{Sources: sources, Cache: Cache{t.TempDir()}, State: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// simulated lists what a program that prints as apt-get --simulate does would
// install, as name=version.
func simulated(t *testing.T, program string, args ...string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
	var list []string
	for _, m := range aptChoice.FindAllStringSubmatch(string(out), -1) {
		list = append(list, m[1]+"="+m[2])
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func compareChoice(t *testing.T, got []Package, want []string) {
	t.Helper()
	have := strings.Fields(chosenOf(got))
	slices.Sort(have)
	if slices.Equal(have, want) && len(want) > 0 {
		return
	}
	for _, p := range want {
		if !slices.Contains(have, p) {
			t.Errorf("missing: %s", p)
		}
	}
	for _, p := range have {
		if !slices.Contains(want, p) {
			t.Errorf("too many: %s", p)
		}
	}
	if len(want) == 0 {
		t.Error("nothing to compare with")
	}
}

// TestResolveAsApt compares our choice with the one of the machine's apt on
// the same archive. The lists have services, alternatives, virtual packages
// and providers that only apt's internal order tells apart.
func TestResolveAsApt(t *testing.T) {
	update := []string{
		"-o", "Dir::State::lists=" + t.TempDir(), "-o", "Dir::State::status=/dev/null", "-o", "Dir::Cache=" + t.TempDir(),
		"-o", "Dir::Cache::pkgcache=pkgcache.bin", "-o", "Dir::Cache::srcpkgcache=srcpkgcache.bin", "-o", "Acquire::GzipIndexes=false",
		"-o", "Acquire::Languages=none",
	}
	if out, err := exec.CommandContext(t.Context(), "apt-get", append(slices.Clone(update), "update")...).CombinedOutput(); err != nil {
		t.Fatalf("apt-get update: %v\n%s", err, out)
	}
	a := openHost(t)
	for _, list := range []string{"nodejs ca-certificates tzdata", "nginx-light", "openjdk-17-jre-headless", "openssh-server", "python3 default-mta"} {
		t.Run(list, func(t *testing.T) {
			names := strings.Fields(list)
			got, err := a.Resolve(t.Context(), Request{Packages: names})
			if err != nil {
				t.Fatal(err)
			}
			args := slices.Concat(update, []string{"-o", "APT::Install-Recommends=false", "-s", "install"}, names)
			compareChoice(t, got, simulated(t, "apt-get", args...))
		})
	}
	t.Run("minbase", func(t *testing.T) {
		got, err := a.Resolve(t.Context(), Request{Variant: "minbase", Packages: []string{"ca-certificates", "tzdata"}})
		if err != nil {
			t.Fatal(err)
		}
		mmdebstrap(t)
		compareChoice(t, got, simulated(t, "mmdebstrap", "--simulate", "--verbose", "--variant=minbase",
			"--include=ca-certificates,tzdata", "bookworm", t.TempDir()+"/root"))
	})
}

// mmdebstrap installs the program where it is missing.
func mmdebstrap(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("mmdebstrap"); err == nil {
		return
	}
	install := "apt-get update && apt-get install -y --no-install-recommends mmdebstrap"
	if out, err := exec.CommandContext(t.Context(), "sh", "-c", install).CombinedOutput(); err != nil {
		t.Fatalf("install mmdebstrap: %v\n%s", err, out)
	}
}

// TestFetchReal fetches from the machine's archive and again from the cache.
func TestFetchReal(t *testing.T) {
	a := openHost(t)
	pkgs, err := a.Resolve(t.Context(), Request{Packages: []string{"ca-certificates"}})
	if err != nil {
		t.Fatal(err)
	}
	sources, err := HostSources("bookworm")
	if err != nil {
		t.Fatal(err)
	}
	cache := Cache{t.TempDir()}
	for _, s := range [][]Source{sources, nil} {
		paths, err := Fetch(t.Context(), pkgs, s, cache, 4)
		if err != nil || len(paths) != len(pkgs) {
			t.Errorf("fetched %d of %d: %v", len(paths), len(pkgs), err)
		}
	}
}
