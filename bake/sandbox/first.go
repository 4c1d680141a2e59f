package sandbox

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// firstProcess is process 1 of the sandbox: it makes the sandbox around itself,
// starts the command, buries orphans, and with its end everything ends.
type firstProcess struct {
	order
	reports *json.Encoder
	made    []string
}

// beFirst is the life of the first process. Its leading thread does nothing, and
// so keeps a view of the mounts that is not the command's: see ownMounts.
func beFirst() {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		go beFirst() // on another thread, as this one is taken
		select {}
	}
	// Capabilities and filters belong to this thread, the command is its child.
	in := os.NewFile(orderFD, "order")
	p := &firstProcess{reports: json.NewEncoder(os.NewFile(reportFD, "report"))}
	if err := json.NewDecoder(in).Decode(&p.order); err != nil {
		os.Exit(exitLost)
	}
	go func() {
		io.Copy(io.Discard, in) // the parent is gone when this ends
		os.Exit(exitLost)
	}()
	signal.Notify(make(chan os.Signal, 1)) // nothing inside may end us with a signal
	if err := p.setUp(); err != nil {
		p.reports.Encode(failure(err))
		os.Exit(exitLost)
	}
	if p.Probe {
		p.reports.Encode(report{Started: true})
		p.reports.Encode(report{Exited: true})
		os.Exit(0)
	}
	p.reports.Encode(p.runCommand())
	os.Exit(0)
}

// exitLost is the status of a first process that could not do its work.
const exitLost = 70

func failure(err error) report {
	var setup *SetupError
	r := report{Step: "set up", Error: err.Error()}
	if errors.As(err, &setup) {
		r.Step, r.Error = setup.Step, setup.Err.Error()
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		r.Errno = int(errno)
	}
	return r
}

// setUp makes everything but the command's own identity.
func (p *firstProcess) setUp() error {
	steps := []struct {
		name string
		do   func() error
	}{
		{"inherited files", closeInherited},
		{"control group", p.hideGroup},
		{"names", p.setNames},
		{"network", p.setNetwork},
		{"mounts", p.mountAll},
		{"limits", p.setLimits},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			var inner *SetupError
			if errors.As(err, &inner) {
				return err
			}
			return &SetupError{Step: s.name, Err: err}
		}
	}
	return nil
}

// closeInherited keeps every descriptor but 0, 1, 2 from the command, also
// those that kiln itself was started with.
func closeInherited() error {
	return unix.CloseRange(3, ^uint(0)>>1&0x7fffffff, unix.CLOSE_RANGE_CLOEXEC)
}

func (p *firstProcess) setNames() error {
	if err := unix.Sethostname([]byte(p.Spec.Hostname)); err != nil {
		return err
	}
	return unix.Setdomainname([]byte("(none)"))
}

func (p *firstProcess) setNetwork() error {
	if p.Spec.Network != NetworkNone {
		return nil
	}
	return loopbackUp()
}

// loopbackUp brings the interface lo up, which gives it 127.0.0.1 and ::1.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr)
}
