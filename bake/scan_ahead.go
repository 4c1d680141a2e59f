package bake

import (
	"archive/tar"
	"context"
	"io"
)

// scanAhead looks into packages while their scripts run, which leaves most
// processors idle: the scan of the layer then knows most of its texts. Nothing
// else comes of it, so what it cannot read is left to that scan.
func (b *Builder) scanAhead(ctx context.Context, packages []io.Reader) {
	for _, data := range packages {
		s := newTarScan(b.plainTexts(), maxExpanded)
		_ = s.run(ctx, 1, func(ctx context.Context) error {
			return s.read(ctx, tar.NewReader(data), "/", nil, 0)
		})
	}
}
