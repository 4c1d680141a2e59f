package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// The rows of the table.
var (
	rowPlain    = row{"push of 1 GiB", seconds}
	rowChunked  = row{"push of 1 GiB, " + string(chunked), seconds}
	rowSmall    = row{"push of 10,000 blobs of 1 KiB, 8 clients", perSecond}
	rowSmallOld = row{"push of 10,000 blobs of 1 KiB, 8 clients, " + string(chunked), perSecond}
	rowPull     = row{"pull of 1 GiB", seconds}
	rowManifest = row{"manifest GET by tag, 8 clients", perSecond}
	rowTags     = row{"list 100,000 tags, pages of 1,000", seconds}
	rowStart    = row{"start with 100,000 blobs and tags", seconds}
	rowMemory   = row{"peak resident memory, MiB", mebibytes}
)

// load is one kind of concurrent transfer.
type load struct {
	name    string
	size    int64
	count   int
	clients int
}

// push is the row of pushing it.
func (l load) push() row { return row{"push of " + l.name, perSecond} }

var loads = []load{
	{"1 MB, 2 clients", mib, 300, 2},
	{"1 MB, 8 clients", mib, 300, 8},
	{"10 MB, 8 clients", 10 * mib, 60, 8},
	{"100 MB, 8 clients", 100 * mib, 8, 8},
}

// longest is how long a row may take: a slow server gets fewer requests then.
const longest = 5 * time.Second

const repo = "bench/app"

// plainWrites are the limit of pushes: the same bytes from as many writers at
// once, each file written and fdatasynced, without names that must last.
func plainWrites(t *table, _ *peers, dir string) error {
	for _, l := range append([]load{{"1 GiB", gib, 1, 1}}, loads...) {
		r := l.push()
		if l.size == gib {
			r = rowPlain
		}
		if !t.wants(r) {
			continue
		}
		done, took, err := l.plainly(dir)
		if err != nil {
			return err
		}
		t.add(r, plain, r.unit.of(done, took))
	}
	return nil
}

// plainly writes the load's blobs into files, which stay to the end: the memory
// of one that is gone would serve the next.
func (l load) plainly(dir string) (int, time.Duration, error) {
	dir = filepath.Join(dir, "plain")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return 0, 0, err
	}
	defer os.RemoveAll(dir)
	blobs := blobOf(l.name, l.count, l.size)
	return share(l.clients, l.count, longest, func(_, i int) error {
		f, err := os.Create(filepath.Join(dir, fmt.Sprint(i)))
		if err != nil {
			return err
		}
		defer f.Close()
		for _, part := range blobs[i].bytes() {
			if _, err := f.Write(part); err != nil {
				return err
			}
		}
		return syscall.Fdatasync(int(f.Fd()))
	})
}

// kept holds the blobs of a row from round to round: each round has new
// stores, and hashing costs more than pushing.
var kept = map[string][]blob{}

func blobOf(name string, n int, size int64) []blob {
	if kept[name] == nil {
		kept[name] = newBlobs(n, size)
	}
	return kept[name]
}

// pushes times every way to push, each on both registries in turn.
func pushes(t *table, p *peers, _ string) error {
	rows := []struct {
		row     row
		blobs   string
		count   int
		size    int64
		clients int
		how     style
	}{
		{rowPlain, "1 GiB", 1, gib, 1, whole},
		{rowChunked, "1 GiB, chunked", 1, gib, 1, chunked},
		{rowSmall, "small", 10_000, 1 << 10, 8, whole},
		{rowSmallOld, "small, chunked", 10_000, 1 << 10, 8, chunked},
	}
	for _, l := range loads {
		r := rows[0]
		r.row, r.blobs, r.count, r.size, r.clients = l.push(), l.name, l.count, l.size, l.clients
		rows = append(rows, r)
	}
	for _, r := range rows {
		if !t.wants(r.row) {
			continue
		}
		blobs := blobOf(r.blobs, r.count, r.size)
		for _, s := range p.registries() {
			each := func(c *conn, i int) error { return c.push(repo, blobs[i], r.how) }
			done, took, err := spread(s.addr, r.clients, r.count, each)
			if err != nil {
				return fmt.Errorf("%s, %s: %w\n%s", r.row.name, s.name, err, lastLines(s.log))
			}
			t.add(r.row, s.name, r.row.unit.of(done, took))
		}
	}
	return nil
}

