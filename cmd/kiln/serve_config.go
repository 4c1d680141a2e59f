package main

import (
	"errors"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"kiln/registry"
	"kiln/registry/promotion"
	"kiln/registry/store/s3store"
	"kiln/sign"
)

// serveConfig is what kiln serve is told, by --config and by flags. docs/serve.md
// describes each attribute of the file.
type serveConfig struct {
	listen         string
	url            string // public address, without a slash at its end; "" if not told
	store          string // as --store; "" if not told
	promotionKey   string // path or URI; "" if not told
	channels       []string
	insecureHTTP   bool
	trustedProxies []netip.Prefix

	tls        *tlsConfig
	auth       *authConfig // nil is open, on loopback only
	limits     limitsConfig
	metrics    metricsConfig
	pprof      string // address; "" for none
	log        logConfig
	tracing    tracingConfig
	collection collectionConfig
	retention  []promotion.RetentionRule
	uploads    uploadsConfig
	blobs      blobsConfig
	shutdown   shutdownConfig
	policy     policyConfig
}

// defaultServeConfig is that of an empty file.
func defaultServeConfig() serveConfig {
	cfg, err := parseServeConfig("", "", nil)
	if err != nil {
		panic(err) // an empty file has nothing that could be wrong
	}
	return cfg
}

// loadServeConfig reads the file of --config. All that is wrong with it is one
// usage error with a line for each problem, those that more finds included.
func loadServeConfig(path string, more ...func(*configBlock, *serveConfig)) (serveConfig, error) {
	src, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return serveConfig{}, withHint(exitUsage, err, "docs/serve.md has an example")
	}
	if err != nil {
		return serveConfig{}, err
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return serveConfig{}, err
	}
	return parseServeConfig(path, dir, src, more...)
}

func parseServeConfig(name, dir string, src []byte, more ...func(*configBlock, *serveConfig)) (serveConfig, error) {
	b, err := parseConfig(name, dir, src)
	if err != nil {
		return serveConfig{}, err
	}
	cfg := serveConfig{
		listen:         b.address("listen", "127.0.0.1:5000"),
		url:            readURL(b),
		store:          readStore(b),
		promotionKey:   readPromotionKey(b),
		channels:       readChannels(b),
		insecureHTTP:   b.boolean("insecure_http", false),
		trustedProxies: b.networks("trusted_proxies"),
		tls:            readTLS(b.block("tls")),
		auth:           readAuth(b.block("auth")),
		limits:         readLimits(b.block("limits")),
		metrics:        readMetrics(b.block("metrics")),
		pprof:          readPprof(b.block("pprof")),
		log:            readLog(b.block("log")),
		tracing:        readTracing(b.block("tracing")),
		collection:     readCollection(b.block("collection")),
		retention:      readRetention(b.blocks("retention", "name")),
		uploads:        readUploads(b.block("uploads")),
		blobs:          readBlobs(b.block("blobs")),
		shutdown:       readShutdown(b.block("shutdown")),
		policy:         readPolicy(b.block("policy")),
	}
	b.Done()
	cfg.checkTogether(b)
	cfg.policy.checkChannels(b.peek("policy"), cfg.channels)
	for _, check := range more {
		check(b, &cfg)
	}
	return cfg, b.err()
}

// checkTogether notes settings that contradict each other.
func (cfg *serveConfig) checkTogether(b *configBlock) {
	if cfg.tls != nil && cfg.insecureHTTP {
		b.Wrong("insecure_http", "there is a tls block: leave one of them out")
	}
	if u, err := url.Parse(cfg.url); err == nil && cfg.tls != nil && u.Scheme == "http" {
		b.Wrong("url", "%s is not https, and there is a tls block", cfg.url)
	}
	if cfg.metrics.listen != "" && cfg.metrics.listen == cfg.pprof && !strings.HasSuffix(cfg.pprof, ":0") {
		b.Add(0, "pprof", "listens on the address of metrics")
	}
	for name, addr := range map[string]string{"metrics": cfg.metrics.listen, "pprof": cfg.pprof} {
		if addr == cfg.listen && !strings.HasSuffix(addr, ":0") {
			b.Add(0, name, "listens on the address of the registry")
		}
	}
}

// readURL reads the address that clients use.
func readURL(b *configBlock) string {
	s := strings.TrimSuffix(b.text("url", ""), "/")
	if s == "" {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.User != nil {
		b.Wrong("url", "%q: want https://registry.example.com, with a port or not and nothing behind it", s)
		return ""
	}
	return s
}

// readStore reads a store's location; a folder is relative to the file.
func readStore(b *configBlock) string {
	s := b.text("store", "")
	if inBucket(s) {
		if _, err := s3store.ParseLocation(s); err != nil {
			b.Wrong("store", "%v", err)
		}
	}
	if scheme, _, ok := strings.Cut(s, ":"); ok && !inBucket(s) && !strings.Contains(scheme, "/") {
		b.Wrong("store", "%q: want a folder or s3://BUCKET/PREFIX", s)
	}
	if s == "" || strings.Contains(s, "://") || filepath.IsAbs(s) {
		return s
	}
	return filepath.Join(b.dir, s)
}

// readPromotionKey reads a key's path, or its URI in a key service.
func readPromotionKey(b *configBlock) string {
	ref := b.text("promotion_key", "")
	if !sign.IsKeyURI(ref) {
		return b.file("promotion_key")
	}
	if err := sign.CheckKeyURI(ref); err != nil {
		b.Wrong("promotion_key", "%v", err)
	}
	return ref
}

func readChannels(b *configBlock) []string {
	list := b.Texts("channels")
	if list == nil {
		return promotion.DefaultChannels()
	}
	seen := map[string]bool{}
	for _, c := range list {
		if registry.CheckTag(c) != nil || registry.IsVersionTag(c) || seen[c] {
			b.Wrong("channels", "%q is no tag, a version tag or there twice", c)
		}
		seen[c] = true
	}
	if len(list) == 0 {
		b.Wrong("channels", "names none")
	}
	return list
}

// shutdownConfig is the shutdown block: what happens at SIGTERM.
type shutdownConfig struct {
	drain   time.Duration // still accepting, not ready any more
	timeout time.Duration // for running requests
	uploads time.Duration // for blobs that are still coming in
}

func readShutdown(b *configBlock) shutdownConfig {
	c := shutdownConfig{timeout: 30 * time.Second, uploads: 10 * time.Minute}
	if b == nil {
		return c
	}
	c.drain = b.duration("drain", 0, 0, time.Hour)
	c.timeout = b.duration("timeout", c.timeout, 0, day)
	c.uploads = b.duration("uploads", max(c.uploads, c.timeout), 0, day)
	if c.uploads < c.timeout {
		b.Wrong("uploads", "%s is less than timeout, which holds for every request", promotion.Duration(c.uploads))
	}
	b.Done()
	return c
}
