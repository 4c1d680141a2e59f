package dockerfile

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// Bounds of a Dockerfile: they keep a hostile one from exhausting memory.
const (
	MaxSize         = 1 << 20 // bytes
	maxStages       = 200
	maxInstructions = 5000
)

// File is a Dockerfile that could be read.
type File struct {
	name   string
	data   []byte
	escape rune
}

// Parse reads a Dockerfile; name is what errors call it. An error is an
// [*Error].
func Parse(name string, data []byte) (*File, error) {
	f := &File{name: name, data: data}
	switch {
	case len(data) > MaxSize:
		return nil, f.wrong(0, "", "more than %d bytes", MaxSize)
	case !utf8.Valid(data):
		return nil, f.wrong(0, "", "the file is not UTF-8")
	case bytes.IndexByte(data, 0) >= 0:
		return nil, f.wrong(0, "", "the file holds a NUL byte")
	}
	if syntax, _, at, ok := parser.DetectSyntax(data); ok && !ownSyntax(syntax) {
		line := 1
		if len(at) > 0 {
			line = at[0].Start.Line
		}
		return nil, f.wrong(line, "kiln reads docker/dockerfile:1 itself and runs no other frontend", "syntax %q is not supported", syntax)
	}
	_, _, err := f.read()
	return f, err
}

// ownSyntax says whether a syntax line names the frontend that kiln stands for.
func ownSyntax(ref string) bool {
	name, _, _ := strings.Cut(ref, "@")
	if at := strings.LastIndexByte(name, ':'); at > strings.LastIndexByte(name, '/') {
		name = name[:at]
	}
	return name == "docker/dockerfile" || strings.HasSuffix(name, "/docker/dockerfile") || strings.HasSuffix(name, "/docker/dockerfile-upstream") || name == "docker/dockerfile-upstream"
}

// read gives the stages afresh: evaluating an instruction changes it.
func (f *File) read() ([]instructions.Stage, []instructions.ArgCommand, error) {
	result, err := parser.Parse(bytes.NewReader(f.data))
	if err != nil {
		return nil, nil, f.parsed(0, err)
	}
	if len(result.AST.Children) > maxInstructions {
		return nil, nil, f.wrong(0, "", "more than %d instructions", maxInstructions)
	}
	for _, n := range result.AST.Children {
		if hint, old := removed[strings.ToLower(n.Value)]; old {
			return nil, nil, f.wrong(n.StartLine, hint, "%s is not supported", strings.ToUpper(n.Value))
		}
	}
	stages, args, err := instructions.Parse(result.AST, nil)
	if err != nil {
		return nil, nil, f.parsed(0, err)
	}
	switch {
	case len(stages) == 0:
		return nil, nil, f.wrong(0, "begin it with FROM", "the file has no FROM")
	case len(stages) > maxStages:
		return nil, nil, f.wrong(0, "", "more than %d stages", maxStages)
	}
	f.escape = result.EscapeToken
	return stages, args, nil
}

// removed are instructions that other builders know or knew.
var removed = map[string]string{
	"include": "no Dockerfile frontend of Docker has it: write the lines here",
	"insert":  "use ADD",
	"import":  "use FROM",
}

// lex expands words with the file's escape character.
func (f *File) lex() *shell.Lex { return shell.NewLex(f.escape) }

// lineOf is the line where an instruction begins.
func lineOf(at []parser.Range) int {
	if len(at) == 0 {
		return 0
	}
	return at[0].Start.Line
}