// pulls times pulls from the registries, and of the same files from nginx.
func pulls(t *table, p *peers, _ string) error {
	rows := []struct {
		row  row
		load load
	}{{rowPull, load{"1 GiB", gib, 1, 1}}}
	for _, l := range loads {
		rows = append(rows, struct {
			row  row
			load load
		}{row{"pull of " + l.name, perSecond}, l})
	}
	for _, r := range rows {
		if !t.wants(r.row) {
			continue
		}
		blobs := blobOf(r.load.name, r.load.count, r.load.size)
		for _, s := range append(p.registries(), p.named(nginx)) {
			if err := p.has(s, blobs); err != nil {
				return err
			}
			each := func(c *conn, i int) error { return c.pull(s, blobs[i%len(blobs)]) }
			// The first round brings files into the page cache, and has kiln check
			// them; what was written just now it checks once more.
			if _, _, err := spread(s.addr, r.load.clients, 2*len(blobs), each); err != nil {
				return fmt.Errorf("%s, %s: %w\n%s", r.row.name, s.name, err, lastLines(s.log))
			}
			count := max(r.load.count, int(2*gib/r.load.size))
			done, took, err := spread(s.addr, r.load.clients, count, each)
			if err != nil {
				return fmt.Errorf("%s, %s: %w\n%s", r.row.name, s.name, err, lastLines(s.log))
			}
			if r.row.unit == seconds {
				took /= time.Duration(done)
			}
			t.add(r.row, s.name, r.row.unit.of(done, took))
		}
	}
	return nil
}

// has pushes what a row that was left out did not.
func (p *peers) has(s *server, blobs []blob) error {
	if s.name == nginx {
		return nil
	}
	c, err := dial(s.addr)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, b := range blobs {
		a, err := c.head(blobPath(b))
		if err == nil && a.status != 200 {
			err = c.push(repo, b, whole)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func blobPath(b blob) string { return "/v2/" + repo + "/blobs/" + b.digest }

func (c *conn) pull(s *server, b blob) error {
	path := blobPath(b)
	if s.name == nginx {
		path = b.file()
	}
	a, err := c.want(200, "GET", path, "", blob{})
	if err == nil && a.size != b.size {
		err = fmt.Errorf("GET %s: %d bytes, want %d", path, a.size, b.size)
	}
	return err
}

// manifests times what a client asks most: what does this tag name.
func manifests(t *table, p *peers, _ string) error {
	if !t.wants(rowManifest) {
		return nil
	}
	for _, s := range p.registries() {
		if _, err := pushImage(s); err != nil {
			return fmt.Errorf("%s: %w\n%s", s.name, err, lastLines(s.log))
		}
	}
	const accept = "Accept: application/vnd.oci.image.manifest.v1+json\r\n"
	for try := range 2 { // the first warms up
		for _, s := range p.registries() {
			done, took, err := spread(s.addr, 8, 1<<30, func(c *conn, _ int) error {
				a, err := c.get("/v2/"+repo+"/manifests/latest", accept)
				if err == nil && a.status != 200 {
					err = fmt.Errorf("manifest: status %d", a.status)
				}
				return err
			}, 2*time.Second)
			if err != nil {
				return err
			}
			if try > 0 {
				t.add(rowManifest, s.name, rowManifest.unit.of(done, took))
			}
		}
	}
	return nil
}

// spread does the work number 0 to count-1 over clients, each with a
// connection of its own, and says how much was done in what time.
func spread(addr string, clients, count int, work func(c *conn, i int) error, limit ...time.Duration) (int, time.Duration, error) {
	conns := make([]*conn, min(clients, count))
	for i := range conns {
		c, err := dial(addr)
		if err != nil {
			return 0, 0, err
		}
		defer c.Close()
		conns[i] = c
	}
	until := longest
	if len(limit) > 0 {
		until = limit[0]
	}
	return share(len(conns), count, until, func(worker, i int) error { return work(conns[worker], i) })
}

// share does the work number 0 to count-1 with so many workers, for some time.
func share(workers, count int, until time.Duration, work func(worker, i int) error) (int, time.Duration, error) {
	syscall.Sync() // what others wrote before does not count
	var next, done atomic.Int64
	errs := make(chan error, workers)
	var wg sync.WaitGroup
	begin := time.Now()
	for worker := range workers {
		wg.Go(func() {
			for time.Since(begin) < until {
				i := int(next.Add(1)) - 1
				if i >= count {
					return
				}
				if err := work(worker, i); err != nil {
					errs <- err
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	took := time.Since(begin)
	select {
	case err := <-errs:
		return 0, 0, err
	default:
	}
	return int(done.Load()), took, nil
}
