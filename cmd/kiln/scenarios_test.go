package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"kiln/registry/promotion"
)

// scenario is a promotion, or a rollback, that both doors must judge alike.
type scenario struct {
	name     string
	image    string // acme/NAME if ""
	prepare  func(r *releases, image string) digest.Digest
	channel  string // dev if ""
	rollback bool
	expect   string // --expect
	// What it comes to. Of a denial rule, message and fix are in one reason, or
	// message and hint in the error itself where rule is "".
	exit, status       int
	rule, message, fix string
	kept               bool // the decision is kept, with that rule
}

// allowed and denied are what scenarios come to.
func allowed(s scenario) scenario {
	s.exit, s.status, s.kept = exitDone, http.StatusCreated, true
	return s
}

func denied(rule, message, fix string, s scenario) scenario {
	s.exit, s.status, s.rule, s.message, s.fix = exitDenied, http.StatusForbidden, rule, message, fix
	s.kept = rule != ""
	return s
}

// baked is a preparation that makes one version.
func baked(change func(r *releases, v *release)) func(*releases, string) digest.Digest {
	return func(r *releases, image string) digest.Digest {
		v := release{image: image}
		change(r, &v)
		return r.made(v)
	}
}

func whole(*releases, *release) {}

// scenarios are promotions under the built-in policy, from allowed to each
// kind of denial. FAULTS 31, 32 and 34 are among them.
func scenarios() []scenario {
	without := func(rules ...string) func(*releases, string) digest.Digest {
		return baked(func(_ *releases, v *release) { v.without = rules })
	}
	return []scenario{
		allowed(scenario{name: "app", prepare: baked(whole)}),
		allowed(scenario{name: "base-without-tests", prepare: baked(func(_ *releases, v *release) { v.tier, v.without = "base", []string{"tests"} })}),
		allowed(scenario{name: "in-order", channel: "staging", prepare: func(r *releases, image string) digest.Digest {
			return r.moved(image, r.made(release{image: image}), "dev")
		}}),
		allowed(scenario{name: "scheduled-revocation", prepare: func(r *releases, image string) digest.Digest {
			d := r.made(release{image: image})
			r.revoked(image, d, time.Now().Add(time.Hour))
			return d
		}}),
		allowed(scenario{name: "restored", prepare: func(r *releases, image string) digest.Digest {
			d := r.made(release{image: image})
			r.revoked(image, d, time.Time{})
			if _, err := r.service.Restore(r.Context(), promotion.RestoreRequest{Image: image, Digest: d, Reason: "it does not"}); err != nil {
				r.Fatal(err)
			}
			return d
		}}),
		denied("signature", "has no signature by a key that is trusted to bake", "kiln bake --key", scenario{
			name: "unsigned", prepare: baked(func(_ *releases, v *release) { v.unsigned = true }),
		}),
		denied("signature", "has no signature by a key that is trusted", "kiln trust add KEY.pub --role bake", scenario{
			name: "untrusted-key", prepare: baked(func(r *releases, v *release) { v.key = r.promote }),
		}),
		denied("signature", "has no signature by a key that is trusted", "kiln trust add", scenario{
			name: "key-of-other-images", prepare: baked(func(r *releases, v *release) { v.key = r.other }),
		}),
		denied("signature", "has no signature by a key that is trusted", "kiln bake --key", scenario{
			name: "expired-key", prepare: baked(func(r *releases, v *release) { v.key = r.old }),
		}),
		denied("provenance", "no provenance signed by a trusted key", "which attests where it comes from", scenario{
			name: "no-provenance", prepare: without("provenance"),
		}),
		denied("provenance", `says that it is the image "acme/toolbox"`, "kiln bake --key", scenario{
			name: "provenance-of-another-image", prepare: baked(func(_ *releases, v *release) { v.says = "acme/toolbox" }),
		}),
		denied("provenance", "no provenance signed by a trusted key", "kiln bake --key", scenario{
			name: "provenance-of-another-digest", prepare: func(r *releases, image string) digest.Digest {
				d := r.made(release{image: image, without: []string{"provenance"}})
				r.moveEvidence(image, r.made(release{image: image}), d)
				return d
			},
		}),
		denied("sbom", "no software bill of materials", "kiln attest --type spdx", scenario{name: "no-sbom", prepare: without("sbom")}),
		denied("sbom", "no software bill of materials", "kiln attest --type spdx", scenario{
			name: "unreadable-sbom", prepare: baked(func(_ *releases, v *release) { v.sbom = map[string]any{"fine": true} }),
		}),
		denied("tier", `its tier "tool" is none of`, "set tier in the template", scenario{
			name: "no-tier", prepare: baked(func(_ *releases, v *release) { v.tier = "tool" }),
		}),
		denied("tests", "no passed test", "add a test block to the template", scenario{name: "no-test", prepare: without("tests")}),
		denied("tests", "a test failed: healthy", "make it pass", scenario{
			name: "failed-test", prepare: baked(func(_ *releases, v *release) { v.results = "FAILED" }),
		}),
		denied("scan", "no scan for secrets", "bake it again", scenario{name: "no-scan", prepare: without("scan")}),
		denied("scan", "its scan found secrets", "take them out of the steps", scenario{
			name: "failed-scan", prepare: baked(func(_ *releases, v *release) { v.secrets = "FAILED" }),
		}),
		denied("order", "it was never in dev, which comes before staging", "promote it to dev first: kiln promote acme/order@sha256:", scenario{
			name: "order", channel: "staging", prepare: baked(whole),
		}),
		denied("revoked", "is revoked", "promote another version", scenario{
			name: "revoked", prepare: func(r *releases, image string) digest.Digest {
				d := r.made(release{image: image})
				r.revoked(image, d, time.Time{})
				return d
			},
		}),
		denied("ancestry", "which is revoked: it leaks", "kiln rebase", scenario{
			name: "revoked-ancestor", prepare: func(r *releases, image string) digest.Digest {
				base := r.made(release{image: "acme/leaky", tier: "base"})
				r.revoked("acme/leaky", base, time.Time{})
				return r.made(release{image: image, base: "acme/leaky@" + string(base)})
			},
		}),
		denied("ancestry", "is not known", "bake", scenario{
			name: "unknown-ancestor", prepare: func(r *releases, image string) digest.Digest {
				base := r.made(release{image: "acme/found", tier: "base", without: []string{"provenance"}})
				return r.made(release{image: image, base: "acme/found@" + string(base)})
			},
		}),
		denied("version", "no version tag names it", "bake it again", scenario{
			name: "no-version", prepare: baked(func(_ *releases, v *release) { v.untagged = true }),
		}),
		denied("", "is not trusted to promote beta/shop", "kiln trust add KEY.pub --role promote", scenario{
			name: "untrusted-promotion-key", image: "beta/shop", prepare: baked(whole),
		}),
		denied("", "not for channel staging", "--channel staging", scenario{
			name: "promotion-key-of-another-channel", image: "gamma/shop", channel: "staging", prepare: func(r *releases, image string) digest.Digest {
				return r.moved(image, r.made(release{image: image}), "dev")
			},
		}),
		denied("revoked", "is revoked", "promote another version", scenario{
			name: "rollback-to-revoked", rollback: true, prepare: func(r *releases, image string) digest.Digest {
				d := r.moved(image, r.made(release{image: image}), "dev")
				r.moved(image, r.made(release{image: image}), "dev")
				r.revoked(image, d, time.Time{})
				return d
			},
		}),
		{
			name: "conflict", expect: "none", exit: exitConflict, status: http.StatusConflict, message: "moved: it holds sha256:", fix: "decide again",
			prepare: func(r *releases, image string) digest.Digest {
				r.moved(image, r.made(release{image: image}), "dev")
				return r.made(release{image: image})
			},
		},
		{
			name: "damaged-evidence", exit: exitUnverified, status: http.StatusInternalServerError, message: "damage",
			prepare: func(r *releases, image string) digest.Digest {
				d := r.made(release{image: image})
				r.damage(image, d)
				return d
			},
		},
		{
			name: "no-such-digest", exit: exitNotFound, status: http.StatusNotFound, message: "has no version", fix: "kiln versions acme/no-such-digest",
			prepare: func(r *releases, image string) digest.Digest {
				r.made(release{image: image})
				return digest.FromString("nothing")
			},
		},
	}
}

