package bake

import (
	"archive/tar"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"kiln/layers"
)

// detailSchema is the schema of a detail.
const detailSchema = "kiln.index/v1"

// Bounds of a detail, in bytes: as it is stored, and unpacked.
const (
	maxDetail    = 64 << 20
	maxDetailRaw = 256 << 20
)

// detail is what a record keeps of one step beside itself, because it is large
// and equal in many versions: the items that a content step placed, and the
// path index of the layer that came of it.
type detail struct {
	Schema string        `json:"schema"`
	Items  []detailItem  `json:"items,omitempty"`
	Index  *layers.Index `json:"index,omitempty"`
	Scan   *detailScan   `json:"scan,omitempty"`
}

// detailItem is an item without its content, which the layer has.
type detailItem struct {
	Target   string `json:"p"`
	Kind     byte   `json:"t"`
	Mode     uint32 `json:"m,omitempty"`
	UID      int    `json:"u,omitempty"`
	GID      int    `json:"g,omitempty"`
	Link     string `json:"l,omitempty"`
	Size     int64  `json:"s,omitempty"`
	SHA256   string `json:"d,omitempty"`
	Seconds  *int64 `json:"x,omitempty"` // modification time
	Declared bool   `json:"c,omitempty"`
	// Capability is that of the item.
	Capability string `json:"k,omitempty"`
}

func detailItems(items []item) []detailItem {
	list := make([]detailItem, len(items))
	for i, it := range items {
		list[i] = detailItem{
			Target: it.Target, Kind: it.Kind, Mode: it.Mode, UID: it.UID, GID: it.GID, Link: it.Link,
			Size: it.Size, SHA256: it.SHA256, Declared: it.Declared, Capability: it.Capability,
		}
		if it.ModTime != nil {
			seconds := it.ModTime.Unix()
			list[i].Seconds = &seconds
		}
	}
	return list
}

// items are the recorded ones; open reads a file of the layer by what it holds.
func (d detail) items(open func(sha256 string) (io.ReadCloser, error)) []item {
	list := make([]item, len(d.Items))
	for i, it := range d.Items {
		list[i] = item{
			Target: it.Target, Kind: it.Kind, Mode: it.Mode, UID: it.UID, GID: it.GID, Link: it.Link,
			Size: it.Size, SHA256: it.SHA256, Declared: it.Declared, Capability: it.Capability,
		}
		if it.Seconds != nil {
			t := time.Unix(*it.Seconds, 0).UTC()
			list[i].ModTime = &t
		}
		if it.Kind == tar.TypeReg {
			list[i].Open = func() (io.ReadCloser, error) { return open(it.SHA256) }
		}
	}
	return list
}

// encode gives equal details equal bytes, so that a store keeps them once.
func (d detail) encode() (blob, error) {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return blob{}, err
	}
	text, err := d.appendJSON(nil)
	if err != nil {
		return blob{}, err
	}
	if _, err := z.Write(append(text, '\n')); err != nil {
		return blob{}, err
	}
	if err := z.Close(); err != nil {
		return blob{}, err
	}
	if out.Len() > maxDetail {
		return blob{}, fmt.Errorf("its index has %d bytes, more than %d", out.Len(), maxDetail)
	}
	return newBlob(DetailMediaType, out.Bytes()), nil
}

// parseDetail reads what encode wrote, strictly.
func parseDetail(data []byte) (*detail, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("read index: %w", err)
	}
	defer z.Close()
	raw, err := io.ReadAll(io.LimitReader(z, maxDetailRaw+1))
	if err != nil {
		return nil, fmt.Errorf("read index: %w", err)
	}
	if len(raw) > maxDetailRaw {
		return nil, fmt.Errorf("read index: more than %d bytes", maxDetailRaw)
	}
	var d detail
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		return nil, fmt.Errorf("read index: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("read index: more text after the end")
	}
	if d.Schema != detailSchema {
		return nil, fmt.Errorf("read index: schema %q is not %q: this kiln cannot read it", clipped(d.Schema), detailSchema)
	}
	for _, it := range d.Items {
		if err := it.check(); err != nil {
			return nil, fmt.Errorf("read index: %q: %w", clipped(it.Target), err)
		}
	}
	return &d, nil
}

// lacksCapabilities tells that an index is of a time when indexes did not know
// of file capabilities, which the scan of the layer always did.
func (d detail) lacksCapabilities() bool {
	if d.Scan == nil || !slices.ContainsFunc(d.Scan.Marks, func(m mark) bool { return m.What == isCapable }) {
		return false
	}
	for _, n := range d.Index.All() {
		if n.Capability != "" {
			return false
		}
	}
	return true
}

func (it detailItem) check() error {
	kinds := []byte{tar.TypeReg, tar.TypeDir, tar.TypeSymlink, tar.TypeLink, tar.TypeFifo, tar.TypeChar, tar.TypeBlock}
	sum, err := hex.DecodeString(it.SHA256)
	_, capErr := layers.CapabilityXattrs(it.Capability)
	switch {
	case capErr != nil:
		return capErr
	case !path.IsAbs(it.Target) || path.Clean(it.Target) != it.Target || strings.ContainsRune(it.Target, 0):
		return errors.New("is no absolute, clean path")
	case !slices.Contains(kinds, it.Kind):
		return fmt.Errorf("unknown kind %q", it.Kind)
	case it.Kind == tar.TypeReg && (err != nil || len(sum) != 32):
		return errors.New("is a file without a digest")
	case it.Size < 0 || it.UID < 0 || it.GID < 0 || it.Mode > 0o7777:
		return errors.New("has an impossible size, owner or mode")
	}
	return nil
}
