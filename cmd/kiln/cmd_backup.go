package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"kiln/registry/store/backup"
	"kiln/registry/store/filestore"
	"kiln/registry/store/s3store"

	"github.com/opencontainers/go-digest"
)

func (a *app) backupCommand() *cobra.Command {
	restore := false
	cmd := &cobra.Command{
		Use:   "backup DEST | backup --restore SRC",
		Short: "Copy a store that is in use, and restore it elsewhere",
		Long: "backup copies an embedded store while others push, promote and collect: to a FILE.tar that\n" +
			"does not exist, to - (stdout), or to a folder or s3://BUCKET/PREFIX, which the next backup\n" +
			"brings up to date. Every blob is checked against its digest on the way.\n\n" +
			"backup --restore makes the empty folder or bucket that --store names the store that was\n" +
			"backed up; until all of it is checked and written it is no store. The store keeps its id,\n" +
			"so that what was signed stays valid: never let two stores with one id take promotions, or\n" +
			"deployers see two histories. Keys are in no store and in no backup: keep them yourself.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			location, err := a.embeddedLocation()
			if err != nil {
				return err
			}
			if restore {
				return a.restore(cmd.Context(), args[0], location)
			}
			return a.backup(cmd.Context(), location, args[0])
		},
	}
	cmd.Flags().BoolVar(&restore, "restore", false, "restore the backup SRC into --store, which must be empty")
	return cmd
}

// embeddedLocation is the folder or bucket that --store names.
func (a *app) embeddedLocation() (string, error) {
	switch {
	case strings.HasPrefix(a.store, "http://"), strings.HasPrefix(a.store, "https://"):
		return "", usagef("--store %s: a server's store is backed up beside it, by its folder or bucket", a.store)
	case a.store == "":
		return a.dataDir()
	}
	return a.store, nil
}

func (a *app) backup(ctx context.Context, location, dest string) error {
	st, err := a.openStorage(ctx, location, false)
	if err != nil {
		return err
	}
	defer st.Close()
	from := backup.Place{Objects: st.Store, Pointers: st.Pointers}
	a.working("backing up %s", location)
	var report backup.Report
	switch {
	case dest == "-":
		report, err = backup.Write(ctx, from, a.out)
	case strings.HasSuffix(dest, ".tar"):
		report, err = writeFile(ctx, from, dest)
	default:
		report, err = a.mirror(ctx, from, location, dest)
	}
	if err != nil {
		return backupError(err)
	}
	return a.reportBackup(report, fmt.Sprintf("backed up %s to %s", location, dest), dest == "-")
}

// writeFile writes a tar that has its name only when it is whole and durable.
func writeFile(ctx context.Context, from backup.Place, dest string) (report backup.Report, err error) {
	if _, err := os.Lstat(dest); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = fmt.Errorf("%s exists, and backups are never overwritten", dest)
		}
		return report, err
	}
	part := dest + ".part"
	f, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return report, err
	}
	report, err = backup.Write(ctx, from, f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(part, dest)
	}
	if err != nil {
		return report, errors.Join(err, os.Remove(part))
	}
	dir, err := os.Open(filepath.Dir(dest))
	if err != nil {
		return report, err
	}
	return report, errors.Join(dir.Sync(), dir.Close())
}

func (a *app) mirror(ctx context.Context, from backup.Place, location, dest string) (backup.Report, error) {
	if inside(location, dest) || inside(dest, location) {
		return backup.Report{}, usagef("%s and %s lie within each other", location, dest)
	}
	to, err := openPlace(ctx, dest, true)
	if err != nil {
		return backup.Report{}, err
	}
	defer to.Close()
	return backup.Mirror(ctx, from, backup.Place{Objects: to.Store, Pointers: to.Pointers})
}

// inside tells whether a folder is another, or lies in it.
func inside(parent, dir string) bool {
	if inBucket(parent) || inBucket(dir) {
		return parent == dir
	}
	parent, parentErr := filepath.Abs(parent)
	dir, dirErr := filepath.Abs(dir)
	if parentErr != nil || dirErr != nil {
		return false
	}
	rel, err := filepath.Rel(parent, dir)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// openPlace opens where a backup is or may be: not yet a store.
func openPlace(ctx context.Context, location string, create bool) (storage, error) {
	switch {
	case inBucket(location):
		return openBucket(ctx, location, s3store.Options{Bare: true})
	case strings.Contains(location, "://"):
		return storage{}, usagef("%s: want a FILE.tar, a folder or s3://BUCKET/PREFIX", location)
	}
	files, err := filestore.Open(ctx, location, filestore.Options{Create: create, Bare: true})
	if err != nil {
		return storage{}, err
	}
	return folder(files, location), nil
}

func (a *app) restore(ctx context.Context, source, location string) error {
	st, err := openPlace(ctx, location, true)
	if err != nil {
		return err
	}
	defer st.Close()
	to := backup.Place{Objects: st.Store, Pointers: st.Pointers}
	a.working("restoring %s", source)
	report, err := a.readBackup(ctx, source, to)
	if err != nil {
		return backupError(err)
	}
	return a.reportBackup(report, fmt.Sprintf("restored %s to %s", source, location), false)
}

func (a *app) readBackup(ctx context.Context, source string, to backup.Place) (backup.Report, error) {
	if source == "-" {
		return backup.Read(ctx, a.in, to)
	}
	if info, err := os.Stat(source); !inBucket(source) && (err != nil || !info.IsDir()) {
		if err != nil {
			return backup.Report{}, err
		}
		f, err := os.Open(source)
		if err != nil {
			return backup.Report{}, err
		}
		defer f.Close()
		return backup.Read(ctx, f, to)
	}
	from, err := openPlace(ctx, source, false)
	if err != nil {
		return backup.Report{}, err
	}
	defer from.Close()
	return backup.Restore(ctx, backup.Place{Objects: from.Store, Pointers: from.Pointers}, to)
}

func backupError(err error) error {
	switch {
	case errors.Is(err, backup.ErrDamaged):
		return withHint(exitUnverified, err, "nothing of it is in use; take another backup")
	case errors.Is(err, backup.ErrTaken):
		return withHint(exitError, err, "name an empty place, or the backup of the same store",
			"to mend a store: kiln doctor --scrub it, restore this to an empty place, kiln serve that, and kiln copy from it what is damaged")
	}
	return err
}

// reportBackup says what was copied. Beside a tar on stdout it is talk.
func (a *app) reportBackup(r backup.Report, done string, toStdout bool) error {
	damaged := r.Damaged
	if damaged == nil {
		damaged = []digest.Digest{}
	}
	var out io.Writer = a.out
	if toStdout {
		out = a.err
	}
	var err error
	switch {
	case a.json && !toStdout:
		err = a.printJSON(struct {
			Schema   string          `json:"schema"`
			StoreID  string          `json:"store_id"`
			Objects  int             `json:"objects"`
			Pointers int             `json:"pointers"`
			Bytes    int64           `json:"bytes"`
			Damaged  []digest.Digest `json:"damaged"`
		}{"kiln.backup/v1", r.StoreID, r.Objects, r.Pointers, r.Bytes, damaged})
	default:
		_, err = fmt.Fprintf(out, "%s: store %s, %d objects copied (%d bytes), %d pointers\n", done, r.StoreID, r.Objects, r.Bytes, r.Pointers)
	}
	if err == nil && len(damaged) > 0 {
		err = withHint(exitError, fmt.Errorf("%d blobs are damaged and not in it: %v", len(damaged), damaged), "kiln doctor --scrub says who needs them; push them again")
	}
	return err
}
