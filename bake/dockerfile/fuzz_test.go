package dockerfile

import (
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// FuzzPlan: no bytes make the parser, the plan or the evaluation panic, and
// what is accepted is bounded.
func FuzzPlan(f *testing.F) {
	for _, seed := range []string{
		"FROM a\nRUN b", "ARG X=1\nFROM a$X AS b\nCOPY --from=b c d\n", "FROM a\nRUN <<EOF\nx\nEOF\n", "FROM a\nCOPY <<X /y\n$Z\nX\n",
		"# escape=`\nFROM a\nENV A=${B:-c} D=${A#*x} E=${A//b/c}\n", "FROM a\nHEALTHCHECK CMD x\nEXPOSE 1-9/udp\nVOLUME [\"/x\"]\n",
		"FROM a\nRUN --mount=type=cache,target=/x --mount=type=secret,id=$A true\n", "FROM a\nONBUILD COPY . /x\nFROM 0\n", "# syntax=docker/dockerfile:1\nFROM scratch\nADD a b\n",
		"FROM a\nLABEL a='b c' d\nMAINTAINER x\nSHELL [\"a\"]\nSTOPSIGNAL 9\nUSER $X\nWORKDIR a/../..\n",
	} {
		f.Add([]byte(seed))
	}
	base := map[string]Base{"a": {Config: v1.Config{Env: []string{"A=x", "BROKEN"}, OnBuild: []string{"RUN x", "COPY a b"}}}}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse("Dockerfile", data)
		if err != nil {
			return
		}
		p, err := file.Plan(Options{Platform: "linux/amd64", Args: map[string]string{"X": "1", "Y": "$X"}})
		if err != nil {
			return
		}
		r, err := evaluated(p, base)
		if err != nil {
			return
		}
		if n := variables(r.Config.Env).size(); n > maxVariables {
			t.Errorf("%d bytes of variables", n)
		}
		for _, s := range r.Steps {
			if s.Label() == "" || s.Label() != oneLine(s.Label()) {
				t.Errorf("name %q", s.Label())
			}
		}
		_, _ = ParseIgnore("x", data)
	})
}
