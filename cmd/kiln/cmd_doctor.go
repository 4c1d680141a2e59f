package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"kiln/bake/sandbox"
	"kiln/registry/contentstore"
	"kiln/registry/store/filestore"
)

// doctorOptions are the flags of kiln doctor.
type doctorOptions struct {
	scrub  bool
	dryRun bool
	rate   string
}

func (a *app) doctorCommand() *cobra.Command {
	var o doctorOptions
	cmd := &cobra.Command{
		Use:   "doctor [--scrub [--dry-run] [--scrub-rate BYTES]]",
		Short: "Check what this host can do, and with --scrub every byte that the store holds",
		Long: "doctor says what the host lacks for baking and how to get it, and whether the store opens.\n\n" +
			"With --scrub it also hashes every blob of an embedded store again and compares links and\n" +
			"indexes with what they were made from, while others push, pull and collect. A damaged blob\n" +
			"is moved to quarantine/DIGEST/ in the store, with the reason: it is no longer served, and\n" +
			"the next push of it heals the store. Lost links and indexes are made again. --dry-run only\n" +
			"says what is wrong. It exits 1 only when baking or the store is broken and stays so.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.doctor(cmd.Context(), o) },
	}
	cmd.Flags().BoolVar(&o.scrub, "scrub", false, "hash every blob of an embedded store again, quarantine and repair")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "with --scrub: change nothing")
	cmd.Flags().StringVar(&o.rate, "scrub-rate", "", "with --scrub: bytes to hash per second at most, such as 100MiB")
	return cmd
}

// diagnosis is one line of doctor.
type diagnosis struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Fatal  bool   `json:"fatal"`
	Detail string `json:"detail,omitempty"`
	Hint   string `json:"hint,omitempty"`
}

func (a *app) doctor(ctx context.Context, o doctorOptions) error {
	if !o.scrub && (o.dryRun || o.rate != "") {
		return usagef("--dry-run and --scrub-rate say how to --scrub")
	}
	rate, err := o.scrubRate()
	if err != nil {
		return err
	}
	var list []diagnosis
	dir, err := a.cacheDir()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, f := range sandbox.Check(ctx, dir) {
		if f.Name == "overlay" && a.getenv("KILN_OVERLAY") == "off" {
			f.OK, f.Detail, f.Hint = false, "layers are copied, which is slower: KILN_OVERLAY is off", "unset KILN_OVERLAY"
		}
		list = append(list, diagnosis{Name: f.Name, OK: f.OK, Fatal: f.Fatal && !f.OK, Detail: f.Detail, Hint: f.Hint})
	}
	list = append(list, a.examineCache())
	store, scrub, err := a.examineStore(ctx, o, rate)
	if err != nil {
		return err
	}
	list = append(list, store...)
	if err := a.printDiagnoses(list, scrub); err != nil {
		return err
	}
	for _, d := range list {
		if d.Fatal {
			return errors.New("something is broken: see above")
		}
	}
	return nil
}

// scrubRate is --scrub-rate in bytes per second; 0 is as fast as it goes.
func (o doctorOptions) scrubRate() (int64, error) {
	if o.rate == "" {
		return 0, nil
	}
	n, err := parseSize(o.rate)
	if err == nil && n == 0 {
		err = errors.New("nothing would be hashed")
	}
	if err != nil {
		return 0, usagef("--scrub-rate: %v", err)
	}
	return n, nil
}

// examineStore opens the store and scrubs it if asked to; a server has its own
// doctor.
func (a *app) examineStore(ctx context.Context, o doctorOptions, rate int64) ([]diagnosis, *scrubReport, error) {
	one := func(d diagnosis) []diagnosis { d.Name = "store"; return []diagnosis{d} }
	b, err := a.open(ctx, purpose{})
	if exitCode(err) == exitNotFound && err != nil {
		return one(diagnosis{OK: true, Detail: "none yet"}), nil, nil
	}
	if err != nil {
		return one(diagnosis{Fatal: true, Detail: err.Error()}), nil, nil
	}
	defer b.Close()
	if b.content == nil {
		detail := "a server"
		if o.scrub {
			detail = "a server: run kiln doctor --scrub beside it, on its own store, to hash what it holds"
		}
		return one(diagnosis{OK: true, Detail: detail}), nil, nil
	}
	if b.dir != "" {
		if err := filestore.Check(b.dir); err != nil {
			return one(diagnosis{Fatal: true, Detail: err.Error(), Hint: "keep the store on a local file system, or use s3://"}), nil, nil
		}
	}
	if !o.scrub {
		return one(diagnosis{OK: true, Detail: b.storage.location + ": opens (--scrub hashes what it holds)"}), nil, nil
	}
	return a.scrubStore(ctx, b, o, rate)
}

// niceness is what a scrub runs at: whoever serves comes first.
const niceness = 10

func (a *app) scrubStore(ctx context.Context, b *backend, o doctorOptions, rate int64) ([]diagnosis, *scrubReport, error) {
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, niceness) // without it it is only less polite
	a.working("hashing every blob of %s", b.storage.location)
	out, err := b.content.Scrub(ctx, contentstore.ScrubOptions{Repair: !o.dryRun, Rate: rate})
	if err != nil {
		return nil, nil, fmt.Errorf("scrub %s: %w", b.storage.location, err)
	}
	ledgers, err := b.reindex(ctx, o.dryRun)
	if err != nil {
		return nil, nil, fmt.Errorf("scrub %s: %w", b.storage.location, err)
	}
	out.Problems = append(out.Problems, ledgers...)
	report := newScrubReport(out, !o.dryRun)
	return report.diagnoses(b.storage.location), report, nil
}

func (a *app) printDiagnoses(list []diagnosis, scrub *scrubReport) error {
	if a.json {
		return a.printJSON(struct {
			Schema string       `json:"schema"`
			Checks []diagnosis  `json:"checks"`
			Scrub  *scrubReport `json:"scrub,omitempty"`
		}{"kiln.doctor/v1", list, scrub})
	}
	rows := [][]string{}
	for _, d := range list {
		state := "ok"
		switch {
		case d.Fatal:
			state = "BROKEN"
		case !d.OK:
			state = "missing"
		}
		rows = append(rows, []string{state, d.Name, d.Detail})
		if d.Hint != "" {
			rows = append(rows, []string{"", "", "-> " + d.Hint})
		}
	}
	return a.printTable(rows)
}
