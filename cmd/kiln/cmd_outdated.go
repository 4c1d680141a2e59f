package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"kiln/bake"
)

func (a *app) outdatedCommand() *cobra.Command {
	var vars []string
	var exitCode bool
	cmd := &cobra.Command{
		Use:   "outdated PATH",
		Short: "Show which updates wait for a template: packages, security, parents, commits",
		Long: "outdated resolves the template against the archive, channels and repositories of now, compares that with\n" +
			"kiln.lock, and writes nothing. kiln lock --update takes what it shows.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.asRoot(cmd.Context(), func() error { return a.outdated(cmd.Context(), args[0], vars, exitCode) })
		},
	}
	cmd.Flags().StringArrayVar(&vars, "var", nil, "set a variable, as name=value (repeatable)")
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit 1 if anything is outdated")
	return cmd
}

// outdatedReport is what kiln outdated --json prints.
type outdatedReport struct {
	Schema   string          `json:"schema"`
	Images   []bake.Outdated `json:"images"`   // all that are locked
	Outdated int             `json:"outdated"` // images
	Updates  int             `json:"updates"`  // of packages
	Security int             `json:"security"` // of these
}

func (a *app) outdated(ctx context.Context, path string, vars []string, exitCode bool) error {
	recipe, err := a.loadTemplate(ctx, path, vars)
	if err != nil {
		return err
	}
	lock, err := readLock(recipe.Dir)
	if err != nil {
		return damagedLock(recipe, err)
	}
	r := outdatedReport{Schema: "kiln.outdated/v1", Images: []bake.Outdated{}}
	if needsLock(recipe) {
		if lock == nil {
			return withHint(exitNotFound, fmt.Errorf("%s has no kiln.lock: nothing is pinned yet", recipe.Dir), "kiln lock "+path+" pins what there is now")
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
		a.working("asking the archive")
		locker := bake.Locker{Cache: cache, Parents: b.registry, Remote: a.remote(ctx)}
		if r.Images, err = locker.Outdated(ctx, recipe, lock); err != nil {
			return unreachable(err)
		}
	}
	r.count()
	if err := a.printOutdated(r); err != nil {
		return err
	}
	if exitCode && r.Outdated > 0 {
		return &exited{code: exitError}
	}
	return nil
}

// unreachable says of a failed connection that this command needs it.
func unreachable(err error) error {
	if errors.As(err, new(net.Error)) {
		return withHint(exitCode(err), err, "outdated asks the archive as it is now: it needs the network that kiln lock needs")
	}
	return err
}

func (r *outdatedReport) count() {
	for _, img := range r.Images {
		if img.Any() {
			r.Outdated++
		}
		r.Updates += len(img.Packages)
		for _, p := range img.Packages {
			if p.Security {
				r.Security++
			}
		}
	}
}

func (a *app) printOutdated(r outdatedReport) error {
	if a.json {
		return a.printJSON(r)
	}
	if r.Outdated == 0 {
		_, err := fmt.Fprintln(a.out, "nothing is outdated")
		return err
	}
	rows := [][]string{{"IMAGE", "WHAT", "LOCKED", "NOW", "FROM"}}
	for _, img := range r.Images {
		add := func(what, locked, now, from string) {
			rows = append(rows, []string{img.Image, shown(what), shown(firstOf(locked, "-")), shown(firstOf(now, "-")), shown(from)})
		}
		if img.Stale {
			add("template", "another", "changed", "run kiln lock")
		}
		for _, m := range img.Moved {
			add(m.What+" "+m.Ref, shortDigest(m.Locked), shortDigest(m.Now), "moved")
		}
		for _, p := range img.Packages {
			from := p.Suite
			if p.Security {
				from = "security: " + p.Suite
			}
			add(p.Name+":"+p.Arch, p.Locked, p.Available, from)
		}
		for _, p := range img.Added {
			add(p.Name+":"+p.Arch, "", p.Available, p.Suite)
		}
		for _, p := range img.Removed {
			add(p.Name+":"+p.Arch, p.Locked, "", "")
		}
	}
	if err := a.printTable(rows); err != nil {
		return err
	}
	a.say("%s outdated: %s, %d of them for security", counted(r.Outdated, "image"), counted(r.Updates, "package update"), r.Security)
	return nil
}
