package s3store

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"kiln/registry/store"
)

func nonces(n int) []string {
	var list []string
	for range n {
		list = append(list, newNonce())
	}
	return list
}

func TestRecord(t *testing.T) {
	for _, r := range []record{
		{nonces: nonces(1)},
		{nonces: nonces(history), value: []byte("value\n\x00\xff")},
		{nonces: nonces(3), value: bytes.Repeat([]byte("x"), store.MaxPointerSize)},
		{nonces: nonces(1), tombstone: true},
		{nonces: nonces(history), tombstone: true},
	} {
		data := r.encode()
		got, err := decodeRecord(data)
		if err != nil || !slices.Equal(got.nonces, r.nonces) || !bytes.Equal(got.value, r.value) || got.tombstone != r.tombstone {
			t.Errorf("%d nonces, %d bytes: got %v, %v", len(r.nonces), len(r.value), got.nonces, err)
		}
		// A listing tells tombstones by their sizes.
		if (len(data) < headLength) != r.tombstone {
			t.Errorf("tombstone %v has %d bytes", r.tombstone, len(data))
		}
	}
	if a, b := (record{nonces: nonces(1), value: []byte("v")}).encode(), (record{nonces: nonces(1), value: []byte("v")}).encode(); bytes.Equal(a, b) {
		t.Error("two swaps to the same value write the same bytes: an ETag that is an MD5 would not tell them apart")
	}
}

func TestRecordDamage(t *testing.T) {
	whole := record{nonces: nonces(2), value: []byte("value")}.encode()
	for i := range whole {
		for _, broken := range [][]byte{whole[:i], append(slices.Clone(whole[:i]), append([]byte{whole[i] ^ 1}, whole[i+1:]...)...)} {
			r, err := decodeRecord(broken)
			if err == nil && !bytes.Equal(r.value, []byte("value")) {
				t.Fatalf("damage at %d is read as %q", i, r.value)
			}
			if err != nil && !errors.Is(err, errDamaged) {
				t.Fatalf("damage at %d: %v", i, err)
			}
		}
	}
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add(record{nonces: nonces(2), value: []byte("value")}.encode())
	f.Add(record{nonces: nonces(1), tombstone: true}.encode())
	f.Add([]byte(pointerMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decodeRecord(data)
		if err != nil {
			return
		}
		again, err := decodeRecord(r.encode())
		if err != nil || !slices.Equal(again.nonces, r.nonces) || !bytes.Equal(again.value, r.value) {
			t.Fatalf("%q is not read as it is written: %v", data, err)
		}
		rev := revision{"etag", r.nonces}
		if back, ok := parseRevision(rev.String()); !ok || !slices.Equal(back.nonces, rev.nonces) {
			t.Fatalf("revision %s is not read back", rev)
		}
	})
}

// TestSettle: what became of a swap whose answer was lost (FAULTS 42).
func TestSettle(t *testing.T) {
	old, ours, theirs := newNonce(), newNonce(), newNonce()
	from := revision{"etag", []string{old}}
	many := nonces(history)
	for what, c := range map[string]struct {
		from revision
		now  []string
		want fate
	}{
		"not done":                         {from, []string{old}, pending},
		"done":                             {from, []string{ours, old}, succeeded},
		"done, then another":               {from, []string{theirs, ours, old}, succeeded},
		"another instead":                  {from, []string{theirs, old}, lost},
		"others instead":                   {from, []string{newNonce(), theirs, old}, lost},
		"gone by hand":                     {from, nil, lost},
		"made anew by hand":                {from, []string{theirs}, lost},
		"too many since":                   {from, many, doubtful},
		"too many, ours the last known":    {from, append(many[:history-1:history-1], ours), succeeded},
		"create not done":                  {revision{}, nil, pending},
		"create done":                      {revision{}, []string{ours}, succeeded},
		"create done, then another":        {revision{}, []string{theirs, ours}, succeeded},
		"created by another":               {revision{}, []string{theirs}, lost},
		"created by another, many since":   {revision{}, many, doubtful},
		"created by another, nearly many":  {revision{}, many[1:], lost},
		"the newest known of many is ours": {revision{}, append([]string{ours}, many[1:]...), succeeded},
	} {
		if got := settle(c.from, ours, record{nonces: c.now}); got != c.want {
			t.Errorf("%s: got %d, want %d", what, got, c.want)
		}
	}
}

func TestRevision(t *testing.T) {
	for _, s := range []string{"", "made-up", " ", "etag ", " " + newNonce(), "etag x", "e\"tag " + newNonce(), "* " + newNonce(), "etag " + strings.Join(nonces(history+1), ",")} {
		if r, ok := parseRevision(s); ok {
			t.Errorf("%q is read as %v", s, r)
		}
	}
}
