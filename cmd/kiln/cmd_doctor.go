package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"kiln/bake/sandbox"
	"kiln/registry/store/filestore"
)

func (a *app) doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor [--scrub]",
		Short: "Check what this host can do, and every byte that the store holds",
		Long: "doctor says what the host lacks for baking and how to get it, and hashes everything in an\n" +
			"embedded store again. It exits 1 only when baking or the store is broken.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.doctor(cmd.Context()) },
	}
	cmd.Flags().Bool("scrub", true, "hash every blob of an embedded store again, which doctor always does")
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

func (a *app) doctor(ctx context.Context) error {
	var list []diagnosis
	dir, err := a.cacheDir()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, f := range sandbox.Check(ctx, dir) {
		list = append(list, diagnosis{Name: f.Name, OK: f.OK, Fatal: f.Fatal && !f.OK, Detail: f.Detail, Hint: f.Hint})
	}
	store, err := a.examineStore(ctx)
	if err != nil {
		return err
	}
	list = append(list, store...)
	if err := a.printDiagnoses(list); err != nil {
		return err
	}
	for _, d := range list {
		if d.Fatal {
			return errors.New("something is broken: see above")
		}
	}
	return nil
}

// examineStore hashes an embedded store again; a server has its own doctor.
func (a *app) examineStore(ctx context.Context) ([]diagnosis, error) {
	b, err := a.open(ctx, access{})
	if exitCode(err) == exitNotFound && err != nil {
		return []diagnosis{{Name: "store", OK: true, Detail: "none yet"}}, nil
	}
	if err != nil {
		return []diagnosis{{Name: "store", Fatal: true, Detail: err.Error()}}, nil
	}
	defer b.Close()
	if b.content == nil {
		return []diagnosis{{Name: "store", OK: true, Detail: "a server: run kiln doctor beside it to hash what it holds"}}, nil
	}
	if err := filestore.Check(b.dir); err != nil {
		return []diagnosis{{Name: "store", Fatal: true, Detail: err.Error(), Hint: "keep the store on a local file system"}}, nil
	}
	problems, err := b.content.Scrub(ctx)
	if err != nil {
		return nil, err
	}
	if len(problems) == 0 {
		return []diagnosis{{Name: "store", OK: true, Detail: b.dir + ": every blob hashed again"}}, nil
	}
	var list []diagnosis
	for _, p := range problems {
		list = append(list, diagnosis{Name: "store", Fatal: true, Detail: fmt.Sprintf("%s %s: %v", p.Image, p.Digest, p.Err), Hint: "restore it from a backup, or bake it again"})
	}
	return list, nil
}

func (a *app) printDiagnoses(list []diagnosis) error {
	if a.json {
		return a.printJSON(struct {
			Schema string      `json:"schema"`
			Checks []diagnosis `json:"checks"`
		}{"kiln.doctor/v1", list})
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
