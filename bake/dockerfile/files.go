package dockerfile

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// copy reads a COPY.
func (e *evaluation) copy(c *instructions.CopyCommand) error {
	step := &Copy{
		Instruction: e.named(c), Owner: c.Chown, Mode: c.Chmod, Link: c.Link, Parents: c.Parents, Exclude: c.ExcludePatterns,
	}
	if c.From != "" {
		var err error
		if step.From, err = e.stage.plan.source(e.stage, e.line, c.From); err != nil {
			return err
		}
	}
	for _, src := range c.SourcePaths {
		if IsURL(src) || IsGit(src) {
			return fmt.Errorf("COPY %s: only ADD takes a URL", src)
		}
	}
	return e.copied(step, c.SourcesAndDest)
}

// add reads an ADD, which besides extracts archives and fetches.
func (e *evaluation) add(c *instructions.AddCommand) error {
	step := &Copy{
		Instruction: e.named(c), Add: true, Owner: c.Chown, Mode: c.Chmod, Link: c.Link, Exclude: c.ExcludePatterns,
		Unpack: true, Checksum: c.Checksum,
	}
	if c.KeepGitDir != nil && *c.KeepGitDir {
		return e.file.wrong(e.line, "leave it out: .git differs from clone to clone", "ADD --keep-git-dir is not supported")
	}
	remote := 0
	for _, src := range c.SourcePaths {
		if IsURL(src) {
			remote++
			step.Unpack = false
			if c.Checksum == "" {
				return e.file.wrong(e.line, "write ADD --checksum=sha256:… "+src+" …", "ADD of a URL needs --checksum: what it holds tomorrow is another thing")
			}
		}
		if IsGit(src) {
			remote++
		}
	}
	if c.Unpack != nil {
		step.Unpack = *c.Unpack
	}
	switch {
	case c.Checksum != "" && len(c.SourcePaths) != 1:
		return fmt.Errorf("--checksum is for one source")
	case c.Checksum != "" && remote == 0:
		return fmt.Errorf("--checksum is for a URL or a git repository")
	case remote > 0 && len(c.SourcePaths)+len(c.SourceContents) > 1:
		return e.file.wrong(e.line, "write one ADD for each", "ADD of a URL together with other sources is not supported")
	}
	return e.copied(step, c.SourcesAndDest)
}

var (
	octal = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^0?[0-7]{1,4}$`)
	})
	owner = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^[^:\s/]+(?::[^:\s/]*)?$`)
	})
)

// copied checks what COPY and ADD have in common, and notes the step.
func (e *evaluation) copied(step *Copy, what instructions.SourcesAndDest) error {
	step.Sources, step.Dest = what.SourcePaths, e.inDir(what.DestPath)
	for _, c := range what.SourceContents {
		step.Contents = append(step.Contents, Inline{Path: c.Path, Data: c.Data})
	}
	switch {
	case step.Mode != "" && !octal().MatchString(step.Mode):
		return e.file.wrong(e.line, "write it in octal, as 0755", "--chmod=%s is not supported", step.Mode)
	case step.Owner != "" && !owner().MatchString(step.Owner):
		return fmt.Errorf("--chown=%s is no user[:group]", step.Owner)
	case step.Link && step.Owner != "" && !numeric(step.Owner):
		return e.file.wrong(e.line, "write numbers, as 10001:10001", "--chown=%s: --link looks at nothing below, where names could be found", step.Owner)
	case len(step.Sources)+len(step.Contents) == 0:
		return fmt.Errorf("there is no source")
	case len(step.Sources)+len(step.Contents) > 1 && !strings.HasSuffix(step.Dest, "/") && step.Dest != "/":
		return fmt.Errorf("several sources go to %s: end it with a slash", what.DestPath)
	}
	e.Steps = append(e.Steps, step)
	return nil
}

// numeric says whether an owner needs no looking up.
func numeric(owner string) bool {
	for _, part := range strings.Split(owner, ":") {
		if _, err := strconv.ParseUint(part, 10, 32); err != nil {
			return false
		}
	}
	return true
}

// IsURL says whether a source of ADD is fetched over HTTP.
func IsURL(src string) bool {
	return (strings.HasPrefix(src, "http://") || strings.HasPrefix(src, "https://")) && !IsGit(src)
}

// IsGit says whether a source of ADD is a git repository.
func IsGit(src string) bool {
	for _, scheme := range []string{"git://", "ssh://", "git@"} {
		if strings.HasPrefix(src, scheme) {
			return true
		}
	}
	if !strings.HasPrefix(src, "http://") && !strings.HasPrefix(src, "https://") {
		return false
	}
	address, _, _ := strings.Cut(src, "#")
	address, _, _ = strings.Cut(address, "?")
	return strings.HasSuffix(address, ".git")
}
