package main

import (
	"slices"

	"kiln/registry/hclfile"
)

// configBlock is a block of kiln's own configuration, or the file. What is
// missing or wrong in it reads as the default, the latter with a problem noted.
type configBlock struct {
	*hclfile.Block
	dir string // that relative paths are relative to
}

// parseConfig reads a configuration file's syntax; name is for people.
func parseConfig(name, dir string, src []byte) (*configBlock, error) {
	problems := &hclfile.Problems{File: name}
	if b := problems.Parse(src, nil); b != nil {
		return &configBlock{b, dir}, nil
	}
	return nil, usagef("%s", problems.Report())
}

// err is a usage error with a line for each problem of the file, or nil.
func (b *configBlock) err() error {
	if b.Len() == 0 {
		return nil
	}
	return usagef("%s", b.Report())
}

// blocks are the blocks of a type; of those with labels no two have the same.
func (b *configBlock) blocks(typ string, labels ...string) []*configBlock {
	var list []*configBlock
	for _, in := range b.Blocks(typ, labels...) {
		if len(labels) > 0 && slices.ContainsFunc(list, func(other *configBlock) bool { return slices.Equal(other.Labels, in.Labels) }) {
			in.WrongBlock("stands here twice")
			continue
		}
		list = append(list, &configBlock{in, b.dir})
	}
	return list
}

// block is the one block of a type, or nil.
func (b *configBlock) block(typ string) *configBlock {
	list := b.blocks(typ)
	if len(list) == 0 {
		return nil
	}
	for _, again := range list[1:] {
		again.WrongBlock("stands here twice")
	}
	return list[0]
}

// peek is a block that was read already; where it is missing the one that could
// have it.
func (b *configBlock) peek(typ string, labels ...string) *configBlock {
	if in := b.Find(typ, labels...); in != nil {
		return &configBlock{in, b.dir}
	}
	return b
}
