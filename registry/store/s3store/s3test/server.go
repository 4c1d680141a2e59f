//go:build full

// Package s3test runs what tests of S3 need: a real service, and a proxy before
// it that breaks requests.
//
// The service is versitygw (testdata/tools.sh installs it) on a temporary
// folder. With KILN_S3_ENDPOINT set to the URL of a running service, minio for
// one, and AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to credentials that may
// make buckets, the same tests run there.
package s3test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Server is a running S3 service.
type Server struct {
	URL    string // http://HOST:PORT
	access string
	secret string
	t      testing.TB
}

// Start runs a service until the test ends, and sets the environment's
// credentials for it.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t, URL: os.Getenv("KILN_S3_ENDPOINT"), access: "kiln-test", secret: "kiln-test-secret"}
	if s.URL != "" {
		s.access, s.secret = os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
		return s
	}
	t.Setenv("AWS_ACCESS_KEY_ID", s.access)
	t.Setenv("AWS_SECRET_ACCESS_KEY", s.secret)
	t.Setenv("AWS_SESSION_TOKEN", "")
	t.Setenv("AWS_REGION", "us-east-1")
	s.run(freePort(t))
	return s
}

func (s *Server) run(address string) {
	s.t.Helper()
	dir := s.t.TempDir()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		s.t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(program(s.t), "--access", s.access, "--secret", s.secret, "--port", address, "--keep-alive", "posix", data)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = log.Close()
	})
	s.URL = "http://" + address
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
			return
		}
		if time.Now().After(until) {
			out, _ := os.ReadFile(log.Name())
			s.t.Fatalf("versitygw does not answer: %v\n%s", err, out)
		}
	}
}

// program finds versitygw in dist/tools or on PATH.
func program(t testing.TB) string {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	built := filepath.Join(filepath.Dir(file), "..", "..", "..", "..", "dist", "tools", "versitygw")
	if _, err := os.Stat(built); err == nil {
		return built
	}
	path, err := exec.LookPath("versitygw")
	if err != nil {
		t.Fatalf("%v: testdata/tools.sh dist/tools installs it", err)
	}
	return path
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Bucket makes a bucket and returns its name.
func (s *Server) Bucket() string {
	s.t.Helper()
	id := make([]byte, 8)
	rand.Read(id) // never fails
	name := "kiln-" + hex.EncodeToString(id)
	if err := s.Client().MakeBucket(context.Background(), name, minio.MakeBucketOptions{}); err != nil {
		s.t.Fatal(err)
	}
	return name
}

// Client asks the service directly.
func (s *Server) Client() *minio.Client {
	s.t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := minio.New(u.Host, &minio.Options{
		Creds: credentials.NewStaticV4(s.access, s.secret, ""), Secure: u.Scheme == "https", Region: "us-east-1",
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// Location is what --store takes for a bucket here.
func (s *Server) Location(bucket string) string { return Location(s.URL, bucket) }

// Location is what --store takes for a bucket of a service at endpoint.
func Location(endpoint, bucket string) string {
	return fmt.Sprintf("s3://%s/kiln?endpoint=%s&region=us-east-1", bucket, endpoint)
}

// Env is what programs need to use the service.
func (s *Server) Env() []string {
	return []string{"AWS_ACCESS_KEY_ID=" + s.access, "AWS_SECRET_ACCESS_KEY=" + s.secret, "AWS_SESSION_TOKEN=", "AWS_REGION=us-east-1"}
}
