package main

import (
	"context"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"kiln/registry/store"
	"kiln/registry/store/filestore"
	"kiln/registry/store/s3store"
	"kiln/registry/store/storetest"
)

// TestMeteredStore: a store that is metered is as good a store.
func TestMeteredStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) (store.Store, store.Pointers) {
		files, err := filestore.Open(t.Context(), t.TempDir(), filestore.Options{Create: true})
		if err != nil {
			t.Fatal(err)
		}
		st := metered(folder(files, files.Dir()), newServeMetrics())
		// The suite counts every pointer, so the format is taken away.
		format, err := st.Pointers.Load(t.Context(), store.FormatPointer)
		if err != nil {
			t.Fatal(err)
		}
		if err := st.Pointers.Delete(t.Context(), format); err != nil {
			t.Fatal(err)
		}
		return st.Store, st.Pointers
	})
}

// TestMeteredStoreKeepsAll: what a store offers besides store.Store is there
// when it is metered: else the server would silently do without.
func TestMeteredStoreKeepsAll(t *testing.T) {
	own := []string{"Dir", "ID", "Pointers", "Close"} // of the implementation, for who opens it
	for _, inner := range []store.Store{&filestore.Store{}, &s3store.Store{}} {
		have := reflect.TypeOf(metered(storage{Store: inner}, newServeMetrics()).Store)
		for m := range reflect.TypeOf(inner).Methods() {
			if _, ok := have.MethodByName(m.Name); !ok && !slices.Contains(own, m.Name) {
				t.Errorf("%T has %s, which meteredStore hides", inner, m.Name)
			}
		}
	}
	if _, ok := metered(storage{Store: &filestore.Store{}}, newServeMetrics()).Store.(store.Redirector); ok {
		t.Error("a folder claims to have addresses")
	}
}

func TestMetrics(t *testing.T) {
	r := startServe(t, "", nil)
	content := "content"
	r.send(http.DefaultClient, "POST", "/v2/acme/shop/blobs/uploads/?digest="+digest.FromString(content).String(), strings.NewReader(content))
	r.do("GET", "/v2/acme/shop/blobs/"+digest.FromString(content).String())
	r.do("GET", "/v2/acme/shop/manifests/none")
	have := r.scrape()
	for name, want := range map[string]string{
		`kiln_http_requests_total{code="2xx",kind="upload_whole",method="POST"}`: "1",
		`kiln_http_requests_total{code="4xx",kind="manifest_get",method="GET"}`:  "1",
		`kiln_http_received_bytes_total{kind="upload_whole"}`:                    "7",
		`kiln_http_sent_bytes_total{kind="blob_get"}`:                            "7",
		`kiln_http_request_duration_seconds_count{kind="blob_get"}`:              "1",
		`kiln_http_requests_in_flight`:                                           "1",
		`kiln_uploads_in_flight`:                                                 "0",
		`kiln_ready`:                                                             "1",
		`kiln_panics_total`:                                                      "0",
		`kiln_store_read_only`:                                                   "0",
		// There before the first, so that it counts in a rate.
		`kiln_policy_reloads_total{result="error"}`:                                        "0",
		`kiln_tls_reloads_total{result="error"}`:                                           "0",
		`kiln_promotions_total{action="rollback",channel="prod",result="denied"}`:          "0",
		`kiln_promotions_total{action="promote",channel="other",result="unauthenticated"}`: "0",
		`kiln_statements_renewed_total`:                                                    "0",
		`kiln_task_runs_total{result="error",task="prune_uploads"}`:                        "0",
		`kiln_pruned_total{kind="upload"}`:                                                 "0",
		`kiln_collection_removed_total{kind="blob link"}`:                                  "0",
	} {
		if have[name] != want {
			t.Errorf("%s is %q, want %s", name, have[name], want)
		}
	}
	for _, name := range []string{
		`kiln_store_operation_duration_seconds_count{operation="open",result="ok"}`,
		`kiln_store_operation_duration_seconds_count{operation="load",result="not_found"}`,
		"kiln_store_free_bytes", "go_goroutines", "process_open_fds", "kiln_http_connections",
	} {
		if have[name] == "" || have[name] == "0" {
			t.Errorf("%s is %q", name, have[name])
		}
	}
}

// TestMetricsDocs: docs/serve.md tells every metric of ours, and no other.
func TestMetricsDocs(t *testing.T) {
	text, _ := docs(t)
	r := startServe(t, "", nil)
	r.do("GET", readyPath)
	m := r.metrics
	m.reloads.WithLabelValues("ok")
	m.promotions.WithLabelValues("promote", "dev", "moved")
	m.runs.WithLabelValues("collect", "ok")
	m.runTimes.WithLabelValues("collect")
	m.lastSuccess.WithLabelValues("collect")
	m.pruned.WithLabelValues("upload")
	m.collected.WithLabelValues("blob")
	m.received.WithLabelValues("ping")
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, f := range families {
		name := f.GetName()
		known[name] = true
		if strings.HasPrefix(name, "kiln_") && !strings.Contains(text, "`"+name) {
			t.Errorf("docs/serve.md does not tell %s", name)
		}
	}
	for word := range strings.FieldsFuncSeq(text, func(c rune) bool { return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz_", c) }) {
		if strings.HasPrefix(word, "kiln_") && !known[word] && word != "kiln_" {
			t.Errorf("docs/serve.md tells %s, which there is not", word)
		}
	}
}

// TestStoreResults: each way in which an operation ends is a label of its own.
func TestStoreResults(t *testing.T) {
	m := newServeMetrics()
	files, err := filestore.Open(t.Context(), t.TempDir(), filestore.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	st := metered(folder(files, ""), m)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	st.Stat(t.Context(), "none")
	st.Pointers.Swap(t.Context(), store.Pointer{Name: "none", Revision: "old"}, nil)
	st.Put(ctx, "x", strings.NewReader("x"))
	st.Put(t.Context(), "../x", io.MultiReader())
	for range st.List(t.Context(), "", "") {
		break
	}
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]uint64{}
	for _, f := range families {
		if f.GetName() != "kiln_store_operation_duration_seconds" {
			continue
		}
		for _, s := range f.Metric {
			got[s.Label[0].GetValue()+" "+s.Label[1].GetValue()] = s.Histogram.GetSampleCount()
		}
	}
	for _, want := range []string{"stat not_found", "swap conflict", "put cancelled", "put error", "list ok"} {
		if got[want] != 1 {
			t.Errorf("%s: %d times, want once; %v", want, got[want], got)
		}
	}
}
