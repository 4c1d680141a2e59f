package bake

import (
	"os"
	"strings"

	"kiln/bake/sandbox"
)

// copiesRoots tells whether commands run on copies of the layers below: because
// the caller wants that, or because the cache lies where no layer can become
// the lower folder of an overlay. Where only the mount is refused the sandbox
// finds out by itself.
func (b *Builder) copiesRoots() bool {
	return b.NoOverlay || !sandbox.Whiteouts(b.cache.path("tmp"))
}

// root is that of a command which writes to upper; work is an empty folder
// beside it.
func (b *Builder) root(lowers []string, upper, work string) sandbox.Root {
	return sandbox.Root{Lowers: lowers, Upper: upper, Work: work, Copy: len(lowers) > 0 && b.copiesRoots()}
}

// treeForm names the form in which layers lie unpacked: owners on disk differ
// between root and a user namespace, as do overlay's marks, and where those
// cannot be made others stand in. Trees are neither fsynced nor hashed again, so
// that after a power cut files in them may be cut short: only bakes since the
// host started use them.
func (b *Builder) treeForm() string {
	form := userForm()
	if !sandbox.Whiteouts(b.cache.path("tmp")) {
		form += "-copy"
	}
	return form + "-" + sinceStart("/proc/sys/kernel/random/boot_id")
}

// sinceStart is different each time the host starts: the beginning of the id
// that file holds (proc_sys_kernel(5)).
func sinceStart(file string) string {
	id, _ := os.ReadFile(file) // without it, trees are all of one start
	first, _, _ := strings.Cut(strings.TrimSpace(string(id)), "-")
	return first
}

// userForm separates what root makes from what a user namespace does.
func userForm() string {
	if sandbox.InUserNamespace() {
		return "user"
	}
	return "root"
}

// installDir makes a folder to install packages in, which take need bytes: in
// memory where they fit, unless what lies below is copied there, too.
func (b *Builder) installDir(st *state, need int64) (string, func(), error) {
	if st.below != nil && b.copiesRoots() {
		return b.cache.tempDir("packages")
	}
	return b.cache.scratch("packages", need)
}
