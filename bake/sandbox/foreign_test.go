package sandbox

import (
	"bytes"
	"debug/elf"
	"errors"
	"runtime"
	"testing"
)

func TestRuns(t *testing.T) {
	if err := Runs(runtime.GOARCH); err != nil {
		t.Errorf("the host's own programs: %v", err)
	}
	if err := Runs("vax"); !errors.Is(err, ErrForeign) {
		t.Errorf("an unknown architecture: %v", err)
	}
}

// The probe's header must be what ELF readers take for that machine.
func TestMachineHeaders(t *testing.T) {
	for arch, want := range map[string]elf.Machine{
		"386": elf.EM_386, "amd64": elf.EM_X86_64, "arm": elf.EM_ARM, "arm64": elf.EM_AARCH64, "mips64le": elf.EM_MIPS,
		"ppc64le": elf.EM_PPC64, "riscv64": elf.EM_RISCV, "s390x": elf.EM_S390,
	} {
		m, ok := machineOf(arch)
		if !ok {
			t.Errorf("%s is not known", arch)
			continue
		}
		header := m.header()
		if m.class == 1 {
			header = header[:52]
		}
		if got, err := elf.NewFile(bytes.NewReader(header)); err != nil || got.Machine != want || got.Type != elf.ET_EXEC {
			t.Errorf("%s: %+v, %v", arch, got, err)
		}
	}
}
