package sandbox

import (
	"context"
	"testing"
)

// What a sandbox costs from the order to the end; the floor is the start of
// this test's own executable plus that of the guest.
func BenchmarkRun(b *testing.B) {
	lower := tree(b, map[string]string{"proc/": "", "dev/": "", "sys/": "", "tmp/": ""})
	for name, root := range map[string]Root{"overlay": writable(b, lower), "bind": {Upper: lower}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := Run(context.Background(), Spec{Root: root, Args: []string{"/bin/guest", "true"}}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