// verdict is what one door answers.
type verdict struct {
	code    int // exit code or status
	text    string
	reasons []promotion.Reason // of the API
}

// TestPromotionScenarios tries each on the command line and over the API: the
// same verdict, for reasons that a person can act on, and nothing moves that is
// not allowed.
func TestPromotionScenarios(t *testing.T) {
	r := newReleases(t)
	tryScenarios(t, r, &cliDoor{releases: r}, "", scenarios())
}

// tryScenarios prepares them all in one store, and tries each at both doors of
// copies of it.
func tryScenarios(t *testing.T, r *releases, door *cliDoor, config string, list []scenario) {
	digests := make([]digest.Digest, len(list))
	for i := range list {
		s := &list[i]
		s.image, s.channel = firstOf(s.image, "acme/"+s.name), firstOf(s.channel, "dev")
		digests[i] = s.prepare(r, s.image)
	}
	door.store = r.copied("cli")
	api := startServe(t, fmt.Sprintf("store = %q\npromotion_key = %q\n%s", r.copied("api"), r.dir+"/promote.key", config), nil)
	for i, s := range list {
		t.Run(s.name, func(t *testing.T) {
			before := door.holds(t, s)
			s.check(t, "cli", s.exit, door.try(t, s, digests[i]))
			s.after(t, "cli", before, digests[i], door.holds(t, s), door.decisions(t, s))
			s.check(t, "api", s.status, api.try(s, digests[i]))
			s.after(t, "api", before, digests[i], api.holds(s), api.decisions(s))
		})
	}
}

