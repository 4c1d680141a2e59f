package debian

import (
	"os/exec"
	"testing"
)

// TestCompareVersions holds cases of deb-version(7), and that dpkg agrees.
func TestCompareVersions(t *testing.T) {
	order := []string{
		"0~~", "0~~a", "0~", "0", "1.0~rc1-1", "1.0", "1.0-0.1", "1.0-1", "1.0-1+b1", "1.0-1.1", "1.0a",
		"1.0+dfsg-1", "1.0.1", "1.2", "1.10", "1:0.1", "2:0~", "10:0",
	}
	for i := range order[:len(order)-1] {
		a, b := order[i], order[i+1]
		if CompareVersions(a, b) >= 0 || CompareVersions(b, a) <= 0 {
			t.Errorf("%s is not older than %s", a, b)
		}
		if err := exec.CommandContext(t.Context(), "dpkg", "--compare-versions", a, "lt", b).Run(); err != nil {
			t.Errorf("dpkg: %s lt %s: %v", a, b, err)
		}
	}
	for _, same := range [][2]string{{"1.0", "1.0-0"}, {"0:1", "1"}, {"1.01", "1.1"}} {
		if CompareVersions(same[0], same[1]) != 0 {
			t.Errorf("%s and %s differ", same[0], same[1])
		}
	}
}

func TestValidVersion(t *testing.T) {
	for _, v := range []string{"1", "1:2.3-4", "1.0~rc1+dfsg-1"} {
		if !ValidVersion(v) {
			t.Errorf("%q is not taken", v)
		}
	}
	for _, v := range []string{"", "a", ":1", "x:1", "1-", "1 2", "1/2", "1\n"} {
		if ValidVersion(v) {
			t.Errorf("%q is taken", v)
		}
	}
}
