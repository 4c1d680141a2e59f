package sandbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// ErrForeign is the cause when programs of another architecture do not run.
var ErrForeign = errors.New("this host does not run programs of that architecture")

// machine is how an ELF header names an architecture.
type machine struct {
	class byte // 1 for 32 bits, 2 for 64
	data  byte // 1 for little-endian, 2 for big
	id    uint16
}

// machineOf lists the architectures by their names in Go (elf(5), e_machine).
func machineOf(arch string) (machine, bool) {
	m, ok := map[string]machine{
		"386": {1, 1, 3}, "amd64": {2, 1, 62}, "arm": {1, 1, 40}, "arm64": {2, 1, 183}, "mips64le": {2, 1, 8},
		"ppc64le": {2, 1, 21}, "riscv64": {2, 1, 243}, "s390x": {2, 2, 22},
	}[arch]
	return m, ok
}

// checkPlatforms says for which platforms steps and tests can run.
func checkPlatforms() Finding {
	f := Finding{Name: "platforms", OK: true, Detail: "runs linux/" + runtime.GOARCH}
	var others []string
	for _, arch := range []string{"386", "amd64", "arm", "arm64", "mips64le", "ppc64le", "riscv64", "s390x"} {
		if arch != runtime.GOARCH && Runs(arch) == nil {
			others = append(others, "linux/"+arch)
		}
	}
	if len(others) == 0 {
		f.Detail += " alone; of other platforms, steps that run nothing"
		f.Hint = "for more: qemu-user-static, registered in binfmt_misc with the flag F"
		return f
	}
	f.Detail += " and, through binfmt_misc, " + strings.Join(others, ", ")
	return f
}

// header begins a program of the architecture that has nothing to load: a
// kernel that runs such programs itself finds no program in it, and binfmt_misc
// hands it to its interpreter by these bytes.
func (m machine) header() []byte {
	h := make([]byte, 64)
	copy(h, []byte{0x7f, 'E', 'L', 'F', m.class, m.data, 1})
	var order binary.ByteOrder = binary.LittleEndian
	if m.data == 2 {
		order = binary.BigEndian
	}
	order.PutUint16(h[16:], 2) // an executable
	order.PutUint16(h[18:], m.id)
	order.PutUint32(h[20:], 1) // of ELF's version
	return h
}

// Runs tells whether steps and tests can run programs of an architecture, by
// its name in Go: the host's own, or one that binfmt_misc hands to an emulator
// that was opened when it was registered (flag F), so that the sandbox need not
// have it. If not, the error wraps ErrForeign and says what is missing. Only
// root, be it of a user namespace, notices that the flag is missing.
func Runs(arch string) error {
	if arch == runtime.GOARCH {
		return nil
	}
	m, ok := machineOf(arch)
	if !ok {
		return fmt.Errorf("%w (%s is not known)", ErrForeign, arch)
	}
	dir, err := os.MkdirTemp("", "kiln-binfmt-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "probe"), m.header(), 0o755); err != nil {
		return err
	}
	cmd := exec.Command("/probe")
	cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Chroot: dir}
	if os.Geteuid() != 0 {
		cmd = exec.Command(filepath.Join(dir, "probe"))
	}
	switch err := cmd.Run(); {
	case errors.Is(err, syscall.ENOEXEC):
		return fmt.Errorf("%w (install qemu-user-static with binfmt-support or systemd-binfmt, or register an emulator in /proc/sys/fs/binfmt_misc)", ErrForeign)
	case errors.Is(err, syscall.ENOENT):
		return fmt.Errorf("%w (its emulator is registered without the flag F, which makes it reach into the sandbox)", ErrForeign)
	case errors.As(err, new(*exec.ExitError)), err == nil:
		return nil // the emulator saw it
	default:
		return fmt.Errorf("%w (%v)", ErrForeign, err)
	}
}
