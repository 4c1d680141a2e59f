package sandbox

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// copiedRoot is a root that is a copy of its layers, in place of an overlay.
type copiedRoot struct {
	*copied
	upper  string // where changes go; "" throws them away
	userNS bool
}

// startCopied is start on a copy of the layers. When all is over the changes
// are folded into the upper, and the copy is removed.
func startCopied(ctx context.Context, o order) (*Process, error) {
	root := o.Spec.Root
	if root.Work == "" {
		return nil, &SetupError{Step: "copy root", Err: fmt.Errorf("the layers cannot be stacked here, and no work directory was given to copy them to")}
	}
	dir := filepath.Join(root.Work, "copy")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, &SetupError{Step: "copy root", Err: err}
	}
	flat, err := flatten(ctx, root, dir, o.Spec.Limits.MinFreeBytes)
	if err != nil {
		os.RemoveAll(dir)
		return nil, &SetupError{Step: "copy root", Err: err}
	}
	time.Sleep(clockTick)
	o.copied = &copiedRoot{copied: flat, upper: root.Upper, userNS: o.UserNS}
	if root.ReadOnly || root.Upper == "" {
		o.copied.upper = ""
	}
	o.Copied = true
	o.Spec.Root = Root{Upper: dir, ReadOnly: o.copied.upper == ""}
	p, err := start(ctx, o)
	if err != nil {
		o.copied.close(false)
	}
	return p, err
}

// close removes the copy; fold says whether its changes matter.
func (c *copiedRoot) close(fold bool) error {
	if c == nil {
		return nil
	}
	defer os.RemoveAll(c.root)
	if !fold || c.upper == "" {
		return nil
	}
	return c.fold(c.upper, c.userNS)
}