// TestApprovedScenarios puts the packaged example of approvals beside the
// built-in policy: what nobody approved is denied, what somebody did is not.
func TestApprovedScenarios(t *testing.T) {
	r := newReleases(t)
	if _, err := r.service.AddTrust(t.Context(), promotion.TrustRequest{
		Role: promotion.RoleApprove, Key: string(r.other.PublicPEM()), Image: "acme/**",
	}); err != nil {
		t.Fatal(err)
	}
	const gate = "policy {\n  example \"approvals\" {\n    count = 1\n  }\n}\n"
	if err := os.WriteFile(r.dir+"/gate.hcl", []byte(gate), 0o600); err != nil {
		t.Fatal(err)
	}
	door := &cliDoor{releases: r, store: r.store(), policy: r.dir + "/gate.hcl"}
	approved := func(key string) func(*releases, string) digest.Digest {
		return func(r *releases, image string) digest.Digest {
			d := r.made(release{image: image})
			if code, _, text := door.run(t, "approve", image+"@"+string(d), "--to", "dev", "--approval-key", r.dir+"/"+key+".key"); key == "other" && code != exitDone {
				t.Fatal(text)
			}
			return d
		}
	}
	tryScenarios(t, r, door, gate, []scenario{
		denied("approvals", "0 of 1 approvals for dev by people other than the baker", "kiln approve acme/unapproved@sha256:", scenario{name: "unapproved", prepare: baked(whole)}),
		denied("approvals", "0 of 1 approvals", "kiln approve", scenario{name: "approved-by-its-baker", prepare: approved("bake")}),
		allowed(scenario{name: "approved", prepare: approved("other")}),
	})
}

// check compares what a door said.
func (s scenario) check(t *testing.T, door string, want int, got verdict) {
	t.Helper()
	if got.code != want {
		t.Errorf("%s answers %d, want %d\n%s", door, got.code, want, got.text)
	}
	for _, part := range []string{s.message, s.fix} {
		if !strings.Contains(got.text, part) {
			t.Errorf("%s does not say %q\n%s", door, part, got.text)
		}
	}
	if s.rule == "" {
		return
	}
	if door == "cli" && !strings.Contains(got.text, "\n  "+s.rule+": ") {
		t.Errorf("%s does not name the rule %s\n%s", door, s.rule, got.text)
	}
	if door == "api" && !slices.ContainsFunc(got.reasons, func(r promotion.Reason) bool {
		return r.Rule == s.rule && strings.Contains(r.Message, s.message) && strings.Contains(r.Fix, s.fix)
	}) {
		t.Errorf("%s gives no reason %s: %+v", door, s.rule, got.reasons)
	}
}

// after checks what became of the channel, and what was kept.
func (s scenario) after(t *testing.T, door string, before, d, holds digest.Digest, kept promotion.DecisionList) {
	t.Helper()
	want := before
	if s.exit == exitDone {
		want = d
	}
	if holds != want {
		t.Errorf("%s: the channel holds %q, want %q", door, holds, want)
	}
	if !s.kept {
		return
	}
	at := slices.IndexFunc(kept.Decisions, func(k promotion.Decision) bool { return k.Digest == d && k.Channel == s.channel })
	if at < 0 {
		t.Fatalf("%s: no decision is kept: %+v", door, kept)
	}
	k := kept.Decisions[at]
	if k.Denied() != (s.exit != exitDone) || k.Facts == "" || k.Policy == "" || (k.Record == "") != (s.exit != exitDone) {
		t.Errorf("%s keeps %+v", door, k)
	}
	if s.rule != "" && !slices.ContainsFunc(append(k.Reasons, k.Refusals...), func(r promotion.Reason) bool { return r.Rule == s.rule }) {
		t.Errorf("%s keeps no reason %s: %+v", door, s.rule, k)
	}
}

