package promotion

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"
)

// DefaultGrace is how long what nothing reaches stays, from when a collection
// finds that out.
const DefaultGrace = 24 * time.Hour

// MinGrace is the least grace: what a push has written and not yet tagged must
// outlive the push.
const MinGrace = time.Second

// CollectRequest asks to remove what nothing reaches.
type CollectRequest struct {
	Apply bool     `json:"apply,omitempty"` // else only say what would be done
	Grace Duration `json:"grace,omitempty"` // DefaultGrace if zero, at least MinGrace
	// Retention instead of the rules that the service was made with.
	Retention []RetentionRule `json:"retention,omitempty"`
	By        string          `json:"-"`
}

// CollectSchema is the schema of a CollectResult.
const CollectSchema = "kiln.gc/v1"

// MaxListed bounds each list of a CollectResult; what is beyond is counted in
// its sums only.
const MaxListed = 100_000

// CollectResult is what a collection did or, without Apply, would do now.
type CollectResult struct {
	Schema    string    `json:"schema"`
	Applied   bool      `json:"applied"`
	Retired   []Retired `json:"retired"`   // versions that no rule keeps
	Removed   []Garbage `json:"removed"`   // what a collection before condemned
	Condemned []Garbage `json:"condemned"` // what goes after the grace
	Rescued   int       `json:"rescued"`   // condemned before, reached again
	// Bytes is what Removed wins, BytesCondemned what Condemned will.
	Bytes          int64 `json:"bytes"`
	BytesCondemned int64 `json:"bytes_condemned"`
	// Young counts what nothing reaches and is younger than Grace: the last of it
	// can be condemned at YoungDue, and goes a grace later.
	Grace      Duration   `json:"grace"`
	Young      int        `json:"young"`
	BytesYoung int64      `json:"bytes_young"`
	YoungDue   *time.Time `json:"young_due,omitempty"`
	// Waiting counts versions that no rule keeps and that were stored within
	// Grace: they are retired after it.
	Waiting int `json:"waiting"`
	// Truncated: a list was longer than MaxListed.
	Truncated bool `json:"truncated,omitempty"`
}

// Retired is a version whose version tags a collection removes. They are never
// used again; its manifest goes when nothing else reaches it.
type Retired struct {
	Image   string        `json:"image"`
	Digest  digest.Digest `json:"digest"`
	Tags    []string      `json:"tags"`
	Created time.Time     `json:"created"` // when it was baked
}

// Garbage is something that nothing reaches.
type Garbage struct {
	Kind   string        `json:"kind"`            // "manifest", "blob link" or "blob"
	Image  string        `json:"image,omitempty"` // absent for bytes, which are of no image
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`          // bytes
	Due    *time.Time    `json:"due,omitempty"` // when what is condemned goes at the earliest
}

// Collect implements Operations. Without Apply nothing is written but the link
// of a ledger's head, where a crash kept that from being made.
func (s *Service) Collect(ctx context.Context, req CollectRequest) (CollectResult, error) {
	grace, rules, err := s.collection(req)
	if err != nil {
		return CollectResult{}, err
	}
	v := s.view(rules)
	retired, waiting, err := v.retirements(ctx, grace)
	if err != nil {
		return CollectResult{}, err
	}
	untagged := map[string]bool{}
	if req.Apply {
		if retired, err = v.retireAll(ctx, retired); err != nil {
			return CollectResult{}, err
		}
		if err := s.pruneLeases(ctx); err != nil {
			return CollectResult{}, err
		}
	} else {
		for _, r := range retired {
			for _, tag := range r.Tags {
				untagged[r.Image+":"+tag] = true
			}
		}
	}
	out, err := s.collector.Collect(ctx, Collection{
		Apply: req.Apply, Grace: grace, Roots: v.roots,
		Untagged: func(image, tag string) bool { return untagged[image+":"+tag] },
	})
	if err != nil {
		return CollectResult{}, err
	}
	out.Schema, out.Applied, out.Retired = CollectSchema, req.Apply, retired
	out.Grace, out.Waiting = Duration(grace), waiting
	out.bound()
	if req.Apply {
		s.log.Info("collected", "by", req.By, "retired", len(out.Retired), "removed", len(out.Removed), "bytes", out.Bytes, "condemned", len(out.Condemned))
	}
	return out, nil
}

// collection checks a request and fills in what it leaves open.
func (s *Service) collection(req CollectRequest) (time.Duration, []RetentionRule, error) {
	if s.collector == nil {
		return 0, nil, errorf(KindInvalid, "nothing here collects this store")
	}
	grace := time.Duration(req.Grace)
	if grace == 0 {
		grace = DefaultGrace
	}
	if grace < MinGrace {
		return 0, nil, errorf(KindInvalid, "a grace of %s; it must be at least %s, for pushes to outlive it", req.Grace, Duration(MinGrace))
	}
	if len(req.Retention) == 0 {
		return grace, s.rules, nil
	}
	return grace, req.Retention, checkRules(req.Retention)
}

// bound cuts the lists.
func (r *CollectResult) bound() {
	r.Truncated = len(r.Retired) > MaxListed || len(r.Removed) > MaxListed || len(r.Condemned) > MaxListed
	r.Retired = atMost(r.Retired)
	r.Removed = atMost(r.Removed)
	r.Condemned = atMost(r.Condemned)
}

// atMost is the first MaxListed of a list, and never nil.
func atMost[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list[:min(len(list), MaxListed)]
}

// Roots names to keep each manifest that must stay besides what tags reach;
// image "" is every image that has it. An error means that the view is not
// complete.
type Roots func(ctx context.Context, keep func(image string, d digest.Digest)) error

// Collector removes from a store what neither tags nor roots reach.
type Collector interface {
	Collect(ctx context.Context, c Collection) (CollectResult, error)
}

// Collection is what a Collector is told.
type Collection struct {
	Apply bool
	Grace time.Duration
	Roots Roots
	// Untagged says which tags a dry run takes as removed; nil is none.
	Untagged func(image, tag string) bool
}
