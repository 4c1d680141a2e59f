package hclfile

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"
)

// read is a reader of a file with a name, a list and doors.
func read(src string) (b *Block, report string) {
	ps := &Problems{File: "F"}
	if b = ps.Parse([]byte(src), nil); b == nil {
		return nil, ps.Report()
	}
	b.Text("name")
	b.Texts("list")
	b.Value("any", cty.DynamicPseudoType)
	for _, door := range b.Blocks("door", "COLOUR") {
		door.Require("height")
		if n, ok := door.Text("height"); ok && n == "0" {
			door.Wrong("height", "nobody fits through")
		}
		for _, bell := range door.Blocks("bell") {
			bell.WrongBlock("it rings\ntoo loud")
		}
		door.Done()
	}
	b.Done()
	return b, ps.Report()
}

// All that is wrong is told, in the order of the lines, a line each.
func TestReport(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"", ""},
		{"name = \"x\"\nlist = []\ndoor \"red\" {\n height = 2\n}\ndoor \"red\" {\n height = 2\n}", ""},
		{"nam = 1\nlits = 2\nfar_away = 3", "F:1: unknown attribute \"nam\" (did you mean \"name\"?)\nF:2: unknown attribute \"lits\" (did you mean \"list\"?)\nF:3: unknown attribute \"far_away\""},
		{"name {\n}\ndoor = 1", "F:1: unknown block \"name\" (name is an attribute: write name = …)\nF:3: unknown attribute \"door\" (door is a block: write door { without =)"},
		{"dor \"red\" {\n}", "F:1: unknown block \"dor\" (did you mean \"door\"?)"},
		{"door {\n}\ndoor \"a\" \"b\" {\n}", "F:1: door has 0 labels, want 1: write door \"COLOUR\" {\nF:3: door has 2 labels, want 1: write door \"COLOUR\" {"},
		{"door \"red\" {\n bell \"x\" {\n }\n}", "F:1: door \"red\": height is missing\nF:2: door \"red\": bell has 1 label, want 0: write bell {"},
		{"door \"red\" {\n height = 0\n bell {\n }\n heigth = 1\n}\nname = null", "F:2: door \"red\": height: nobody fits through\nF:3: door \"red\": bell: it rings too loud\nF:5: door \"red\": unknown attribute \"heigth\" (did you mean \"height\"?)\nF:7: name: a value is required"},
		{"name = var.x\nlist = [\"\"]\nany = {}.x", "F:1: name: Variables not allowed: Variables may not be used here\nF:2: list: an element is null or empty\nF:3: any: Unsupported attribute: This object does not have an attribute named \"x\""},
		{"name = [1]\nlist = \"x\"", "F:1: name: string required\nF:2: list: list of string required"},
		{"name = ", "F:1: Missing expression: Expected the start of an expression, but found the end of the file"},
	} {
		if _, got := read(c.src); got != c.want {
			t.Errorf("%s\ngot\n%s\nwant\n%s", c.src, got, c.want)
		}
	}
}

// More than people read is counted, not told.
func TestReportEnds(t *testing.T) {
	var src strings.Builder
	for i := range maxProblems + 3 {
		fmt.Fprintf(&src, "zzzzzzzz%d = 1\n", i)
	}
	_, report := read(src.String())
	lines := strings.Split(report, "\n")
	if len(lines) != maxProblems+1 || lines[maxProblems] != "F: problems that are not told: 3" {
		t.Errorf("%d lines, the last %s", len(lines), lines[len(lines)-1])
	}
}

func TestFind(t *testing.T) {
	b, report := read("name = \"x\"\ndoor \"red\" {\n height = 1\n}\ndoor \"blue\" {\n height = 2\n}")
	if report != "" {
		t.Fatal(report)
	}
	if blue := b.Find("door", "blue"); blue == nil || blue.Line != 5 || blue.At("height") != 6 || blue.At("colour") != 5 {
		t.Errorf("%+v", blue)
	}
	if b.Find("door") != nil || b.Find("door", "green") != nil || b.Find("gate", "blue") != nil {
		t.Error("found what is not written")
	}
	if !slices.Equal(b.Asked(), []string{"name", "list", "any"}) || !slices.Equal(b.Written(), []string{"name"}) || b.Len() != 0 {
		t.Errorf("%q %q %d", b.Asked(), b.Written(), b.Len())
	}
}
