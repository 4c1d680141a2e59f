package trustfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"kiln/registry/promotion"
)

// Format writes what a store trusts as a trust.hcl, for deployers to start
// from: whoever takes it as it is trusts the store, not the people behind it.
// storeID may be "". An error for an entry that no rule could say.
func Format(t promotion.Trust, storeID string) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("# What a store trusts, as it says itself. Before you trust it, compare each key's\n" +
		"# id and each identity with what its owner tells you on another way.\n\n")
	if storeID != "" {
		fmt.Fprintf(&b, "store_id = %s\n\n", quoted(storeID))
	}
	if len(t.Root) > 0 {
		var root bytes.Buffer
		if err := json.Indent(&root, t.Root, "", "  "); err != nil {
			return nil, fmt.Errorf("trusted root: %w", err)
		}
		fmt.Fprintf(&b, "trusted_root = <<EOT\n%s\nEOT\n\n", escaped(root.String()))
	}
	for i, e := range t.Entries {
		if err := e.Check(); err != nil {
			return nil, fmt.Errorf("entry %d: %w", i+1, err)
		}
		formatEntry(&b, e)
	}
	return b.Bytes(), nil
}

func formatEntry(b *bytes.Buffer, e promotion.TrustEntry) {
	fmt.Fprintf(b, "# %s", strings.Map(printable, e.KeyID))
	if e.AddedBy != "" && e.AddedBy != e.KeyID {
		fmt.Fprintf(b, ", added by %s", strings.Map(printable, e.AddedBy))
	}
	if !e.AddedAt.IsZero() {
		fmt.Fprintf(b, ", %s", e.AddedAt.UTC().Format(time.DateOnly))
	}
	fmt.Fprintf(b, "\n%s {\n  image = %s\n", e.Role, quoted(e.Image))
	if len(e.Channels) > 0 {
		list := make([]string, len(e.Channels))
		for i, c := range e.Channels {
			list[i] = quoted(c)
		}
		fmt.Fprintf(b, "  channels = [%s]\n", strings.Join(list, ", "))
	}
	formatDate(b, "not_before", e.NotBefore)
	formatDate(b, "not_after", e.NotAfter)
	if i := e.Identity; i != nil {
		fmt.Fprintf(b, "  identity {\n    issuer = %s\n", quoted(i.Issuer))
		if i.Subject != "" {
			fmt.Fprintf(b, "    subject = %s\n", quoted(i.Subject))
		} else {
			fmt.Fprintf(b, "    subject_regexp = %s\n", quoted(i.SubjectRegexp))
		}
		b.WriteString("  }\n")
	} else {
		fmt.Fprintf(b, "  key = <<EOT\n%s\nEOT\n", escaped(strings.TrimSpace(e.Key)))
	}
	b.WriteString("}\n\n")
}

func formatDate(b *bytes.Buffer, name string, t *time.Time) {
	if t != nil {
		fmt.Fprintf(b, "  %s = %q\n", name, t.UTC().Format(time.RFC3339Nano))
	}
}

// quoted is a text as HCL writes it.
func quoted(s string) string { return escaped(strconv.Quote(s)) }

// escaped keeps a text from being a template.
func escaped(s string) string {
	return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(s)
}

// printable keeps a comment on its line.
func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}
