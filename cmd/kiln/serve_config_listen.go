package main

import (
	"crypto/tls"
	"time"
)

// tlsConfig is the tls block.
type tlsConfig struct {
	cert, key  string // paths of PEM files
	clientCA   string // path; "" asks for no client certificates
	minVersion uint16
}

func readTLS(b *configBlock) *tlsConfig {
	if b == nil {
		return nil
	}
	b.Require("cert", "key")
	c := &tlsConfig{cert: b.file("cert"), key: b.file("key"), clientCA: b.path("client_ca"), minVersion: tls.VersionTLS12}
	readCertificates(b, "client_ca")
	if b.oneOf("min_version", "1.2", "1.3") == "1.3" {
		c.minVersion = tls.VersionTLS13
	}
	b.Done()
	return c
}

// limitsConfig is the limits block.
type limitsConfig struct {
	body           int64         // of one blob, bytes; 0 for none
	header         int           // of one request, bytes
	connections    int           // open at once
	requests       int           // running at once
	uploads        int           // blobs coming in at once
	openUploads    int           // unfinished
	idle           time.Duration // a transfer may rest
	idleConnection time.Duration // a connection may be kept between requests
	headerTimeout  time.Duration // for a handshake, and for a header to arrive
	requestTimeout time.Duration // of requests that move no blobs
}

func readLimits(b *configBlock) limitsConfig {
	c := limitsConfig{
		body: 100 << 30, header: 32 << 10, connections: 4096, requests: 1024, uploads: 256, openUploads: 10_000,
		idle: time.Minute, idleConnection: 2 * time.Minute, headerTimeout: 10 * time.Second, requestTimeout: 2 * time.Minute,
	}
	if b == nil {
		return c
	}
	c.body = b.size("body", c.body, 0)
	c.header = int(min(b.size("header", int64(c.header), 4<<10), 1<<20))
	c.connections = b.whole("connections", c.connections, 1, 1_000_000)
	c.requests = b.whole("concurrent_requests", c.requests, 1, 1_000_000)
	c.uploads = b.whole("concurrent_uploads", c.uploads, 1, 1_000_000)
	c.openUploads = b.whole("open_uploads", c.openUploads, 1, 10_000_000)
	c.idle = b.duration("idle", c.idle, time.Second, time.Hour)
	c.idleConnection = b.duration("idle_connection", c.idleConnection, time.Second, time.Hour)
	c.headerTimeout = b.duration("header_timeout", c.headerTimeout, time.Second, time.Minute)
	c.requestTimeout = b.duration("request_timeout", c.requestTimeout, time.Second, time.Hour)
	b.Done()
	return c
}

// uploadsConfig is the uploads block.
type uploadsConfig struct {
	lifetime time.Duration // of an upload since its last chunk
}

func readUploads(b *configBlock) uploadsConfig {
	c := uploadsConfig{lifetime: day}
	if b == nil {
		return c
	}
	c.lifetime = b.duration("lifetime", c.lifetime, time.Minute, 30*day)
	b.Done()
	return c
}

// blobsConfig is the blobs block.
type blobsConfig struct {
	redirect bool          // send readers to the store, where it has addresses
	lifetime time.Duration // of such an address
}

func readBlobs(b *configBlock) blobsConfig {
	c := blobsConfig{lifetime: 20 * time.Minute}
	if b == nil {
		return c
	}
	c.redirect = b.boolean("redirect", false)
	c.lifetime = b.duration("redirect_lifetime", c.lifetime, time.Minute, 7*day)
	b.Done()
	return c
}
