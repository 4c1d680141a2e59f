//go:build full

package s3test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Fault is what happens to a request.
type Fault int

// The faults. Before: the service never sees the request. After: it does its
// work, and the client does not learn of it.
const (
	Pass        Fault = iota
	SlowDown          // 503 before
	Conflict          // 409 before, as Amazon answers two writes of one key
	Refuse            // 412 before
	ResetBefore       // the connection is reset before
	ResetAfter        // … after: a lost answer
	ErrorAfter        // 500 after
	HangAfter         // silence after, until the client gives up or Release
	HalfAnswer        // half of the answer, then a reset
	Slow              // a delay of up to 50 ms
)

// Proxy stands before a service and breaks requests.
type Proxy struct {
	URL    string
	target *url.URL

	mu      sync.Mutex
	scripts []*script
	random  *rand.Rand
	rate    float64
	faults  []Fault
	count   int
	log     []string
	release chan struct{}
}

type script struct {
	match  func(*http.Request) bool
	faults []Fault
}

// NewProxy stands before the service at target until the test ends.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{target: u, release: make(chan struct{})}
	server := httptest.NewServer(p)
	t.Cleanup(server.CloseClientConnections)
	t.Cleanup(server.Close)
	p.URL = server.URL
	return p
}

// Script breaks the next requests that match, one fault each, in this order.
func (p *Proxy) Script(match func(*http.Request) bool, faults ...Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.scripts = append(p.scripts, &script{match, faults})
}

// Random breaks each request with this probability with one of faults; a rate
// of 0 ends that. The same seed gives the same sequence.
func (p *Proxy) Random(seed uint64, rate float64, faults ...Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.random, p.rate, p.faults = rand.New(rand.NewPCG(seed, 0)), rate, faults
}

// Count returns the number of requests since the last Count.
func (p *Proxy) Count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.count
	p.count, p.log = 0, nil
	return n
}

// Log returns method and path of the requests since the last Count.
func (p *Proxy) Log() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log
}

// Pending tells how many scripted faults have not struck.
func (p *Proxy) Pending() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, s := range p.scripts {
		n += len(s.faults)
	}
	return n
}

// Put matches writes of an object or a part.
func Put(r *http.Request) bool { return r.Method == http.MethodPut }

// Get matches reads and lists.
func Get(r *http.Request) bool { return r.Method == http.MethodGet }

// Head matches looks at an object.
func Head(r *http.Request) bool { return r.Method == http.MethodHead }

// Conditional matches conditional writes.
func Conditional(r *http.Request) bool {
	return Put(r) && (r.Header.Get("If-Match") != "" || r.Header.Get("If-None-Match") != "")
}

func (p *Proxy) choose(r *http.Request) (Fault, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count++
	p.log = append(p.log, r.Method+" "+r.URL.RequestURI())
	for _, s := range p.scripts {
		if len(s.faults) > 0 && s.match(r) {
			f := s.faults[0]
			s.faults = s.faults[1:]
			return f, 0
		}
	}
	if p.rate > 0 && p.random.Float64() < p.rate {
		return p.faults[p.random.IntN(len(p.faults))], time.Duration(p.random.IntN(50)) * time.Millisecond
	}
	return Pass, 0
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fault, delay := p.choose(r)
	switch fault {
	case SlowDown:
		refuse(w, r, http.StatusServiceUnavailable, "SlowDown")
		return
	case Conflict:
		refuse(w, r, http.StatusConflict, "ConditionalRequestConflict")
		return
	case Refuse:
		refuse(w, r, http.StatusPreconditionFailed, "PreconditionFailed")
		return
	case ResetBefore:
		cut(w, nil)
		return
	case Slow:
		time.Sleep(delay)
	}
	resp, err := p.forward(r)
	if err != nil {
		cut(w, nil)
		return
	}
	defer resp.Body.Close()
	switch fault {
	case ResetAfter:
		_, _ = io.Copy(io.Discard, resp.Body)
		cut(w, nil)
	case ErrorAfter:
		_, _ = io.Copy(io.Discard, resp.Body)
		refuse(w, r, http.StatusInternalServerError, "InternalError")
	case HangAfter:
		_, _ = io.Copy(io.Discard, resp.Body)
		p.hang(r)
		cut(w, nil)
	case HalfAnswer:
		cut(w, resp)
	default:
		for k, v := range resp.Header {
			w.Header()[k] = v
		}
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	}
}

func (p *Proxy) hang(r *http.Request) {
	p.mu.Lock()
	release := p.release
	p.mu.Unlock()
	select {
	case <-r.Context().Done():
	case <-release:
	}
}

// Release resets the connections that hang.
func (p *Proxy) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.release)
	p.release = make(chan struct{})
}

// forward keeps the Host header: it is signed.
func (p *Proxy) forward(r *http.Request) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.RequestURI = ""
	out.URL.Scheme, out.URL.Host = p.target.Scheme, p.target.Host
	if r.ContentLength == 0 {
		out.Body = nil
	}
	return http.DefaultTransport.RoundTrip(out)
}

func refuse(w http.ResponseWriter, r *http.Request, status int, code string) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>injected</Message></Error>", code)
	}
}

// cut resets the connection, behind half of an answer if there is one.
func cut(w http.ResponseWriter, resp *http.Response) {
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	if resp != nil {
		body, _ := io.ReadAll(resp.Body)
		var head bytes.Buffer
		fmt.Fprintf(&head, "HTTP/1.1 %s\r\n", resp.Status)
		resp.Header.Set("Content-Length", strconv.Itoa(len(body)))
		_ = resp.Header.Write(&head)
		head.WriteString("\r\n")
		half := append(head.Bytes(), body[:len(body)/2]...)
		if len(body) == 0 {
			half = half[:head.Len()/2]
		}
		_, _ = buf.Write(half)
		_ = buf.Flush()
		return // closed, not reset: the half shall arrive
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}
