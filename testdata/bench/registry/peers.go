package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is a running program.
type server struct {
	name string
	addr string // host:port
	root string // where it keeps its data
	cmd  *exec.Cmd
	log  string
}

// peers are the programs that run beside each other in a round.
type peers struct {
	o       options
	running []*server
}

const (
	kiln         = "kiln"
	distribution = "distribution"
	nginx        = "nginx"
	plain        = "plain write"
)

// start starts all of them on new stores below dir.
func (p *peers) start(dir string) error {
	for _, s := range []func(string) (*server, error){p.kiln, p.distribution, p.nginx} {
		if _, err := p.begin(s, dir); err != nil {
			return err
		}
	}
	return nil
}

// begin starts one and waits until it answers. It says how long that took.
func (p *peers) begin(start func(dir string) (*server, error), dir string) (time.Duration, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}
	begin := time.Now()
	s, err := start(dir)
	if err != nil {
		return 0, err
	}
	p.running = append(p.running, s)
	if err := s.wait(); err != nil {
		return 0, err
	}
	return time.Since(begin), nil
}

// stop ends what runs and waits for it.
func (p *peers) stop() {
	for _, s := range p.running {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
	}
	for _, s := range p.running {
		_ = s.cmd.Wait()
	}
	p.running = nil
}

func (p *peers) named(name string) *server {
	for _, s := range p.running {
		if s.name == name {
			return s
		}
	}
	return nil
}

// registries are those that take pushes.
func (p *peers) registries() []*server {
	return []*server{p.named(distribution), p.named(kiln)}
}

// launch runs a command with its output in a file of dir.
func launch(s *server, dir string, args ...string) (*server, error) {
	s.log = filepath.Join(dir, s.name+".log")
	out, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	s.cmd = exec.Command(args[0], args[1:]...)
	s.cmd.Stdout, s.cmd.Stderr = out, out
	s.cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none", "KILN_PROMOTION_KEY=", "XDG_STATE_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	return s, s.cmd.Start()
}

// kiln runs with its metrics and, as the others do, without a line per request.
func (p *peers) kiln(dir string) (*server, error) {
	s := &server{name: kiln, addr: freeAddr(), root: filepath.Join(dir, kiln)}
	config := filepath.Join(dir, "kiln-serve.hcl")
	if err := os.WriteFile(config, []byte("log {\n  level = \"warn\"\n}\n"), 0o644); err != nil {
		return nil, err
	}
	return launch(s, dir, p.o.kiln, "serve", "--listen", s.addr, "--store", s.root, "--config", config)
}

// distribution runs with the cache of its example configuration.
func (p *peers) distribution(dir string) (*server, error) {
	s := &server{name: distribution, addr: freeAddr(), root: filepath.Join(dir, distribution)}
	config := filepath.Join(dir, "distribution.yml")
	text := "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  cache:\n    blobdescriptor: inmemory\n" +
		"  filesystem:\n    rootdirectory: " + s.root + "\nhttp:\n  addr: " + s.addr + "\n"
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	return launch(s, dir, p.o.distribution, "serve", config)
}

// nginx serves the files of kiln's store.
func (p *peers) nginx(dir string) (*server, error) {
	s := &server{name: nginx, addr: freeAddr(), root: filepath.Join(dir, kiln)}
	config := filepath.Join(dir, "nginx.conf")
	temp := ""
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		temp += "  " + name + "_temp_path " + filepath.Join(dir, "nginx-temp") + ";\n"
	}
	text := "daemon off;\nuser root;\nworker_processes auto;\npid " + filepath.Join(dir, "nginx.pid") + ";\nerror_log stderr;\nevents {}\n" +
		"http {\n  access_log off;\n  sendfile on;\n  tcp_nopush on;\n  keepalive_requests 1000000;\n" + temp +
		"  server {\n    listen " + s.addr + ";\n    root " + s.root + ";\n  }\n}\n"
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	return launch(s, dir, p.o.nginx, "-p", dir, "-e", "stderr", "-c", config)
}

// freeAddr is an address that nobody listens on now.
func freeAddr() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// wait waits for the first answer.
func (s *server) wait() error {
	for range 30_000 {
		if c, err := dial(s.addr); err == nil {
			_, err := c.do("GET", "/v2/", "", blob{})
			c.Close()
			if err == nil {
				return nil
			}
		}
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("%s does not answer: %s", s.name, lastLines(s.log))
}

// peakMemory is the most that was resident since the start, in MiB.
func (s *server) peakMemory() (float64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024, err
		}
	}
	return 0, errors.New("no VmHWM")
}
