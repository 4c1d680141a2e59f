package trustfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"kiln/registry/hclfile"
	"kiln/registry/promotion"
	"kiln/sign"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// Bounds on what is read.
const (
	maxFile    = 512 << 10 // bytes of a trust.hcl, and of what file("…") names
	maxEntries = 1000      // keys and identities
)

// Load reads a file. Names in it are relative to its folder. fs.ErrNotExist if
// it is missing; else see Parse.
func Load(path string) (*File, error) {
	src, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("trust file: %w", err)
	}
	return Parse(path, src, func(name string) ([]byte, error) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(path), name)
		}
		return readFile(name)
	})
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxFile {
		return nil, fmt.Errorf("%s: more than %d bytes", path, maxFile)
	}
	return content, nil
}

// Parse reads the source of a file whose name is for people; read answers
// file("…"). All that is wrong is one error, a *promotion.Error of KindInvalid
// with a line for each problem, such as `trust.hcl:7: promote: image is
// missing`.
func Parse(name string, src []byte, read func(name string) ([]byte, error)) (*File, error) {
	ps := &hclfile.Problems{File: name}
	if len(src) > maxFile {
		ps.Add(0, "", "%d bytes, at most %d are read", len(src), maxFile)
		return nil, refused(ps)
	}
	b, ok := parse(ps, src, functions(read))
	if !ok {
		return nil, refused(ps)
	}
	f := b.file()
	if err := refused(ps); err != nil {
		return nil, err
	}
	return f, nil
}

// functions are what an expression may call: file("…").
func functions(read func(string) ([]byte, error)) *hcl.EvalContext {
	return &hcl.EvalContext{Functions: map[string]function.Function{"file": function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			name := args[0].AsString()
			if read == nil || name == "" {
				return cty.NilVal, fmt.Errorf("file %q cannot be read here", name)
			}
			content, err := read(name)
			if errors.Is(err, fs.ErrNotExist) {
				return cty.NilVal, fmt.Errorf("there is no file %s", name)
			}
			if err == nil && len(content) > maxFile {
				err = fmt.Errorf("more than %d bytes", maxFile)
			}
			return cty.StringVal(string(content)), err
		},
	})}}
}

// file reads all blocks.
func (b block) file() *File {
	f := &File{Name: b.File, Trust: promotion.Trust{
		Schema: promotion.TrustSchema, Closed: []promotion.Role{promotion.RoleBake, promotion.RolePromote, promotion.RoleApprove},
	}}
	f.StoreID = b.text("store_id")
	f.MaxAge = b.span("max_age")
	root := b.text("trusted_root")
	if root != "" && !json.Valid([]byte(root)) {
		b.Wrong("trusted_root", `no JSON: write trusted_root = file("trusted_root.json")`)
		root = ""
	}
	if root != "" {
		f.Trust.Root = json.RawMessage(root)
	}
	for _, role := range []promotion.Role{promotion.RoleBake, promotion.RolePromote, promotion.RoleApprove} {
		for _, in := range b.blocks(string(role)) {
			r := in.rule(role, "")
			f.Trust.Entries = append(f.Trust.Entries, r.entries...)
			if role == promotion.RoleBake {
				f.bakes = append(f.bakes, bakeBlock{r.image, in.Line, r.require})
			}
		}
	}
	for _, in := range b.blocks("third_party", "HOST/NAME") {
		f.third = append(f.third, in.thirdParty())
	}
	b.Done()
	b.sane(f)
	return f
}

// span is a time span above zero.
func (b block) span(name string) time.Duration {
	text := b.text(name)
	if text == "" {
		return 0
	}
	var d promotion.Duration
	err := d.UnmarshalText([]byte(text))
	if err == nil && d <= 0 {
		err = errors.New("want a time span above zero, such as 24h")
	}
	if err != nil {
		b.Wrong(name, "%v", err)
	}
	return time.Duration(d)
}

// sane refuses a file that could let nothing pass, and identities that nothing
// could be held against.
func (b block) sane(f *File) {
	if b.Len() > 0 {
		return
	}
	if len(f.third) == 0 && !slices.ContainsFunc(f.Trust.Entries, func(e promotion.TrustEntry) bool { return e.Role == promotion.RoleBake }) {
		b.Add(0, "", `it trusts nobody: write bake { image = "acme/**" key = file("bake.pub") }, or kiln trust export`)
	}
	n := len(f.Trust.Entries)
	for _, t := range f.third {
		n += len(t.principals)
	}
	if n > maxEntries {
		b.Add(0, "", "%d keys and identities, at most %d are read", n, maxEntries)
		return
	}
	if err := f.check(); err != nil {
		b.Add(0, "", "%v", err)
	}
}

// check makes every verifier once, so that no rule turns out to be unusable
// when it is needed.
func (f *File) check() error {
	var all []sign.Principal
	for _, e := range f.Trust.Entries {
		all = append(all, e.Principal())
	}
	for _, t := range f.third {
		all = append(all, t.principals...)
	}
	_, err := sign.NewVerifierFor(sign.VerifierConfig{Principals: all, TrustedRoot: f.Trust.Root})
	return err
}
