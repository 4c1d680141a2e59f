package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"kiln/registry/access"
)

func (a *app) htpasswdCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "htpasswd FILE NAME",
		Short: "Give a user of a server a password",
		Long: "htpasswd sets the password of a user in the file that the auth block of kiln serve names, as\n" +
			"htpasswd -B does: it adds the user, or replaces the password. It asks for the password on a\n" +
			"terminal, and reads it from stdin otherwise. A server that runs takes it within seconds.",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error { return a.htpasswd(cmd.Context(), args[0], args[1]) },
	}
}

func (a *app) htpasswd(ctx context.Context, file, user string) error {
	if _, _, err := access.SetPassword(nil, user, "any"); err != nil { // before anybody types
		return usagef("%v", err)
	}
	password, err := a.newPassword(ctx, user)
	if err != nil {
		return err
	}
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real // a link stays one
	}
	content, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	content, replaced, err := access.SetPassword(content, user, password)
	if err != nil {
		return usagef("%v", err)
	}
	if err := replaceFile(file, content); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(map[string]any{"schema": "kiln.htpasswd/v1", "file": file, "user": user, "replaced": replaced})
	}
	if replaced {
		a.say("%s has a new password in %s", user, file)
	} else {
		a.say("%s is a user of %s now; what a user may do stands in the auth block of kiln serve", user, file)
	}
	return nil
}

// replaceFile puts a file of secrets in place of another at once. It stays its
// owner's: a server that runs as somebody else goes on reading it.
func replaceFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	if err == nil {
		err = keepOwner(f, path)
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// keepOwner gives f the owner, group and group's rights of what stands at path.
func keepOwner(f *os.File, path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if old, ok := info.Sys().(*syscall.Stat_t); ok && (int(old.Uid) != os.Geteuid() || int(old.Gid) != os.Getegid()) {
		if err := f.Chown(int(old.Uid), int(old.Gid)); err != nil {
			return err
		}
	}
	return f.Chmod(0o600 | info.Mode().Perm()&0o040)
}
