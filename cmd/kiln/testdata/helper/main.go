// Command helper is the only program in the images of the script tests.
package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

func main() {
	if err := do(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "helper:", err)
		os.Exit(1)
	}
}

func do(args []string) error {
	switch args[0] {
	case "write":
		if err := os.MkdirAll(filepath.Dir(args[1]), 0o755); err != nil {
			return err
		}
		return os.WriteFile(args[1], []byte(args[2]), 0o644)
	case "fill":
		return fill(args[1])
	case "read":
		text, err := os.ReadFile(args[1])
		fmt.Print(string(text))
		return err
	case "copy":
		text, err := os.ReadFile(args[1])
		if err != nil {
			return err
		}
		return os.WriteFile(args[2], text, 0o644)
	case "user":
		fmt.Println(os.Getuid())
	case "remove":
		return os.RemoveAll(args[1])
	case "print":
		fmt.Println(args[1])
	case "env":
		fmt.Println(os.Getenv(args[1]))
	case "exit":
		code, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, "going down")
		os.Exit(code)
	case "sleep":
		time.Sleep(time.Hour)
	case "leave": // a process that outlives its parent
		return again("sleep", args[1:]).Start()
	case "bomb": // forks without end, each child too
		for {
			again("bomb", args[1:]).Start()
		}
	case "killall": // whatever can be seen
		if err := again("sleep", args[1:]).Start(); err != nil {
			return err
		}
		return syscall.Kill(-1, syscall.SIGKILL)
	case "outside": // writes to the paths; what works is an error
		for _, path := range args[2:] {
			if os.WriteFile(path, []byte("x"), 0o644) == nil {
				return fmt.Errorf("wrote to %s", path)
			}
		}
	case "hunt":
		return hunt(args[1:])
	case "serve":
		http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "well") })
		return http.ListenAndServe("127.0.0.1:"+args[1], nil)
	}
	return nil
}

// again is this program in a session of its own, with the same arguments.
func again(verb string, args []string) *exec.Cmd {
	cmd := exec.Command("/helper", append([]string{verb}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

// fill writes until nothing more fits.
func fill(path string) error {
	f, err := os.Create(path)
	for err == nil {
		_, err = f.Write(make([]byte, 1<<20))
	}
	return err
}
