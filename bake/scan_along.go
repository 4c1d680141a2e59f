package bake

import (
	"context"
	"errors"
	"io"
)

// alongScan looks into a layer while it is written, which spares reading it
// again. nil looks into nothing.
type alongScan struct {
	in    *io.PipeWriter
	ended chan struct{}
	found *layerScan
	err   error
}

// scanAlong begins to look into the layer of a step. That of a step that only
// places files is left to scanFiles, which need not look into most of it.
func (b *Builder) scanAlong(ctx context.Context, res StepResult) *alongScan {
	if b.Scanner == nil || res.Kind == ContentStep {
		return nil
	}
	out, in := io.Pipe()
	s := &alongScan{in: in, ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		s.found, s.err = scanTar(ctx, b.plainTexts(), out, maxExpanded)
		_, _ = io.Copy(io.Discard, out) // the layer is written whatever is wrong here
	}()
	return s
}

// raw is where the layer goes to.
func (s *alongScan) raw() io.Writer {
	if s == nil {
		return nil
	}
	return s.in
}

var errUnwritten = errors.New("the layer was not written")

// end says what was found; nil if that must be asked of the layer itself.
func (s *alongScan) end(err error) *layerScan {
	if s == nil {
		return nil
	}
	if err != nil {
		err = errUnwritten
	}
	s.in.CloseWithError(err)
	<-s.ended
	if err != nil || s.err != nil {
		return nil
	}
	return s.found
}
