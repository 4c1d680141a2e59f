package access

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"kiln/policy"
	"kiln/registry"
	"kiln/registry/contentstore"
	"kiln/registry/ociserver"
	"kiln/registry/promotion"
	"kiln/registry/promotionhttp"
	"kiln/registry/store"
	"kiln/registry/store/filestore"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/crypto/bcrypt"
)

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// logBuffer is a log that may be written to and read at once.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// passwords of the users of a world.
var passwords = map[string]string{"alice": "correct horse", "bob": "battery staple", "nobody": "no grants"}

func grant(verbs string, images ...string) Grant {
	g := Grant{Images: images}
	for v := range strings.SplitSeq(verbs, " ") {
		g.Verbs = append(g.Verbs, Verb(v))
	}
	return g
}

// world is a server behind a gate: alice may do everything, bob pull acme/*.
type world struct {
	testing.TB
	store    *filestore.Store
	pointers store.Pointers
	content  *contentstore.Registry
	gate     *Gate
	clock    *clock
	log      *logBuffer
	htpasswd string
	server   *httptest.Server
}

func tempDir(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "kiln-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func hashed(t testing.TB, password string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

// newWorld serves a fresh store; change edits the config first.
func newWorld(t testing.TB, change func(*Config)) *world {
	t.Helper()
	dir := tempDir(t)
	fs, err := filestore.Open(context.Background(), filepath.Join(dir, "store"), filestore.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{TB: t, store: fs, pointers: fs.Pointers(), clock: newClock(), log: &logBuffer{}, htpasswd: filepath.Join(dir, "htpasswd")}
	var lines strings.Builder
	for name, password := range passwords {
		fmt.Fprintf(&lines, "%s:%s\n", name, hashed(t, password))
	}
	if err := os.WriteFile(w.htpasswd, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	everything := Grant{Images: []string{EveryImage}, Channels: []string{"**"}, Verbs: Verbs()}
	cfg := Config{
		Pointers: w.pointers, Htpasswd: w.htpasswd, Now: w.clock.Now, Log: log,
		Users: map[string][]Grant{"alice": {everything}, "bob": {grant("pull", "acme/*")}},
	}
	if change != nil {
		change(&cfg)
	}
	if w.gate, err = New(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	w.content = contentstore.New(fs, w.pointers, contentstore.Options{Owner: Owner})
	service, err := promotion.New(promotion.Config{Store: fs, Pointers: w.pointers, Registry: w.content, Policy: policy.Default(), Now: w.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	audit := NewAudit(log, nil)
	api, err := promotionhttp.New(promotionhttp.Config{
		Operations: audit.Operations(w.gate.Operations(service)), Tokens: audit.Tokens(w.gate.Tokens()), Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/v2/", ociserver.New(audit.Registry(w.gate.Registry(promotion.Channels(w.content, service))), ociserver.Options{Log: log}))
	mux.Handle(promotionhttp.BasePath, api)
	w.server = httptest.NewServer(w.gate.Handler(mux))
	t.Cleanup(w.server.Close)
	return w
}

// image stores an image without a guard and returns its descriptor.
func (w *world) image(name, content string, tags ...string) ocispec.Descriptor {
	w.Helper()
	m := w.manifest(name, content, "")
	desc, err := w.content.PushManifest(w.Context(), name, registry.Manifest{MediaType: ocispec.MediaTypeImageManifest, Content: m, Tags: tags})
	if err != nil {
		w.Fatal(err)
	}
	return desc
}

// manifest stores the blobs of a manifest, and returns it.
func (w *world) manifest(name, content string, subject digest.Digest) []byte {
	w.Helper()
	layer := w.blob(name, content)
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: layer, Layers: []ocispec.Descriptor{layer}}
	m.SchemaVersion = 2
	if subject != "" {
		m.Subject = &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: subject, Size: 1}
		m.ArtifactType = "application/vnd.test"
	}
	out, err := json.Marshal(m)
	if err != nil {
		w.Fatal(err)
	}
	return out
}

func (w *world) blob(name, content string) ocispec.Descriptor {
	w.Helper()
	desc := ocispec.Descriptor{MediaType: "application/octet-stream", Digest: digest.FromString(content), Size: int64(len(content))}
	if err := w.content.PushBlob(w.Context(), name, desc, strings.NewReader(content)); err != nil {
		w.Fatal(err)
	}
	return desc
}

// as sets a request's credentials: alice (a user with the password above),
// user:password, or a bearer token.
func as(req *http.Request, who string) {
	user, password, basic := strings.Cut(who, ":")
	switch {
	case who == "":
	case basic:
		req.SetBasicAuth(user, password)
	case passwords[who] != "":
		req.SetBasicAuth(who, passwords[who])
	default:
		req.Header.Set("Authorization", "Bearer "+who)
	}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func (w *world) ask(who, method, path, body string, header ...string) answer {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), method, w.server.URL+path, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	as(req, who)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		w.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(content)}
}

// expect asks and wants a status.
func (w *world) expect(status int, who, method, path, body string, header ...string) answer {
	w.Helper()
	a := w.ask(who, method, path, body, header...)
	if a.status != status {
		w.Errorf("%.30s: %s %s: %d, want %d: %s", who, method, path, a.status, status, a.body)
	}
	return a
}

// session gets a session token.
func (w *world) session(who string, scopes ...string) string {
	w.Helper()
	query := ""
	for _, s := range scopes {
		query += "&scope=" + s
	}
	a := w.expect(200, who, "GET", TokenPath+"?service=kiln"+query, "")
	var out sessionAnswer
	if err := json.Unmarshal([]byte(a.body), &out); err != nil || out.Token == "" || out.Token != out.AccessToken {
		w.Fatalf("token answer %s: %v", a.body, err)
	}
	return out.Token
}

// robot makes a robot token.
func (w *world) robot(name string, grants ...Grant) string {
	w.Helper()
	t, err := w.gate.robots.CreateToken(w.Context(), promotion.TokenRequest{Name: name, Grants: grants, Lifetime: promotion.Duration(24 * time.Hour)})
	if err != nil {
		w.Fatal(err)
	}
	return string(t.Token)
}
