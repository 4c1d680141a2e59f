package layers

import (
	"context"
	"io"
)

// Walk reads the entries of an uncompressed tar stream that is not trusted, in
// its order, and hands each to visit with its content, which may be left
// unread. The root itself is left out. Names that are absolute or hold "..",
// hard links out of the root, sparse files and what goes beyond the limits are
// an *ArchiveError. It reads r to its end.
func Walk(ctx context.Context, r io.Reader, limits Limits, visit func(e *Entry, content io.Reader) error) error {
	archive := newArchiveReader(ctx, r, limits)
	for {
		e, err := archive.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if e.Path == "." {
			continue
		}
		if err := visit(e, archive); err != nil {
			return err
		}
	}
}
