package sandbox

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// openNetwork keeps hold of the sandbox's network namespace for Dial.
func (p *Process) openNetwork() error {
	if p.spec.Network != NetworkNone {
		return nil
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", p.cmd.Process.Pid))
	p.netns = f
	return err
}

// Dial connects to an address inside the sandbox's network: network is "tcp",
// "udp" or a variant of them, addr an IP address (or localhost) and a port. It
// suits http.Transport.DialContext. After the end of the sandbox the error is
// net.ErrClosed.
func (p *Process) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if net.ParseIP(host) == nil {
		return nil, fmt.Errorf("sandbox: dial %s: want an IP address, there are no names in there", addr)
	}
	addr = net.JoinHostPort(host, port)
	var dialer net.Dialer
	if p.spec.Network != NetworkNone {
		return dialer.DialContext(ctx, network, addr)
	}
	ns, err := p.network()
	if err != nil {
		return nil, err
	}
	defer unix.Close(ns)
	type result struct {
		conn net.Conn
		err  error
	}
	results := make(chan result, 1)
	go func() {
		// Never unlocked: the thread ends with this goroutine, so that no other
		// one ever runs in the sandbox's network.
		runtime.LockOSThread()
		if err := unix.Setns(ns, unix.CLONE_NEWNET); err != nil {
			results <- result{err: fmt.Errorf("sandbox: enter the network: %w", err)}
			return
		}
		conn, err := dialer.DialContext(ctx, network, addr)
		results <- result{conn, err}
	}()
	r := <-results
	return r.conn, r.err
}

// network is a duplicate of the namespace's descriptor.
func (p *Process) network() (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.netns == nil {
		return -1, fmt.Errorf("sandbox: dial: %w", net.ErrClosed)
	}
	return unix.FcntlInt(p.netns.Fd(), unix.F_DUPFD_CLOEXEC, 0)
}
