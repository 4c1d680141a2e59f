package template

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// File is one file that a copy puts into the image.
type File struct {
	Rel  string      // below the target, slash-separated; "." for the target itself
	Abs  string      // on this host
	Info fs.FileInfo // from lstat
	Mode uint32      // permission and set-id bits in the image; a host's umask leaves no trace
	Link string      // target of a symlink
}

var (
	errSymlink = errors.New("is reached through a symlink")
	errSpecial = errors.New("is neither file, folder nor symlink")
)

// sourceHint says what to do about a copy source that cannot be used.
func sourceHint(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "run your build first?"
	case errors.Is(err, errSymlink):
		return "name the folder that it leads to"
	default:
		return ""
	}
}

// lstatNoLinks is lstat that refuses a path with a symlink anywhere in it.
func lstatNoLinks(root *os.Root, rel string) (fs.FileInfo, error) {
	parts := strings.Split(rel, "/")
	for i := range parts {
		info, err := root.Lstat(filepath.FromSlash(strings.Join(parts[:i+1], "/")))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, missing{}
		case err != nil:
			return nil, fmt.Errorf("cannot be read: %w", cause(err))
		case info.Mode()&fs.ModeSymlink != 0:
			return nil, errSymlink
		case i < len(parts)-1:
			continue
		case !info.IsDir() && !info.Mode().IsRegular():
			return nil, errSpecial
		}
		return info, nil
	}
	return nil, missing{}
}

// missing is fs.ErrNotExist in words that follow a name.
type missing struct{}

func (missing) Error() string        { return "does not exist" }
func (missing) Is(target error) bool { return target == fs.ErrNotExist }

// cause is a path error's cause: the path stands in our own text.
func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// Files are what a copy puts into the image, in byte order of Rel: the source
// and all below it, less what its exclude or the folder's .kilnignore leave
// out, and less kiln's own files and .git. Symlinks are listed as such, never
// followed. An error names the file; sockets, devices and pipes, names that
// are not UTF-8 and files that may not be read are errors.
func Files(c *Copy) ([]File, error) {
	if c.listed != nil {
		return c.listed, nil
	}
	root, err := os.OpenRoot(c.Root)
	if err != nil {
		return nil, fmt.Errorf("copy source %q: %w", c.Rel, err)
	}
	defer root.Close()
	w := &walk{copy: c, root: root}
	if !c.All {
		if w.ignore, err = ignored(root); err != nil {
			return nil, fmt.Errorf("copy source %q: %w", c.Rel, err)
		}
	}
	if w.exclude, err = parsePatterns(c.Exclude); err != nil {
		return nil, fmt.Errorf("copy source %q: exclude: %w", c.Rel, err)
	}
	info, err := lstatNoLinks(root, c.Rel)
	if err != nil {
		return nil, fmt.Errorf("copy source %q %w", c.Rel, err)
	}
	if err := w.visit(".", info); err != nil {
		return nil, err
	}
	sort.Slice(w.files, func(i, j int) bool { return w.files[i].Rel < w.files[j].Rel })
	return w.files, nil
}

// walk is one run of Files.
type walk struct {
	copy    *Copy
	root    *os.Root
	ignore  patterns // relative to the template's folder
	exclude patterns // relative to the source
	files   []File

	// skip leaves out more, and reenter looks into folders that it leaves out;
	// see Dockerfile.Files.
	skip    func(rel string, folder bool) (bool, error)
	reenter bool
}

// visit lists a file, and what is below it; rel is relative to the source.
func (w *walk) visit(rel string, info fs.FileInfo) error {
	name := path.Join(w.copy.Rel, rel)
	f := File{Rel: rel, Abs: filepath.Join(w.copy.Root, filepath.FromSlash(name)), Info: info}
	var err error
	switch {
	case info.IsDir():
		f.Mode = 0o755
	case info.Mode().IsRegular():
		f.Mode = w.fileMode(info)
		err = unix.Faccessat(unix.AT_FDCWD, f.Abs, unix.R_OK, unix.AT_EACCESS)
	case info.Mode()&fs.ModeSymlink != 0:
		f.Mode = 0o777
		f.Link, err = w.root.Readlink(filepath.FromSlash(name))
	default:
		return fmt.Errorf("copy source %q: %q %w (%s)", w.copy.Rel, name, errSpecial, kindOf(info.Mode()))
	}
	if err != nil {
		return fmt.Errorf("copy source %q: %q cannot be read: %w", w.copy.Rel, name, cause(err))
	}
	if !utf8.ValidString(f.Link) {
		return fmt.Errorf("copy source %q: the symlink %q leads to a name that is not UTF-8", w.copy.Rel, name)
	}
	w.files = append(w.files, f)
	if info.IsDir() {
		return w.below(rel, name)
	}
	return nil
}

