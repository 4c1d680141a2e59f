package layers

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

// indexFormat is the first line of an index file.
const indexFormat = `{"format":"kiln.index.v1"}`

// maxIndexLine bounds one line of an index file in bytes.
const maxIndexLine = 64 << 10

type indexLine struct {
	Path string `json:"p"`
	Node
}

// WriteTo writes the index as JSON lines: a line naming the format, then one
// per path in tree order. The bytes follow from the index alone.
func (ix *Index) WriteTo(w io.Writer) (int64, error) {
	out := bufio.NewWriter(w)
	n, err := fmt.Fprintln(out, indexFormat)
	total := int64(n)
	for _, p := range ix.Paths() {
		line, err := json.Marshal(indexLine{p, ix.nodes[p]})
		if err != nil {
			return total, err
		}
		n, _ := out.Write(append(line, '\n'))
		total += int64(n)
	}
	if err == nil {
		err = out.Flush()
	}
	return total, err
}

// ReadIndex reads what WriteTo wrote.
func ReadIndex(r io.Reader) (*Index, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxIndexLine)
	if !lines.Scan() || lines.Text() != indexFormat {
		return nil, errors.New("read index: first line is not " + indexFormat)
	}
	ix := NewIndex()
	for number := 2; lines.Scan(); number++ {
		dec := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		dec.DisallowUnknownFields()
		var line indexLine
		err := dec.Decode(&line)
		if err == nil {
			err = ix.readLine(line)
		}
		if err != nil {
			return nil, fmt.Errorf("read index: line %d: %w", number, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read index: %w", err)
	}
	return ix, nil
}

func (ix *Index) readLine(line indexLine) error {
	if line.Path != "." {
		if err := CheckPath(line.Path); err != nil {
			return err
		}
	}
	if strings.HasPrefix(path.Base(line.Path), WhiteoutPrefix) || strings.HasPrefix(typeName(line.Type), "thing") {
		return fmt.Errorf("%q: not a node of an index", line.Path)
	}
	if _, err := CapabilityXattrs(line.Capability); err != nil {
		return fmt.Errorf("%q: %w", line.Path, err)
	}
	if _, twice := ix.nodes[line.Path]; twice {
		return fmt.Errorf("%q: listed twice", line.Path)
	}
	ix.nodes[line.Path] = line.Node
	return nil
}

// UnmarshalJSON decodes what MarshalJSON encoded.
func (ix *Index) UnmarshalJSON(data []byte) error {
	var nodes map[string]Node
	if err := json.Unmarshal(data, &nodes); err != nil {
		return err
	}
	ix.nodes = make(map[string]Node, len(nodes))
	for p, n := range nodes {
		if err := ix.readLine(indexLine{p, n}); err != nil {
			return err
		}
	}
	return nil
}
