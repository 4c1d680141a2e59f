// Guest is the only program in the roots that the sandbox's tests run: one
// command after the other, each "verb argument…", separated by ";".
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	var command []string
	for _, a := range append(os.Args[1:], ";") {
		if a != ";" {
			command = append(command, a)
			continue
		}
		if len(command) > 0 {
			do(command[0], command[1:])
		}
		command = nil
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// try prints the verb and how it went, without ending.
func try(verb string, err error) {
	if err != nil {
		fmt.Printf("%s: %v\n", verb, err)
		return
	}
	fmt.Printf("%s: ok\n", verb)
}

func do(verb string, args []string) {
	switch verb {
	case "true":
	case "exit":
		code, _ := strconv.Atoi(args[0])
		os.Exit(code)
	case "kill":
		n, _ := strconv.Atoi(args[0])
		signal.Reset()
		syscall.Kill(os.Getpid(), syscall.Signal(n))
		time.Sleep(time.Minute)
	case "echo":
		fmt.Println(strings.Join(args, " "))
	case "warn":
		fmt.Fprintln(os.Stderr, strings.Join(args, " "))
	case "cat":
		content, err := os.ReadFile(args[0])
		check(err)
		os.Stdout.Write(content)
	case "copy": // stdin to stdout
		io.Copy(os.Stdout, os.Stdin)
	case "env":
		for _, e := range os.Environ() {
			fmt.Println(e)
		}
	case "ls":
		entries, err := os.ReadDir(args[0])
		check(err)
		for _, e := range entries {
			fmt.Println(e.Name())
		}
	case "write":
		check(os.MkdirAll(filepath.Dir(args[0]), 0o777))
		check(os.WriteFile(args[0], []byte(strings.Join(args[1:], " ")), 0o666))
	case "rm":
		check(os.RemoveAll(args[0]))
	case "fill":
		fill(args[0])
	case "id":
		groups, _ := os.Getgroups()
		sort.Ints(groups)
		wd, _ := os.Getwd()
		fmt.Println(os.Getuid(), os.Getgid(), groups, os.Getenv("HOME"), wd)
	case "ifs":
		interfaces, err := net.Interfaces()
		check(err)
		for _, i := range interfaces {
			addrs, _ := i.Addrs()
			fmt.Println(i.Name, i.Flags&net.FlagUp != 0, addrs)
		}
	case "serve":
		serve(args[0])
	case "orphans": // leave processes that hold our output and outlive us
		for range 3 {
			c := exec.Command("/bin/guest", "sleep", "100")
			c.Stdout, c.Stderr = os.Stdout, os.Stderr
			c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			check(c.Start())
		}
	case "bomb": // fork without end, each child too
		for {
			exec.Command("/bin/guest", "bomb").Start()
		}
	case "sleep":
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT)
		n, _ := strconv.Atoi(args[0])
		time.Sleep(time.Duration(n) * time.Second)
	case "beat": // touch a file again and again, from a grandchild too
		if len(args) == 1 {
			check(exec.Command("/bin/guest", "beat", args[0], "child").Start())
		}
		for {
			os.WriteFile(args[0]+strings.Join(args[1:], ""), []byte(time.Now().String()), 0o666)
			time.Sleep(20 * time.Millisecond)
		}
	case "try":
		attempt(args[0], args[1:])
	default:
		fmt.Fprintln(os.Stderr, "unknown verb", verb)
		os.Exit(99)
	}
}

func serve(addr string) {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello ", r.URL.Path) })
	check(http.ListenAndServe(addr, nil))
}

func fill(name string) {
	f, err := os.Create(name)
	check(err)
	block := make([]byte, 1<<20)
	for {
		_, err := f.Write(block)
		check(err)
	}
}

// attempt does something forbidden and prints how it went.
func attempt(what string, args []string) {
	switch what {
	case "write":
		try(what, os.WriteFile(args[0], []byte("x"), 0o644))
	case "read":
		_, err := os.ReadFile(args[0])
		try(what, err)
	case "readlink":
		_, err := os.Readlink(args[0])
		try(what, err)
	case "mount":
		try(what, syscall.Mount("tmpfs", "/", "tmpfs", 0, ""))
	case "mknod":
		try(what, syscall.Mknod(args[0], syscall.S_IFBLK|0o666, 7<<8))
	case "chroot":
		try(what, syscall.Chroot("/"))
	case "hostname":
		try(what, syscall.Sethostname([]byte("x")))
	case "userns":
		c := exec.Command("/bin/guest", "true")
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}
		try(what, c.Run())
	case "socket":
		family, _ := strconv.Atoi(args[0])
		fd, err := syscall.Socket(family, syscall.SOCK_DGRAM, 0)
		if err == nil {
			syscall.Close(fd)
		}
		try(what, err)
	case "dial":
		c, err := net.DialTimeout("tcp", args[0], time.Second)
		if err == nil {
			c.Close()
		}
		try(what, err)
	case "fsync":
		f, err := os.Create(args[0])
		check(err)
		try(what, f.Sync())
	case "tty":
		f, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
		if err == nil {
			f.Close()
		}
		try(what, err)
	case "fork":
		n, _ := strconv.Atoi(args[0])
		for i := range n {
			if err := exec.Command("/bin/guest", "sleep", "30").Start(); err != nil {
				fmt.Printf("fork: stopped: %v\n", i < n)
				return
			}
		}
		try(what, nil)
	case "chown":
		try(what, os.Chown(args[0], 1234, 1234))
	}
}