func (w *walk) below(rel, name string) error {
	dir, err := w.root.Open(filepath.FromSlash(name))
	if err != nil {
		return fmt.Errorf("copy source %q: %q cannot be read: %w", w.copy.Rel, name, cause(err))
	}
	entries, err := dir.ReadDir(-1)
	dir.Close()
	if err != nil {
		return fmt.Errorf("copy source %q: %q cannot be read: %w", w.copy.Rel, name, cause(err))
	}
	for _, e := range entries {
		child := path.Join(rel, e.Name())
		if w.leftOut(child, e.IsDir()) {
			continue
		}
		if w.skip != nil {
			out, err := w.skip(child, e.IsDir())
			if err == nil && out && e.IsDir() && w.reenter {
				err = w.below(child, path.Join(w.copy.Rel, child))
			}
			if err != nil {
				return err
			}
			if out {
				continue
			}
		}
		if !utf8.ValidString(e.Name()) {
			return fmt.Errorf("copy source %q: the name %q in %q is not UTF-8", w.copy.Rel, e.Name(), name)
		}
		info, err := e.Info()
		if err != nil {
			return fmt.Errorf("copy source %q: %q changed while it was read: %w", w.copy.Rel, path.Join(name, e.Name()), cause(err))
		}
		if err := w.visit(child, info); err != nil {
			return err
		}
	}
	return nil
}

// own are kiln's files in the template's folder: an image that held the lock
// would change whenever it is locked.
var own = map[string]bool{FileName: true, LockFileName: true, IgnoreFileName: true}

func (w *walk) leftOut(rel string, folder bool) bool {
	name := path.Join(w.copy.Rel, rel)
	return path.Base(rel) == ".git" || own[name] || w.ignore.match(name, folder) || w.exclude.match(rel, folder)
}

// fileMode is the mode that the template says, else what git would keep.
func (w *walk) fileMode(info fs.FileInfo) uint32 {
	switch {
	case w.copy.Mode != nil:
		return *w.copy.Mode
	case info.Mode()&0o100 != 0:
		return 0o755
	default:
		return 0o644
	}
}

func kindOf(m fs.FileMode) string {
	switch {
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m&fs.ModeNamedPipe != 0:
		return "a pipe"
	case m&fs.ModeDevice != 0:
		return "a device"
	default:
		return "an unknown kind"
	}
}

// ReadFiles are all files of the template's folder that a bake reads, relative
// to it, sorted: the template, its ignore file, what functions read, and what
// copies list. The lock is not among them. From then on [Files] answers with what
// was listed here, so that what is judged and what is baked are the same.
func (r *Recipe) ReadFiles() ([]string, error) {
	seen := map[string]bool{filepath.Base(r.File): true}
	if _, err := os.Lstat(filepath.Join(r.Dir, IgnoreFileName)); err == nil {
		seen[IgnoreFileName] = true
	}
	for _, name := range r.Reads {
		seen[name] = true
	}
	for _, im := range r.Images {
		for _, step := range im.Steps {
			if d, ok := step.(*Dockerfile); ok {
				list, err := d.reads()
				if err != nil {
					return nil, err
				}
				for _, name := range list {
					seen[name] = true
				}
			}
			for _, c := range copies(step) {
				files, err := Files(c)
				if err != nil {
					return nil, err
				}
				c.listed = files
				for _, f := range files {
					if !f.Info.IsDir() {
						seen[path.Join(c.Rel, f.Rel)] = true
					}
				}
			}
		}
	}
	names := make([]string, 0, len(seen))
	for name := range seen {
		names = append(names, name)
	}
	sort.Strings(names)
	return names, nil
}

// copies are what a step takes from the template's folder.
func copies(step Step) []*Copy {
	switch s := step.(type) {
	case *Copy:
		return []*Copy{s}
	case *Go:
		return []*Copy{s.Module()}
	case *Run:
		var list []*Copy
		for _, m := range s.Mounts {
			if c := m.Copied(); c != nil {
				list = append(list, c)
			}
		}
		return list
	}
	return nil
}
