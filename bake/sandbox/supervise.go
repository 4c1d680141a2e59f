package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// supervise waits for the command's end and brings it about when it must.
func (p *Process) supervise(ctx context.Context, begun time.Time) {
	ended := make(chan report, 1)
	go func() {
		var last report
		for {
			var r report
			if p.decoder.Decode(&r) != nil {
				break
			}
			last = r
		}
		ended <- last
	}()
	verdict, last := p.watch(ctx, begun, ended)
	waitErr := p.cmd.Wait()
	p.release()
	folded := p.copied.close(last.Exited)
	switch {
	case last.Error != "":
		p.err = setupError(last)
	case folded != nil:
		p.err = &SetupError{Step: "compare root", Err: folded}
	case last.Exited && (last.Code != 0 || last.Signal != 0):
		p.err = p.exitError(last)
	case last.Exited:
		if waitErr != nil { // the output could not be delivered
			p.err = fmt.Errorf("sandbox: output of %s: %w", p.spec.Args[0], waitErr)
		}
	case verdict != nil:
		verdict.Command = p.spec.Args[0]
		p.err = verdict
	default:
		p.err = fmt.Errorf("sandbox: lost while %s ran: %v", p.spec.Args[0], waitErr)
	}
	close(p.done)
}

// watch ends the sandbox for the first reason that comes up. It returns when
// the first process is gone: the reason, if any, and the last report.
func (p *Process) watch(ctx context.Context, begun time.Time, ended <-chan report) (*ExitError, report) {
	var timeout, look <-chan time.Time
	if p.spec.Timeout > 0 {
		timer := time.NewTimer(time.Until(begun.Add(p.spec.Timeout)))
		defer timer.Stop()
		timeout = timer.C
	}
	if p.spec.Limits.MinFreeBytes > 0 && p.spec.Root.Upper != "" || p.counter != nil {
		ticker := time.NewTicker(100 * time.Millisecond)
		defer ticker.Stop()
		look = ticker.C
	}
	var verdict *ExitError
	for verdict == nil {
		select {
		case last := <-ended:
			return nil, last
		case <-timeout:
			verdict = timedOut(p.spec.Timeout)
		case <-ctx.Done():
			verdict = killed("ended: "+context.Cause(ctx).Error(), ctx.Err())
			verdict.TimedOut = errors.Is(ctx.Err(), context.DeadlineExceeded)
		case <-p.stopped:
			verdict = killed("stopped", nil)
		case <-look:
			if verdict = p.diskFull(); verdict == nil {
				verdict = p.tooMany()
			}
		}
	}
	p.cmd.Process.Kill()
	return verdict, <-ended
}

// diskFull is the verdict when the disk is nearly full, else nil.
func (p *Process) diskFull() *ExitError {
	var st unix.Statfs_t
	if p.spec.Limits.MinFreeBytes == 0 || p.spec.Root.Upper == "" || unix.Statfs(p.spec.Root.Upper, &st) != nil {
		return nil
	}
	free := int64(st.Bavail) * st.Bsize
	if free >= p.spec.Limits.MinFreeBytes {
		return nil
	}
	return killed(fmt.Sprintf("ended: the disk of %s has only %d MB left (at least %d MB must stay free)",
		p.spec.Root.Upper, free>>20, p.spec.Limits.MinFreeBytes>>20), nil)
}

func (p *Process) exitError(r report) *ExitError {
	e := &ExitError{Command: p.spec.Args[0], Code: r.Code, Signal: syscall.Signal(r.Signal), Reason: r.Reason}
	if e.Signal != 0 {
		e.Code = 128 + r.Signal
	}
	return e
}

// release closes what belongs to the sandbox and removes the mount points that
// were made for it.
func (p *Process) release() {
	p.lifeline.Close()
	p.reports.Close()
	p.counter.close()
	removeGroup(p.group)
	p.mu.Lock()
	if p.netns != nil {
		p.netns.Close()
		p.netns = nil
	}
	p.mu.Unlock()
	if len(p.made) == 0 {
		return
	}
	root, err := os.OpenRoot(p.spec.Root.Upper)
	if err != nil {
		return
	}
	defer root.Close()
	for _, name := range slices.Backward(p.made) {
		if st, err := root.Lstat(name); err == nil && (st.IsDir() || st.Size() == 0) {
			root.Remove(name) // a directory that is not empty stays
		}
	}
}

// trimErrno removes the text of errno from the end of a message.
func trimErrno(message string, errno syscall.Errno) string {
	return strings.TrimSuffix(message, errno.Error())
}

// hintNamespaces adds to the kernel's bare refusal what usually lies behind it.
func hintNamespaces(err error) error {
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w (making namespaces needs root or a user namespace)", err)
	}
	if errors.Is(err, unix.ENOSPC) {
		return fmt.Errorf("%w (a limit in /proc/sys/user is reached)", err)
	}
	return err
}
