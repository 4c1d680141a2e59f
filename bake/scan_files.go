package bake

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"runtime"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"kiln/layers"
)

// fileScans are what the files of a step's last layer gave, by name and
// content: what did not change is not looked into again.
type fileScans struct {
	Plain []byte                `json:"plain"`           // names of texts in which nothing was found
	Other map[string]*layerScan `json:"other,omitempty"` // by name in hex
}

// fileName is what a file is known by here.
type fileName [sha256.Size]byte

func nameFile(path, digest string) fileName { return sha256.Sum256([]byte(path + "\x00" + digest)) }

// plainText is what a text gives in which nothing is found.
func (s *layerScan) plainText() bool {
	return s.Files == 1 && len(s.Found) == 0 && len(s.Unread) == 0 && len(s.Packages) == 0
}

// scanFiles looks into the layer of a step that only places files, without
// reading the layer: into those files of which the last layer of the step had
// no equal. The outcome is that of scanTar. It is nil where that must read the
// layer itself.
func (b *Builder) scanFiles(ctx context.Context, img *Image, l v1.Layer) (*layerScan, error) {
	step, ix, err := b.scannable(ctx, img, l)
	if err != nil || step == nil {
		return nil, err
	}
	entry := "files-" + key("scan files", scanForm, b.Scanner.Rules(), img.Name, img.Recipe.Platform(), step.Step) + ".json"
	var kept fileScans
	b.cache.load(&kept, "scans", entry)
	known := kept.names()
	s := &filesScan{scanner: b.Scanner, open: map[string]item{}}
	for _, it := range step.items {
		s.open["sha256:"+it.SHA256] = it
	}
	all, err := s.all(ctx, ix, func(n fileName) *layerScan { return known[n] })
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil { // a source is gone, or it changed: the layer has what counts
		return nil, nil
	}
	return all.sum(ix, s.paths), b.cache.save(all.keep(), "scans", entry)
}

// scannable finds the step that made a layer, and the layer's index, if the
// items of the step tell all that is in it.
func (b *Builder) scannable(ctx context.Context, img *Image, l v1.Layer) (*StepResult, *layers.Index, error) {
	i := slices.IndexFunc(img.Steps, func(s StepResult) bool { return s.layer == l })
	if i < 0 || img.Steps[i].Kind != ContentStep || len(img.Steps[i].items) == 0 {
		return nil, nil, nil
	}
	step := &img.Steps[i]
	if slices.ContainsFunc(step.items, func(it item) bool { return it.Kind == tar.TypeLink }) {
		return nil, nil, nil
	}
	ix, err := b.index(ctx, l)
	if err != nil {
		return nil, nil, err
	}
	sums := debianSums{} // excuse what is in other files
	for p, n := range ix.All() {
		if n.Type == layers.TypeWhiteout || n.Opaque || sums.reader("/"+p) != nil {
			return nil, nil, nil
		}
	}
	return step, ix, nil
}

func (k fileScans) names() map[fileName]*layerScan {
	known := map[fileName]*layerScan{}
	for n := range slices.Chunk(k.Plain, sha256.Size) {
		if len(n) == sha256.Size {
			known[fileName(n)] = &layerScan{Files: 1}
		}
	}
	for text, found := range k.Other {
		if n, err := hex.DecodeString(text); err == nil && len(n) == sha256.Size && found != nil {
			known[fileName(n)] = found
		}
	}
	return known
}

// filesScan looks into files by themselves.
type filesScan struct {
	scanner Scanner
	open    map[string]item // by digest
	paths   []string        // of the layer, in its order
}

// scannedFiles are what files gave, in the order of the layer.
type scannedFiles []scannedFile

type scannedFile struct {
	name  fileName
	found *layerScan
}

// all looks into the files of a layer, several at once, but those that are known.
func (s *filesScan) all(ctx context.Context, ix *layers.Index, known func(fileName) *layerScan) (scannedFiles, error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	s.paths = ix.Paths()
	all := make(scannedFiles, 0, len(s.paths)) // filled in place: it must not move
	for _, p := range s.paths {
		n, _ := ix.Node(p)
		if n.Type != tar.TypeReg {
			continue
		}
		name := nameFile(p, n.Digest)
		all = append(all, scannedFile{name, known(name)})
		if f := &all[len(all)-1]; f.found == nil {
			group.Go(func() (err error) {
				f.found, err = s.one(ctx, "/"+p, n)
				return err
			})
		}
	}
	return all, group.Wait()
}

// errOther says that a source is not what went into the layer.
var errOther = errors.New("the source is not what the layer has")

func (s *filesScan) one(ctx context.Context, name string, n layers.Node) (*layerScan, error) {
	it, ok := s.open[n.Digest]
	if !ok || it.Open == nil {
		return nil, errOther
	}
	content, err := it.Open()
	if err != nil {
		return nil, err
	}
	defer content.Close()
	hash := sha256.New()
	r := io.TeeReader(content, hash)
	scan := newTarScan(s.scanner, maxExpanded)
	err = scan.run(ctx, 1, func(ctx context.Context) error { return scan.file(ctx, name, n.Size, r, nil, 0) })
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return nil, err
	}
	if "sha256:"+hex.EncodeToString(hash.Sum(nil)) != n.Digest {
		return nil, errOther
	}
	scan.settle()
	return scan.result, nil
}

func (all scannedFiles) keep() fileScans {
	k := fileScans{Other: map[string]*layerScan{}}
	for _, f := range all {
		if f.found.plainText() {
			k.Plain = append(k.Plain, f.name[:]...)
		} else {
			k.Other[hex.EncodeToString(f.name[:])] = f.found
		}
	}
	return k
}

// sum is the scan of the layer.
func (all scannedFiles) sum(ix *layers.Index, paths []string) *layerScan {
	sum := &layerScan{Unread: unread{}}
	for _, p := range paths {
		if n, _ := ix.Node(p); !n.Implicit {
			h := &tar.Header{Typeflag: n.Type, Mode: int64(n.Mode)}
			if n.Capability != "" {
				h.PAXRecords = map[string]string{capabilityRecord: n.Capability}
			}
			sum.Marks = append(sum.Marks, marksOf("/"+p, h)...)
		}
	}
	for _, f := range all {
		sum.Files += f.found.Files
		sum.Found = append(sum.Found, f.found.Found...)
		sum.Packages = append(sum.Packages, f.found.Packages...)
		for reason, c := range f.found.Unread {
			if had := sum.Unread[reason]; had.First != "" {
				c = count{had.Files + c.Files, had.Bytes + c.Bytes, min(had.First, c.First)}
			}
			sum.Unread[reason] = c
		}
	}
	slices.SortFunc(sum.Packages, comparePackages)
	slices.SortFunc(sum.Found, compareSecrets)
	sum.Found = slices.Compact(sum.Found)
	return sum
}
