package trustfile

import (
	"fmt"
	"time"

	"kiln/registry/hclfile"
	"kiln/registry/promotion"
)

// block is a block of a trust file, or the file. What is missing or wrong reads
// as the zero value, the latter with a problem noted.
type block struct{ *hclfile.Block }

// refused is what is wrong with a file, KindInvalid; nil without anything.
func refused(ps *hclfile.Problems) error {
	if ps.Len() == 0 {
		return nil
	}
	return &promotion.Error{Kind: promotion.KindInvalid, Message: ps.Report()}
}

// text is a text that is not empty, "" where it is missing or wrong.
func (b block) text(name string) string {
	text, ok := b.Text(name)
	if ok && text == "" {
		b.Wrong(name, "it is empty")
	}
	return text
}

// texts are at least one text, none of them empty; nil where it is missing or
// wrong.
func (b block) texts(name string) []string {
	list := b.Texts(name)
	if list != nil && len(list) == 0 {
		b.Wrong(name, "the list is empty: name at least one, or leave it out")
	}
	return list
}

// date is a time; end takes the end of a day that stands for itself.
func (b block) date(name string, end bool) *time.Time {
	text := b.text(name)
	if text == "" {
		return nil
	}
	t, err := ParseDate(text, end)
	if err != nil {
		b.Wrong(name, "%v", err)
		return nil
	}
	return &t
}

// ParseDate reads a time as RFC 3339 has it, or a day, which stands for its
// beginning in UTC, or with end for its end.
func ParseDate(s string, end bool) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		if end {
			t = t.AddDate(0, 0, 1).Add(-time.Second)
		}
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%.40q is no time: write 2026-12-31 or 2026-12-31T18:00:00Z", s)
	}
	return t.UTC(), nil
}

// blocks are the blocks of a type, each with a label for every word of labels.
func (b block) blocks(typ string, labels ...string) []block {
	var list []block
	for _, in := range b.Blocks(typ, labels...) {
		list = append(list, block{in})
	}
	return list
}