// cliDoor runs kiln in this process on a store in a folder.
type cliDoor struct {
	*releases
	store  string
	policy string // KILN_POLICY
}

func (c *cliDoor) run(t *testing.T, args ...string) (int, string, string) {
	t.Helper()
	var out, err bytes.Buffer
	env := map[string]string{"KILN_STORE": c.store, "HOME": c.dir, "KILN_PROMOTION_KEY": c.dir + "/promote.key", "KILN_POLICY": c.policy}
	code := run(t.Context(), args, stdio{in: strings.NewReader(""), out: &out, err: &err}, func(name string) string { return env[name] })
	return code, out.String(), err.String()
}

func (c *cliDoor) try(t *testing.T, s scenario, d digest.Digest) verdict {
	t.Helper()
	args := []string{"promote", s.image + "@" + string(d), "--to", s.channel}
	if s.rollback {
		args = []string{"rollback", s.image, "--channel", s.channel, "--to", string(d)}
	}
	if s.expect != "" {
		args = append(args, "--expect", s.expect)
	}
	code, _, text := c.run(t, args...)
	return verdict{code: code, text: text}
}

func (c *cliDoor) holds(t *testing.T, s scenario) digest.Digest {
	t.Helper()
	var list promotion.ChannelList
	c.read(t, &list, "channels", s.image)
	return held(list, s.channel)
}

func (c *cliDoor) decisions(t *testing.T, s scenario) promotion.DecisionList {
	t.Helper()
	var list promotion.DecisionList
	c.read(t, &list, "policy", "decisions", s.image)
	return list
}

func (c *cliDoor) read(t *testing.T, into any, args ...string) {
	t.Helper()
	code, out, text := c.run(t, append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), into); code != exitDone || err != nil {
		t.Fatalf("kiln %v: %d, %v\n%s", args, code, err, text)
	}
}

func held(list promotion.ChannelList, channel string) digest.Digest {
	for _, c := range list.Channels {
		if c.Channel == channel {
			return c.Digest
		}
	}
	return ""
}

func (r *running) try(s scenario, d digest.Digest) verdict {
	r.t.Helper()
	path, body := "/api/v1/promotions", map[string]any{"image": s.image, "digest": d, "channel": s.channel}
	if s.rollback {
		path, body = "/api/v1/rollbacks", map[string]any{"image": s.image, "to": d, "channel": s.channel}
	}
	if s.expect != "" {
		body["expect"] = s.expect
	}
	content, err := json.Marshal(body)
	if err != nil {
		r.t.Fatal(err)
	}
	resp, text := r.send(http.DefaultClient, http.MethodPost, path, bytes.NewReader(content), "Content-Type", "application/json")
	var problem struct {
		Reasons []promotion.Reason `json:"reasons"`
	}
	if err := json.Unmarshal([]byte(text), &problem); err != nil {
		r.t.Errorf("%s: %v\n%s", path, err, text)
	}
	return verdict{code: resp.StatusCode, text: strings.NewReplacer(`\"`, `"`, `\u003e`, ">").Replace(text), reasons: problem.Reasons}
}

func (r *running) holds(s scenario) digest.Digest {
	r.t.Helper()
	var list promotion.ChannelList
	r.read("/api/v1/channels?image="+s.image, &list)
	return held(list, s.channel)
}

func (r *running) decisions(s scenario) promotion.DecisionList {
	r.t.Helper()
	var list promotion.DecisionList
	r.read("/api/v1/decisions?image="+s.image, &list)
	return list
}

func (r *running) read(path string, into any) {
	r.t.Helper()
	resp, text := r.do(http.MethodGet, path)
	if err := json.Unmarshal([]byte(text), into); resp.StatusCode != http.StatusOK || err != nil {
		r.t.Fatalf("%s: %d, %v\n%s", path, resp.StatusCode, err, text)
	}
}
