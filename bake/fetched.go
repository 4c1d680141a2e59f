package bake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/opencontainers/go-digest"

	"kiln/bake/debian"
	"kiln/bake/template"
)

// Bounds of a fetch.
const (
	fetchAttempts = 4
	fetchPause    = 250 * time.Millisecond // before the second attempt, doubled each time
	fetchStall    = 60 * time.Second       // without a byte
	maxFetch      = 16 << 30               // bytes
	maxRedirects  = 10
)

// fetchName is the name of a fetched file among the dependencies of a build.
const fetchName = "fetch"

// fetchedPath is where a file with this hash lies, or would lie.
func (c *Cache) fetchedPath(sum string) string { return c.path("fetched", sum) }

// fetched brings a file into the cache: from there, from the inputs that
// versions of the image or of its parents kept in the store, from its address,
// or from what the recipe's other images kept.
func (b *Builder) fetched(ctx context.Context, recipe *template.Image, location, sum string) (string, error) {
	path := b.cache.fetchedPath(sum)
	if b.cache.hasFetched(sum) {
		return path, nil
	}
	if b.planning {
		return "", errMiss
	}
	line := b.line(recipe)
	if b.storedFile(ctx, line, sum) {
		return path, nil
	}
	err := b.download(ctx, location, sum)
	if err == nil {
		return path, nil
	}
	if ctx.Err() == nil && b.storedFile(ctx, b.others(recipe, line), sum) {
		return path, nil
	}
	return "", err
}

// hasFetched tells whether the file is there and whole; a damaged one goes.
func (c *Cache) hasFetched(sum string) bool {
	c.claim("fetched", sum)
	f, err := openHashed(c.fetchedPath(sum), sum)
	if err != nil {
		return false
	}
	defer f.Close()
	if _, err := io.Copy(io.Discard, f); err != nil {
		os.Remove(c.fetchedPath(sum))
		return false
	}
	return true
}

// storedFile takes a file out of the inputs that versions of some images kept.
func (b *Builder) storedFile(ctx context.Context, images []string, sum string) bool {
	if b.Parents == nil {
		return false
	}
	for _, image := range images {
		rc, err := b.Parents.OpenBlob(ctx, image, digest.NewDigestFromEncoded(digest.SHA256, sum), 0, -1)
		if err != nil {
			continue
		}
		got, err := b.cache.keepFetched(rc, sum)
		rc.Close()
		if err == nil && got == sum {
			return true
		}
		fmt.Fprintf(b.Log, "stored input %s of %s is not usable\n", sum, image)
	}
	return false
}

// keepFetched writes what r delivers into the cache if it has the wanted hash,
// and returns the hash that it has.
func (c *Cache) keepFetched(r io.Reader, want string) (got string, err error) {
	if err := makeDirs(c.path("fetched")); err != nil {
		return "", err
	}
	f, err := os.CreateTemp(c.path("tmp"), "fetch-")
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name()) // fails once renamed
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, sum), io.LimitReader(r, maxFetch+1))
	err = errors.Join(err, f.Close())
	if err == nil && n > maxFetch {
		err = fmt.Errorf("more than %d GiB", maxFetch>>30)
	}
	if err != nil {
		return "", err
	}
	if got = hex.EncodeToString(sum.Sum(nil)); got != want {
		return got, nil
	}
	c.wrote(n)
	return got, os.Rename(f.Name(), c.fetchedPath(want))
}

// download fetches an address into the cache, again when the way fails.
func (b *Builder) download(ctx context.Context, location, sum string) error {
	pause := fetchPause
	for try := 1; ; try++ {
		again, err := b.downloadOnce(ctx, location, sum)
		if err == nil || !again || try == fetchAttempts || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
			pause *= 2
		}
	}
}

// downloadOnce says whether another attempt may help.
func (b *Builder) downloadOnce(ctx context.Context, location, sum string) (again bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, location, nil)
	if err != nil {
		return false, err
	}
	resp, err := fetchClient().Do(req)
	if err != nil {
		var detail *url.Error
		if errors.As(err, &detail) {
			err = detail.Err
		}
		return !errors.Is(err, errRedirect), fmt.Errorf("get %s: %w", location, err)
	}
	defer resp.Body.Close()
	if code := resp.StatusCode; code != http.StatusOK {
		err := &debian.StatusError{Location: location, Code: code}
		return code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout, err
	}
	if resp.ContentLength > maxFetch {
		return false, fmt.Errorf("get %s: %d bytes, more than %d GiB", location, resp.ContentLength, maxFetch>>30)
	}
	body := &patient{r: resp.Body, timer: time.AfterFunc(fetchStall, cancel)}
	defer body.timer.Stop()
	got, err := b.cache.keepFetched(body, sum)
	if err != nil {
		return body.failed, fmt.Errorf("get %s: %w", location, err)
	}
	if got != sum {
		return false, fmt.Errorf("%s delivers something else: its sha256 is %s, the template says %s (compare it with what its authors publish before you write the new one)", location, got, sum)
	}
	return false, nil
}

// patient remembers that reading failed, and keeps a transfer alive that still
// delivers.
type patient struct {
	r      io.Reader
	timer  *time.Timer
	failed bool
}

// Read implements io.Reader.
func (p *patient) Read(buf []byte) (int, error) {
	n, err := p.r.Read(buf)
	if n > 0 {
		p.timer.Reset(fetchStall)
	}
	p.failed = p.failed || err != nil && err != io.EOF
	return n, err
}

// errRedirect is wrapped by refusals to follow a server elsewhere.
var errRedirect = errors.New("redirect refused")

// fetchClient has no cookies and no credentials, and takes bytes as they are.
func fetchClient() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = fetchStall
	t.DisableCompression = true
	t.DisableKeepAlives = true // one file each
	return &http.Client{Transport: t, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		switch {
		case len(via) > maxRedirects:
			return fmt.Errorf("%w: more than %d", errRedirect, maxRedirects)
		case req.URL.Scheme != "http" && req.URL.Scheme != "https":
			return fmt.Errorf("%w: to %s:", errRedirect, req.URL.Scheme)
		case req.URL.User != nil:
			return fmt.Errorf("%w: to an address with credentials", errRedirect)
		}
		req.Header.Del("Referer")
		return nil
	}}
}
