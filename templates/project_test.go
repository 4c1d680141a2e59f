package templates

import "testing"

func TestProjectName(t *testing.T) {
	for dir, want := range map[string]string{
		"/x/shop":         "shop",
		"/x/My Shop_2.0!": "my-shop-2-0",
		"/x/...":          "example",
		"/x/localhost":    "example",
		"/":               "example",
	} {
		if got := projectName(dir); got != want {
			t.Errorf("projectName(%q) = %q, want %q", dir, got, want)
		}
		if got := string(named([]byte("a\n"+sampleProject+"\n"), dir)); got != "a\nproject = \""+want+"\"\n" {
			t.Errorf("named: %q", got)
		}
	}
}
