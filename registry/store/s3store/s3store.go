package s3store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"kiln/registry/store"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/encrypt"
)

// Store is a store.Store, and through Pointers a store.Pointers.
type Store struct {
	api    minio.Core
	http   *http.Transport
	bucket string
	root   string // prefix of every key
	at     string // bucket and endpoint, for errors
	sse    encrypt.ServerSide
	limits limits
	parts  *partPool
	format store.Format

	mu    sync.Mutex  // of the probe
	fit   atomic.Bool // the service passed it
	stop  context.CancelFunc
	sweep sync.WaitGroup
}

// limits are what tests make smaller.
type limits struct {
	attempts int           // of a request
	backoff  time.Duration // before the second; it doubles
	timeout  time.Duration // of a request without a large body; of a stalled read
	part     int64         // bytes of a part
	stale    time.Duration // age of what a dead process left
}

var defaults = limits{
	attempts: 8,
	backoff:  50 * time.Millisecond,
	timeout:  20 * time.Second,
	part:     8 << 20,
	stale:    24 * time.Hour,
}

// Open opens the store in a bucket. It returns store.ErrNotFound if there is
// none, store.ErrFormat if it is of an unknown layout, and an *AccessError
// where the bucket cannot be used as asked, which says what to do. A bucket
// that takes no writes opens; writes return store.ErrReadOnly.
func Open(ctx context.Context, o Options) (*Store, error) {
	return open(ctx, o, defaults)
}

func open(ctx context.Context, o Options, l limits) (*Store, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s, err := newStore(o, l)
	if err != nil {
		return nil, fmt.Errorf("open store in %s: %w", o.Bucket, err)
	}
	if err := s.checkCredentials(); err != nil {
		return nil, err
	}
	switch {
	case o.Bare:
		return s, nil
	case o.Create:
		s.format, err = store.EnsureFormat(ctx, s.Pointers())
	default:
		s.format, err = store.ReadFormat(ctx, s.Pointers())
	}
	if err != nil {
		return nil, fmt.Errorf("open store in %s: %w", s.at, err)
	}
	return s, nil
}

func newStore(o Options, l limits) (*Store, error) {
	host, secure := "s3.amazonaws.com", true
	if o.Endpoint != "" {
		u, err := url.Parse(o.Endpoint)
		if err != nil {
			return nil, err
		}
		host, secure = u.Host, u.Scheme == "https"
	}
	lookup := map[string]minio.BucketLookupType{"true": minio.BucketLookupPath, "false": minio.BucketLookupDNS}[o.PathStyle]
	t := transport()
	core, err := minio.NewCore(host, &minio.Options{
		Creds: chain(), Secure: secure, Region: o.region(), BucketLookup: lookup,
		Transport:  t,
		MaxRetries: 1, // it takes the second answer to a lost success for a conflict
	})
	if err != nil {
		return nil, err
	}
	core.SetAppInfo("kiln", "1")
	s := &Store{
		api: *core, http: t, bucket: o.Bucket, root: o.root(), at: fmt.Sprintf("bucket %s at %s", o.Bucket, host),
		limits: l, parts: newPartPool(l.part),
	}
	switch o.Encryption {
	case "s3":
		s.sse = encrypt.NewSSE()
	case "kms":
		s.sse, err = encrypt.NewSSEKMS(o.KMSKey, nil)
	}
	return s, err
}

// transport keeps connections to one host, and gives up on one that is silent.
func transport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		MaxIdleConns:          256,
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       time.Minute,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 5 * time.Minute, // requests have times of their own
		DisableCompression:    true,
	}
}

// ID is the store's random id, given when it was made.
func (s *Store) ID() string { return s.format.StoreID }

// Close has what runs in the background end soon. It waits for nothing.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop != nil {
		s.stop()
	}
	s.http.CloseIdleConnections()
	return nil
}

// write is called before every write: the first of a process probes the
// service.
func (s *Store) write(ctx context.Context) error {
	if s.fit.Load() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fit.Load() {
		return nil
	}
	if err := s.probe(ctx); err != nil {
		return err
	}
	s.fit.Store(true)
	ctx, s.stop = context.WithTimeout(context.WithoutCancel(ctx), sweepTime)
	s.sweep.Go(func() { s.sweepLeftovers(ctx) })
	return nil
}

var errNoETag = errors.New("the service answered without an ETag")
