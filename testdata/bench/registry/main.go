// Command registry times kiln serve beside distribution's registry, with nginx
// as the limit for pulls and a plain write as the limit for pushes: all on one
// machine in one run, over loopback, in turns, so that what else the machine
// does hits each alike. It prints a Markdown table of medians.
//
// Its clients are cheap: raw HTTP over connections that stay open, bytes that
// were hashed before the clock starts. See registry.sh, which builds the peers.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
)

// options are the flags.
type options struct {
	kiln, distribution, nginx string // programs
	dir                       string // on the disk that is measured
	rounds                    int
	only                      *regexp.Regexp
}

func main() {
	var o options
	only := ""
	flag.StringVar(&o.kiln, "kiln", "", "kiln program")
	flag.StringVar(&o.distribution, "distribution", "", "distribution's registry program")
	flag.StringVar(&o.nginx, "nginx", "", "nginx program")
	flag.StringVar(&o.dir, "dir", "", "empty folder on the disk to measure")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds; the table has their medians")
	flag.StringVar(&only, "only", "", "only the rows that match this regular expression")
	flag.Parse()
	o.only = regexp.MustCompile(only)
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	t := newTable(o.only)
	peers := &peers{o: o}
	defer peers.stop()
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	go func() {
		<-interrupted
		peers.stop()
		os.Exit(1)
	}()
	for round := range o.rounds {
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, o.rounds)
		dir := filepath.Join(o.dir, fmt.Sprint("round", round))
		if err := oneRound(t, peers, dir); err != nil {
			return err
		}
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	if t.wants(rowTags) || t.wants(rowStart) {
		if err := large(t, peers, filepath.Join(o.dir, "large"), o.rounds); err != nil {
			return err
		}
	}
	fmt.Print(t.markdown())
	return nil
}

// oneRound runs every row against fresh servers.
func oneRound(t *table, p *peers, dir string) error {
	if err := p.start(dir); err != nil {
		return err
	}
	defer p.stop()
	for _, step := range []func(*table, *peers, string) error{plainWrites, pushes, pulls, manifests} {
		if err := step(t, p, dir); err != nil {
			return err
		}
	}
	for _, s := range p.registries() {
		mib, err := s.peakMemory()
		if err != nil {
			return err
		}
		t.add(rowMemory, s.name, mib)
	}
	return nil
}

// lastLines of a log, for an error.
func lastLines(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}
