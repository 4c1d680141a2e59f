package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// hunt looks for words, given backwards so that it does not find itself, in
// all that a step can reach: its environment, every process and its open
// files, every file, and the names of these. Finding one is an error.
func hunt(backwards []string) error {
	var words [][]byte
	for _, b := range backwards {
		w := []byte(b)
		slices.Reverse(w)
		words = append(words, w)
	}
	look := func(where string, content []byte) error {
		for _, w := range words {
			if bytes.Contains(content, w) {
				return fmt.Errorf("found %s in %s", w, where)
			}
		}
		return nil
	}
	if err := look("the environment", []byte(strings.Join(os.Environ(), "\n"))); err != nil {
		return err
	}
	files := 0
	err := filepath.WalkDir("/", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && (p == "/sys" || p == "/dev") {
			return fs.SkipDir
		}
		if link, err := os.Readlink(p); err == nil {
			return look(p, []byte(link))
		}
		inProc := strings.HasPrefix(p, "/proc/")
		if d.IsDir() || !d.Type().IsRegular() || inProc && !slices.Contains([]string{"environ", "cmdline", "mountinfo", "mounts", "comm"}, d.Name()) {
			return nil
		}
		content, err := os.ReadFile(p)
		if err != nil {
			return nil
		}
		files++
		return look(p, append(content, p...))
	})
	if err == nil && files < 3 {
		err = fmt.Errorf("only %d files could be looked into", files)
	}
	return err
}
