package main

import (
	"context"
	"path/filepath"

	"github.com/spf13/cobra"

	"kiln/bake"
	"kiln/bake/template"
)

func (a *app) lockCommand() *cobra.Command {
	var update bool
	var vars []string
	cmd := &cobra.Command{
		Use:   "lock PATH [--update]",
		Short: "Pin every package and parent of a template in kiln.lock",
		Long: "lock resolves the images whose inputs changed and keeps the others as they are pinned;\n" +
			"--update resolves all of them against the archive of today.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.asRoot(cmd.Context(), func() error { return a.lock(cmd.Context(), args[0], vars, update) })
		},
	}
	cmd.Flags().BoolVar(&update, "update", false, "resolve every image again")
	cmd.Flags().StringArrayVar(&vars, "var", nil, "set a variable, as name=value (repeatable)")
	return cmd
}

func (a *app) lock(ctx context.Context, path string, vars []string, update bool) error {
	recipe, err := a.loadTemplate(ctx, path, vars)
	if err != nil {
		return err
	}
	old, err := readLock(recipe.Dir)
	if err != nil {
		if !update {
			return damagedLock(recipe, err)
		}
		a.say("warning: %v; every image is resolved from nothing", err)
	}
	cache, err := a.openCache()
	if err != nil {
		return err
	}
	defer a.closeCache(cache)
	b, err := a.openIfThere(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	lock, err := a.resolveLock(ctx, cache, b, recipe, old, update)
	if err != nil {
		return err
	}
	return a.printLock(recipe, lock)
}

// damagedLock says how a lock that cannot be read is mended.
func damagedLock(recipe *template.Recipe, err error) error {
	return withHint(exitError, err, "restore it from git, or pin everything anew with kiln lock "+recipe.Dir+" --update")
}

// resolveLock resolves what old does not pin and writes the lock.
func (a *app) resolveLock(ctx context.Context, cache *bake.Cache, b *backend, recipe *template.Recipe, old *template.Lock, update bool) (*template.Lock, error) {
	locker := bake.Locker{Cache: cache, Parents: b.registry, Remote: a.remote(ctx), Refresh: update}
	a.working("resolving packages and parents")
	lock, err := locker.Lock(ctx, recipe, old)
	if err != nil {
		return nil, err
	}
	if err := lock.Write(recipe.Dir); err != nil {
		return nil, err
	}
	a.say("locked %s", filepath.Join(recipe.Dir, template.LockFileName))
	return lock, nil
}

// printLock lists what is pinned.
func (a *app) printLock(recipe *template.Recipe, lock *template.Lock) error {
	type pinned struct {
		Image    string                   `json:"image"`
		Platform string                   `json:"platform"`
		Suite    string                   `json:"suite,omitempty"`
		From     string                   `json:"from_digest,omitempty"`
		Packages []template.LockedPackage `json:"packages"`
	}
	report := struct {
		Schema string   `json:"schema"`
		Images []pinned `json:"images"`
	}{Schema: "kiln.locked/v1", Images: []pinned{}}
	for _, img := range recipe.Images {
		if l, ok := lock.Images[img.LockName()]; ok {
			report.Images = append(report.Images, pinned{img.FullName, img.Platform(), l.Suite, l.FromDigest, l.Packages})
		}
	}
	if a.json {
		return a.printJSON(report)
	}
	rows := [][]string{{"IMAGE", "ARCH", "PACKAGE", "VERSION", "SUITE"}}
	for _, img := range report.Images {
		for _, p := range img.Packages {
			rows = append(rows, []string{img.Image, p.Arch, p.Name, p.Version, p.Suite})
		}
	}
	return a.printTable(rows)
}
