// Package sandbox runs one command in a hermetic container made of Linux
// namespaces: its own mounts, processes, IPC, host name, network and cgroup
// view, a root assembled from layer directories by overlayfs (or copied from
// them, with the same outcome, where that cannot be mounted), few capabilities,
// no_new_privs and a seccomp filter. It needs no helper program and no daemon.
//
// The package starts the running executable again as the sandbox's first
// process, so main and TestMain must call [Init] before anything else.
//
// What the command sees: its root; a minimal /dev; /proc of its own processes
// with the kernel's controls read-only or masked; an empty /sys; a loopback
// interface and no other network, unless the caller asks for the host's;
// exactly the environment it was given plus PATH and HOME; umask 022; fixed
// resource limits. fsync and its kin are answered without doing anything: the
// tree is thrown away or packed, never resumed after a power cut.
//
// What ends it: its timeout, too many processes, a disk that is nearly full; see
// [Limits].
//
// What dies: everything, when the command ends, when the context or the timeout
// does, when [Process.Stop] is called, and when the calling process is killed.
//
// What is written: only Upper of the [Root], what the mounts of the [Spec] let
// through, and tmpfs. Mount points that the root lacks leave no trace in Upper.
//
// Root is needed, or a user namespace with a full id map: see [Unshare]. Linux
// 5.12 or later is required (mount_setattr).
package sandbox
