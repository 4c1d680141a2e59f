package main

import (
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"kiln/registry/hclfile"
	"kiln/registry/promotion"
)

func (b *configBlock) text(name, def string) string {
	if text, ok := b.Text(name); ok {
		return text
	}
	return def
}

// oneOf is a text that must be among those; the first is the default.
func (b *configBlock) oneOf(name string, allowed ...string) string {
	s := b.text(name, allowed[0])
	if !slices.Contains(allowed, s) {
		b.Wrong(name, "%q is not one of %s%s", s, strings.Join(allowed, ", "), hclfile.DidYouMean(s, allowed))
		return allowed[0]
	}
	return s
}

// textMap reads { name = "value" }.
func (b *configBlock) textMap(name string) map[string]string {
	v, ok := b.Value(name, cty.Map(cty.String))
	if !ok {
		return nil
	}
	m := map[string]string{}
	for it := v.ElementIterator(); it.Next(); {
		k, e := it.Element()
		if e.IsNull() || e.AsString() == "" {
			b.Wrong(name, "%s has no value", k.AsString())
			m[k.AsString()] = ""
			continue
		}
		m[k.AsString()] = e.AsString()
	}
	return m
}

func (b *configBlock) boolean(name string, def bool) bool {
	v, ok := b.Value(name, cty.Bool)
	if !ok {
		return def
	}
	return v.True()
}

// whole is a whole number within bounds.
func (b *configBlock) whole(name string, def, low, high int) int {
	v, ok := b.Value(name, cty.Number)
	if !ok {
		return def
	}
	f, _ := v.AsBigFloat().Float64()
	if f != math.Trunc(f) || f < float64(low) || f > float64(high) {
		b.Wrong(name, "want a whole number from %d to %d", low, high)
		return def
	}
	return int(f)
}

// fraction is a number from 0 to 1.
func (b *configBlock) fraction(name string, def float64) float64 {
	v, ok := b.Value(name, cty.Number)
	if !ok {
		return def
	}
	f, _ := v.AsBigFloat().Float64()
	if f < 0 || f > 1 {
		b.Wrong(name, "want a number from 0 to 1")
		return def
	}
	return f
}

// duration is a time span of at least low and at most high.
func (b *configBlock) duration(name string, def, low, high time.Duration) time.Duration {
	text := b.text(name, "")
	if text == "" {
		if b.Has(name) {
			b.Wrong(name, `want a time span like "90s", "12h" or "7d"`)
		}
		return def
	}
	var span promotion.Duration
	err := span.UnmarshalText([]byte(text))
	d := time.Duration(span)
	switch {
	case err != nil:
		b.Wrong(name, "%v", err)
	case d < low || d > high:
		b.Wrong(name, "%s is not between %s and %s", text, promotion.Duration(low), promotion.Duration(high))
	default:
		return d
	}
	return def
}

const day = 24 * time.Hour

// size is a number of bytes, at least low: 1048576, "64KiB", "10GiB", "5GB".
func (b *configBlock) size(name string, def, low int64) int64 {
	text := b.text(name, "")
	if text == "" {
		if b.Has(name) {
			b.Wrong(name, `want a size like "64KiB" or "10GiB"`)
		}
		return def
	}
	n, err := parseSize(text)
	switch {
	case err != nil:
		b.Wrong(name, "%v", err)
	case n < low:
		b.Wrong(name, "%s is less than %d bytes", text, low)
	default:
		return n
	}
	return def
}

// path is a path made absolute, relative to the configuration file.
func (b *configBlock) path(name string) string {
	p := b.text(name, "")
	if p == "" {
		if b.Has(name) {
			b.Wrong(name, "want a path")
		}
		return ""
	}
	if !filepath.IsAbs(p) {
		p = filepath.Join(b.dir, p)
	}
	return p
}

// file is the path of a file that can be read.
func (b *configBlock) file(name string) string {
	p := b.path(name)
	if p == "" {
		return ""
	}
	f, err := os.Open(p)
	if err != nil {
		b.Wrong(name, "%v", err)
		return p
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		b.Wrong(name, "%s is a folder", p)
	}
	return p
}

// address is host:port, or "" where it is not written.
func (b *configBlock) address(name, def string) string {
	s := b.text(name, def)
	if s == "" {
		return ""
	}
	_, port, err := net.SplitHostPort(s)
	if _, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil {
		b.Wrong(name, "%q: want host:port", s)
		return def
	}
	return s
}

// networks reads addresses and prefixes: "10.0.0.7", "10.0.0.0/8".
func (b *configBlock) networks(name string) []netip.Prefix {
	var list []netip.Prefix
	for _, s := range b.Texts(name) {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			var a netip.Addr
			if a, err = netip.ParseAddr(s); err == nil {
				p = netip.PrefixFrom(a, a.BitLen())
			}
		}
		if err != nil {
			b.Wrong(name, "%q is no address and no network like 10.0.0.0/8", s)
			continue
		}
		if p.Bits() == 0 {
			b.Wrong(name, "%q is everybody, who could then write any address into the log", s)
			continue
		}
		list = append(list, p.Masked())
	}
	return list
}
