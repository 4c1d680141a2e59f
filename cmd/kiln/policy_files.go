package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"kiln/policy"
)

// maxPolicyFiles bounds the files of a policy.
const maxPolicyFiles = 1000

// readPolicyPath reads a file, or what counts in a folder and those below it:
// .rego files and the documents data.json and data.yaml. Names are relative to
// the folder.
func readPolicyPath(path string) (map[string][]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	if !info.IsDir() {
		return files, readPolicyFile(files, path, filepath.Base(path))
	}
	err = filepath.WalkDir(path, func(at string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() && at != path && strings.HasPrefix(e.Name(), ".") {
			return fs.SkipDir
		}
		if e.IsDir() || !isPolicyFile(e.Name()) {
			return nil
		}
		name, err := filepath.Rel(path, at)
		if err != nil {
			return err
		}
		return readPolicyFile(files, at, filepath.ToSlash(name))
	})
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s: there is no policy in it: want .rego files, data.json or data.yaml", path)
	}
	return files, err
}

func readPolicyFile(files map[string][]byte, path, name string) error {
	if !isPolicyFile(name) {
		return fmt.Errorf("%s: want a .rego file, data.json, data.yaml, or a folder of these", path)
	}
	if len(files) == maxPolicyFiles {
		return fmt.Errorf("%s: more than %d files in one policy", path, maxPolicyFiles)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() > policy.MaxSource {
		return fmt.Errorf("%s: no file, or over the limit of %d bytes", path, policy.MaxSource)
	}
	text, err := os.ReadFile(path)
	files[name] = text
	return err
}
