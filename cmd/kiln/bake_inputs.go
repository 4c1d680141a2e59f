package main

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"

	"kiln/bake"
	"kiln/bake/template"
	"kiln/policy/secrets"
)

// loadTemplate reads the template at path with the variables of the command
// line and the environment.
func (a *app) loadTemplate(ctx context.Context, path string, vars []string) (*template.Recipe, error) {
	values := map[string]string{}
	for _, v := range vars {
		name, value, ok := strings.Cut(v, "=")
		if !ok || name == "" {
			return nil, usagef("--var %s: want name=value", v)
		}
		values[name] = value
	}
	dir := path
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		dir = filepath.Dir(path)
	}
	recipe, err := template.Load(path, template.Options{
		Vars: values, Env: a.getenv,
		Git:   func() string { return bake.ReadRevision(ctx, dir, nil).Commit },
		Rules: secrets.RuleNames,
	})
	var bad *template.Error
	switch {
	case errors.As(err, &bad) && bad.Options():
		return nil, usagef("%v", err)
	case bad == nil && errors.Is(err, fs.ErrNotExist):
		return nil, withHint(exitNotFound, err, "kiln init "+path+" writes a template to start from")
	}
	return recipe, err
}

// readLock reads the lock beside a template; nil if there is none.
func readLock(dir string) (*template.Lock, error) {
	lock, err := template.ReadLock(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return lock, err
}

// readsOf lists the files that the bake reads, by absolute path.
func readsOf(recipe *template.Recipe) ([]string, error) {
	files, err := recipe.ReadFiles()
	if err != nil {
		return nil, err
	}
	dir, err := filepath.EvalSymlinks(recipe.Dir)
	if err != nil {
		return nil, err
	}
	reads := make([]string, len(files))
	for i, f := range files {
		reads[i] = filepath.Join(dir, f)
	}
	return reads, nil
}

// ensureLock writes the lock where it is missing, and refuses one that does
// not cover the template.
func (a *app) ensureLock(ctx context.Context, job *bakeJob) error {
	if job.lock != nil {
		return a.covers(ctx, job)
	}
	if !needsLock(job.recipe) {
		return nil
	}
	lock, err := a.resolveLock(ctx, job.cache, job.backend, job.recipe, nil, false)
	if err != nil {
		return err
	}
	job.lock = lock
	return nil
}

// covers is nil where the lock covers the template. A name that nothing has,
// which kiln lock could not pin either, is told first.
func (a *app) covers(ctx context.Context, job *bakeJob) error {
	err := job.lock.Covers(job.recipe)
	if err == nil {
		return nil
	}
	locker := bake.Locker{Cache: job.cache, Parents: job.backend.registry, Remote: a.remote(ctx)}
	return cmp.Or(locker.Lost(ctx, job.recipe, job.lock), err)
}

func needsLock(recipe *template.Recipe) bool {
	for _, img := range recipe.Images {
		if template.NeedsLock(img) {
			return true
		}
	}
	return false
}

// fileInput describes a file for the provenance.
func fileInput(name, path string) (bake.Input, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return bake.Input{}, err
	}
	return bake.Input{Dependency: bake.Dependency{
		Name: name, URI: filepath.Base(path), Digest: map[string]string{"sha256": digest.FromBytes(data).Encoded()},
	}}, nil
}

// filesRead describes the files that the template's functions and ignore rules
// read, for the provenance.
func filesRead(recipe *template.Recipe) ([]bake.Input, error) {
	names := recipe.Reads
	if _, err := os.Lstat(filepath.Join(recipe.Dir, template.IgnoreFileName)); err == nil {
		names = append(names[:len(names):len(names)], template.IgnoreFileName)
	}
	var list []bake.Input
	for _, name := range names {
		in, err := fileInput("file", filepath.Join(recipe.Dir, name))
		if err != nil {
			return nil, err
		}
		in.URI = filepath.ToSlash(name)
		list = append(list, in)
	}
	return list, nil
}
