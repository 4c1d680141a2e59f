package promotion

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
)

func TestDuration(t *testing.T) {
	for text, want := range map[string]string{
		"90s": "1m30s", "24h": "1d", "30d": "30d", "0s": "0s", "36h": "36h", "1h30m": "1h30m", "60m": "1h", "1d": "1d", "250ms": "250ms",
	} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.String() != want {
			t.Errorf("%s is %s, %v, want %s", text, d, err, want)
		}
		var again Duration
		if err := again.UnmarshalText([]byte(d.String())); err != nil || again != d {
			t.Errorf("%s does not survive: %s, %v", text, again, err)
		}
	}
	for _, text := range []string{"", "-1h", "d", "1w", "106752d", "99999999999d", "1.5d", "x"} {
		if err := new(Duration).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestRules(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	rules := []RetentionRule{
		{Image: "acme/base*", History: 3},
		{Image: "acme/**", KeepLast: 2, KeepYounger: Duration(48 * time.Hour), KeepTags: []string{"v1.*", "stable"}},
		{Image: "**", KeepLast: 1},
	}
	for _, c := range []struct {
		image string
		place int
		age   time.Duration
		tags  string
		keeps bool
	}{
		{"acme/base", 99, 1000 * day, "x", true}, // a rule that names nothing to keep keeps all
		{"acme/shop", 1, 1000 * day, "x", true},
		{"acme/shop", 2, 47 * time.Hour, "x", true},
		{"acme/shop", 2, 48 * time.Hour, "x", false},
		{"acme/shop", 2, 1000 * day, "x v1.2", true},
		{"acme/shop", 2, 1000 * day, "stable", true},
		{"acme/shop", 2, 1000 * day, "unstable", false},
		{"acme/shop/web", 2, 1000 * day, "x", false},
		{"other", 0, 1000 * day, "x", true},
		{"other", 1, 0, "v1.1 stable", false},
	} {
		rule := ruleOf(rules, c.image)
		if got := rule.keeps(c.place, now.Add(-c.age), strings.Fields(c.tags), now); got != c.keeps {
			t.Errorf("%+v: kept %v", c, got)
		}
	}
	if !ruleOf(rules[:2], "other").keeps(99, time.Time{}, nil, now) {
		t.Error("what no rule matches goes")
	}
	for _, bad := range []RetentionRule{
		{}, {Image: "["}, {Image: "**", KeepTags: []string{"["}}, {Image: "**", KeepLast: -1}, {Image: "**", History: -1}, {Image: "**", KeepYounger: -1},
	} {
		want(t, checkRules([]RetentionRule{bad}), KindInvalid, "retention rule 1")
	}
}

// retained is a store with a version for each case of retention, and which of
// them a rule that keeps one version lets go.
func retained(t *testing.T) (w *world, goes []string, names map[digest.Digest]string) {
	w = newWorld(t)
	w.service = w.with(func(c *Config) { c.Policy = w.open() })
	names = map[digest.Digest]string{}
	add := func(name string, base digest.Digest) digest.Digest {
		w.clock.Add(time.Second)
		d := w.imageOn(shop, name, base).Digest
		names[d] = name
		return d
	}
	d := map[string]digest.Digest{}
	for _, name := range []string{"plain", "promoted", "past", "leased", "expired", "base", "lost base", "named", "revised"} {
		d[name] = add(name, "")
	}
	d["middle"] = add("middle", d["base"])
	w.clock.Add(time.Second)
	top := w.imageOn("acme/top", "top", d["middle"]).Digest
	w.to("dev", d["past"])
	w.to("dev", d["promoted"])
	w.mustLease("prod", d["leased"], 10*365*day/100)
	w.mustLease("prod", d["expired"], time.Hour)
	w.image(shop, "named", "release-7")
	add("child of lost base", d["lost base"])
	add("newest", "")
	w.later()
	w.mustLease("prod", d["leased"], MaxLease)
	_ = top
	return w, []string{"plain", "expired", "lost base", "revised", "child of lost base"}, names
}

var keepOne = []RetentionRule{{Image: shop, KeepLast: 1, KeepTags: []string{"release-*"}}}

// TestRetention: what goes is what no rule keeps and nothing needs, also not
// through what was baked on it; a dry run says the same and does nothing.
func TestRetention(t *testing.T) {
	w, goes, names := retained(t)
	collector := &recorder{}
	w.service = w.with(func(c *Config) { c.Policy = w.open(); c.Collector = collector })
	listed := func(r CollectResult) []string {
		var list []string
		for _, v := range r.Retired {
			if v.Image != shop || len(v.Tags) == 0 || v.Created.IsZero() {
				t.Errorf("retired %+v", v)
			}
			list = append(list, names[v.Digest])
		}
		slices.Sort(list)
		return list
	}
	slices.Sort(goes)
	before := w.pointersUnder("")
	dry, err := w.service.Collect(t.Context(), CollectRequest{Retention: keepOne})
	if err != nil || dry.Applied || !slices.Equal(listed(dry), goes) {
		t.Fatalf("a dry run retires %v, want %v: %v", listed(dry), goes, err)
	}
	if after := w.pointersUnder(""); !slices.Equal(before, after) {
		t.Errorf("a dry run wrote: %v, before %v", after, before)
	}
	for d, name := range names {
		if !w.tagged(d) {
			t.Errorf("a dry run took the tag of %s", name)
		}
		if got := collector.untagged(shop, w.tagOf(d)); got != slices.Contains(goes, name) {
			t.Errorf("the collector takes the tag of %s as removed: %v", name, got)
		}
	}
	wet, err := w.service.Collect(t.Context(), CollectRequest{Retention: keepOne, Apply: true})
	if err != nil || !wet.Applied || !slices.Equal(listed(wet), goes) {
		t.Fatalf("a run retires %v, want %v: %v", listed(wet), goes, err)
	}
	for d, name := range names {
		if w.tagged(d) == slices.Contains(goes, name) {
			t.Errorf("%s has a tag: %v", name, w.tagged(d))
		}
	}
	if again, err := w.service.Collect(t.Context(), CollectRequest{Retention: keepOne, Apply: true}); err != nil || len(again.Retired) != 0 {
		t.Errorf("a second run retires %v: %v", listed(again), err)
	}
	if st, err := w.service.state(t.Context(), shop); err != nil || len(st.Retiring) != 0 {
		t.Errorf("announcements left over: %v, %v", st.Retiring, err)
	}
}

func (w *world) tagOf(d digest.Digest) string {
	w.Helper()
	tags, err := w.service.versionTags(w.Context(), shop, d)
	if err != nil || len(tags) == 0 {
		w.Fatalf("tags of %s: %v, %v", d, tags, err)
	}
	return tags[0]
}

// recorder is a collector that collects nothing.
type recorder struct {
	untagged func(image, tag string) bool
	calls    int
}

func (r *recorder) Collect(ctx context.Context, c Collection) (CollectResult, error) {
	r.untagged = c.Untagged
	r.calls++
	return CollectResult{}, c.Roots(ctx, func(string, digest.Digest) {})
}

// TestYoungVersionsStay: whoever has just baked has not promoted yet.
func TestYoungVersionsStay(t *testing.T) {
	w := newWorld(t)
	w.clock.Add(time.Since(w.clock.Now()) + time.Minute)
	for i := range 3 {
		w.image(shop, fmt.Sprint(i), fmt.Sprintf("2020010%dT000000Z-0123456789ab", i+1))
	}
	for grace, want := range map[time.Duration]int{time.Hour: 0, time.Nanosecond: 2} {
		list, waiting, err := w.service.view(keepOne).retirements(t.Context(), grace)
		if err != nil || len(list) != want || waiting != 2-want {
			t.Errorf("with a grace of %s %d go, %d wait: %v", grace, len(list), waiting, err)
		}
	}
}

// TestManyAreRetired: more than are announced at once, baked on one another.
func TestManyAreRetired(t *testing.T) {
	w := newWorld(t)
	w.service = w.with(func(c *Config) { c.Collector = &recorder{} })
	var last digest.Digest
	for i := range maxRetiring + 20 {
		if i%10 == 0 {
			last = ""
		}
		last = w.imageOn(shop, fmt.Sprint(i), last).Digest
		w.clock.Add(time.Second)
	}
	w.later()
	out, err := w.service.Collect(t.Context(), CollectRequest{Retention: keepOne, Apply: true})
	if err != nil || len(out.Retired) != maxRetiring+10 {
		t.Errorf("%d retired, %v", len(out.Retired), err)
	}
}

func TestCollectRefusals(t *testing.T) {
	w := newWorld(t)
	_, err := w.service.Collect(t.Context(), CollectRequest{})
	want(t, err, KindInvalid, "nothing here collects")
	s := w.with(func(c *Config) { c.Collector = &recorder{} })
	_, err = s.Collect(t.Context(), CollectRequest{Grace: Duration(time.Millisecond)})
	want(t, err, KindInvalid, "at least 1s")
	_, err = s.Collect(t.Context(), CollectRequest{Retention: []RetentionRule{{}}})
	want(t, err, KindInvalid, "retention rule 1")
	if _, err := New(Config{Store: w.store, Pointers: w.pointers, Registry: w.registry, Retention: []RetentionRule{{}}}); err == nil {
		t.Error("a service with a rule that makes no sense")
	}
}

// TestIncompleteView, FAULTS 40: where anything that says what must stay cannot
// be read, nothing is retired and nothing is collected.
func TestIncompleteView(t *testing.T) {
	damage := map[string]func(*world){
		"state": func(w *world) { w.overwrite(store.StatePointer(shop), "{}") },
		"lease": func(w *world) {
			w.overwrite(store.LeasePointer(digest.FromString("x"), "h"), "{}")
		},
		"foreign lease": func(w *world) {
			w.overwrite(store.LeasePointer(digest.FromString("x"), "h"), `{"schema":"kiln.lease/v9"}`)
		},
		"record": func(w *world) {
			st, err := w.service.state(w.Context(), shop)
			if err != nil {
				w.Fatal(err)
			}
			r, err := w.service.record(w.Context(), shop, st.Head)
			if err != nil {
				w.Fatal(err)
			}
			if err := w.store.Delete(w.Context(), store.BlobKey(r.PrevRecord)); err != nil {
				w.Fatal(err)
			}
		},
	}
	for name, do := range damage {
		t.Run(name, func(t *testing.T) {
			w, _, _ := retained(t)
			collector := &recorder{}
			s := w.with(func(c *Config) { c.Policy = w.open(); c.Collector = collector })
			do(w)
			if err := s.Roots(t.Context(), func(string, digest.Digest) {}); err == nil {
				t.Error("Roots finds nothing wrong")
			}
			tags := len(w.pointersUnder(store.TagPointer(shop, "")))
			if out, err := s.Collect(t.Context(), CollectRequest{Apply: true, Retention: keepOne}); err == nil {
				t.Errorf("collected: %+v", out)
			}
			if collector.calls != 0 || tags != len(w.pointersUnder(store.TagPointer(shop, ""))) {
				t.Error("something was done all the same")
			}
		})
	}
	t.Run("listing", func(t *testing.T) {
		w, _, _ := retained(t)
		broken := errors.New("listing broke off")
		s := w.with(func(c *Config) { c.Pointers = unlisted{w.pointers, broken} })
		if err := s.Roots(t.Context(), func(string, digest.Digest) {}); !errors.Is(err, broken) {
			t.Errorf("leases that cannot be listed: %v", err)
		}
	})
}

func (w *world) overwrite(name, value string) {
	w.Helper()
	ptr, err := w.pointers.Load(w.Context(), name)
	if errors.Is(err, store.ErrNotFound) {
		ptr, err = store.Absent(name), nil
	}
	if err == nil {
		_, err = w.pointers.Swap(w.Context(), ptr, []byte(value))
	}
	if err != nil {
		w.Fatal(err)
	}
}

// unlisted are pointers whose listing breaks off.
type unlisted struct {
	store.Pointers
	err error
}

func (u unlisted) List(context.Context, string, string) iter.Seq2[store.Pointer, error] {
	return func(yield func(store.Pointer, error) bool) { yield(store.Pointer{}, u.err) }
}

// TestRoots names all that must stay, and links a record that a crash left
// unlinked, which nothing else would keep.
func TestRoots(t *testing.T) {
	w := newWorld(t)
	w.service = w.with(func(c *Config) { c.Policy = w.open() })
	var all []digest.Digest
	for i := range 4 {
		all = append(all, w.image(shop, fmt.Sprint(i)).Digest)
	}
	w.to("dev", all[0])
	w.to("dev", all[1])
	w.to("staging", all[2])
	w.mustLease("prod", all[3], time.Hour)
	free := w.image(shop, "free").Digest
	st, err := w.service.state(t.Context(), shop)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.registry.DeleteManifest(t.Context(), shop, st.Head); err == nil {
		t.Fatal("a record can be deleted")
	}
	for _, key := range []string{store.ManifestLinkKey(shop, st.Head), store.ReferrersPrefix(shop, all[2]) + string(st.Head)} {
		if err := w.store.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range append(all, st.Head) {
		if !w.rooted(d) {
			t.Errorf("%s is no root", d)
		}
	}
	if w.rooted(free) {
		t.Error("a version that nothing needs is a root")
	}
	if there, err := w.service.linked(t.Context(), shop, st.Head); err != nil || !there {
		t.Errorf("the head is still not linked: %v", err)
	}
	records := 0
	v := w.service.view(nil)
	for range 2 { // the second time from memory
		records = 0
		if err := v.roots(t.Context(), func(_ string, d digest.Digest) {
			if !slices.Contains(all, d) {
				records++
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	w.to("prod", all[0])
	more := 0
	if err := v.roots(t.Context(), func(_ string, d digest.Digest) {
		if !slices.Contains(all, d) {
			more++
		}
	}); err != nil {
		t.Fatal(err)
	}
	if records != 3 || more != 4 {
		t.Errorf("%d records, then %d, want 3 and 4", records, more)
	}
}

// TestRecordsAreReadByTheirLinks: a collection may take the blob link of what
// is a manifest.
func TestRecordsAreReadByTheirLinks(t *testing.T) {
	w := newWorld(t)
	w.service = w.with(func(c *Config) { c.Policy = w.open() })
	p := w.to("dev", w.image(shop, "a").Digest)
	if err := w.store.Delete(t.Context(), store.BlobLinkKey(shop, p.Record)); err != nil {
		t.Fatal(err)
	}
	if h, err := w.service.History(t.Context(), HistoryRequest{Image: shop}); err != nil || len(h.Entries) != 1 {
		t.Errorf("history %+v: %v", h, err)
	}
}

// TestSlowCommit, FAULTS 40: where a collection takes an unlinked record before
// the state names it, the promotion puts it again.
func TestSlowCommit(t *testing.T) {
	w, slow, h := racing(t)
	d := w.image(shop, "a").Digest
	h.whenState(func() {
		for info, err := range w.store.List(t.Context(), store.ImageKey(shop)+"blobs/", "") {
			if err != nil {
				t.Fatal(err)
			}
			if err := w.store.Delete(t.Context(), info.Key); err != nil {
				t.Fatal(err)
			}
		}
	})
	if _, err := slow.Promote(t.Context(), PromoteRequest{Image: shop, Digest: d, Channel: "dev"}); err != nil {
		t.Fatal(err)
	}
	if h, err := w.service.History(t.Context(), HistoryRequest{Image: shop}); err != nil || len(h.Entries) != 1 {
		t.Errorf("the ledger lost its record: %+v, %v", h, err)
	}
}
