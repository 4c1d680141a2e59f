package promotion

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"kiln/sign"

	"github.com/opencontainers/go-digest"
)

// approval is a signed one; change makes it one of something else.
func (w *world) approval(key *sign.Signer, d digest.Digest, channel string, change func(*ApprovalStatement)) json.RawMessage {
	w.Helper()
	id, err := w.service.StoreID(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	word := ApprovalStatement{StoreID: id, Image: shop, Channel: channel, Digest: d, Reason: "looks good", At: w.clock.Now()}
	image := shop
	if change != nil {
		change(&word)
		image = word.Image
	}
	bundle, err := key.SignApproval(w.Context(), image, word.Digest, word)
	if err != nil {
		w.Fatal(err)
	}
	return bundle
}

func (w *world) approves(req ApproveRequest) (Approval, error) {
	req.Image = shop
	return w.service.Approve(w.Context(), req)
}

func (w *world) approvers(keys ...*sign.Signer) {
	w.Helper()
	for _, k := range keys {
		if _, err := w.service.AddTrust(w.Context(), TrustRequest{Role: RoleApprove, Key: string(k.PublicPEM())}); err != nil {
			w.Fatal(err)
		}
	}
}

func (w *world) approved(d digest.Digest, channel string) []Approval {
	w.Helper()
	list, err := w.service.Approvals(w.Context(), ApprovalsRequest{Image: shop, Digest: d, Channel: channel})
	if err != nil {
		w.Fatal(err)
	}
	return list.Approvals
}

// An approval is a record that names the signed word, or who is known to have
// said it; the same one counts once.
func TestApprovals(t *testing.T) {
	w := openWorld(t)
	a := w.bakedOn(shop, "a")
	w.approvers(w.stranger)
	first, err := w.approves(ApproveRequest{Digest: a, Channel: "prod", Approval: w.approval(w.stranger, a, "prod", nil), By: "robot"})
	if err != nil || first.KeyID != w.stranger.KeyID() || first.By != "robot" || first.Reason != "looks good" || !first.Trusted || first.Evidence == "" {
		t.Fatalf("%+v: %v", first, err)
	}
	w.clock.Add(time.Minute)
	again, err := w.approves(ApproveRequest{Digest: a, Channel: "prod", Approval: w.approval(w.stranger, a, "prod", nil), By: "other"})
	if err != nil || !again.Unchanged || again.Record != first.Record {
		t.Fatalf("again %+v: %v", again, err)
	}
	said, err := w.approves(ApproveRequest{Digest: a, By: "ann", Reason: "yes"})
	if err != nil || said.By != "ann" || said.KeyID != "" || !said.Trusted || said.Sequence != first.Sequence+1 {
		t.Fatalf("%+v: %v", said, err)
	}
	// Who hands in a signed one is not a second person by his mere word.
	if _, err := w.approves(ApproveRequest{Digest: a, Channel: "prod", By: "robot"}); err != nil {
		t.Fatal(err)
	}
	if list := w.approved(a, "prod"); len(list) != 2 || list[0].By != "ann" || list[1].Record != first.Record || !list[0].Trusted || !list[1].Trusted {
		t.Errorf("for prod: %+v", list)
	}
	if list := w.approved(a, "dev"); len(list) != 1 || list[0].By != "ann" {
		t.Errorf("for dev: %+v", list)
	}
	w.forgetIndex()
	if list := w.approved(a, "prod"); len(list) != 2 {
		t.Errorf("without an index: %+v", list)
	}
	// Trust is judged when it is asked, not when it was said.
	if _, err := w.service.RemoveTrust(t.Context(), TrustRequest{KeyID: w.stranger.KeyID(), Role: RoleApprove}); err != nil {
		t.Fatal(err)
	}
	if list := w.approved(a, "prod"); len(list) != 3 || list[2].Trusted || list[2].KeyID != "" {
		t.Errorf("by a key that is trusted no more: %+v", list)
	}
	w.checkLedger(t, nil)
}

// An approval for any channel counts where the trust lists who gave it, and is
// listed as that; the ledger's list says who signed it.
func TestApprovalForSomeChannels(t *testing.T) {
	w := openWorld(t)
	a := w.bakedOn(shop, "a")
	if _, err := w.service.AddTrust(t.Context(), TrustRequest{Role: RoleApprove, Key: string(w.stranger.PublicPEM()), Channels: []string{"dev", "prod"}}); err != nil {
		t.Fatal(err)
	}
	where := func(said Approval) bool {
		return !said.Trusted && slices.Equal(said.TrustedIn, []string{"dev", "prod"}) && said.KeyID == w.stranger.KeyID()
	}
	first, err := w.approves(ApproveRequest{Digest: a, Approval: w.approval(w.stranger, a, "", nil)})
	if err != nil || !where(first) {
		t.Fatalf("%+v: %v", first, err)
	}
	again, err := w.approves(ApproveRequest{Digest: a, Approval: w.approval(w.stranger, a, "", nil)})
	if err != nil || !again.Unchanged || again.Record != first.Record || !where(again) {
		t.Errorf("again %+v: %v", again, err)
	}
	if list := w.approved(a, ""); len(list) != 1 || !where(list[0]) {
		t.Errorf("%+v", list)
	}
	for channel, trusted := range map[string]bool{"dev": true, "staging": false, "prod": true} {
		if list := w.approved(a, channel); len(list) != 1 || list[0].Trusted != trusted || list[0].TrustedIn != nil {
			t.Errorf("for %s: %+v", channel, list)
		}
	}
	said, err := w.approves(ApproveRequest{Digest: a, By: "ann"})
	if err != nil || !said.Trusted || said.TrustedIn != nil {
		t.Errorf("by name %+v: %v", said, err)
	}
	history, err := w.service.History(t.Context(), HistoryRequest{Image: shop})
	if err != nil || len(history.Entries) != 2 || history.Entries[0].KeyID != "" || history.Entries[0].By != "ann" || history.Entries[1].KeyID != w.stranger.KeyID() {
		t.Errorf("%+v: %v", history, err)
	}
	if _, err := w.service.RemoveTrust(t.Context(), TrustRequest{KeyID: w.stranger.KeyID(), Role: RoleApprove}); err != nil {
		t.Fatal(err)
	}
	history, err = w.service.History(t.Context(), HistoryRequest{Image: shop, Limit: 1, Cursor: "1"})
	if err != nil || len(history.Entries) != 1 || history.Entries[0].KeyID != "" {
		t.Errorf("of nobody whom the trust lists: %+v: %v", history, err)
	}
}

// FAULTS 37: an approval of something else, by a stranger, of another store or
// time, or of nobody, is none.
func TestApprovalsThatAreNone(t *testing.T) {
	w := openWorld(t)
	a, b := w.bakedOn(shop, "a"), w.bakedOn(shop, "b")
	w.approvers(w.stranger)
	for name, c := range map[string]struct {
		key    *sign.Signer
		change func(*ApprovalStatement)
		want   string
	}{
		"by the bake key":      {w.bake, nil, "does not verify"},
		"by the promotion key": {w.promote, nil, "does not verify"},
		"of another store":     {w.stranger, func(s *ApprovalStatement) { s.StoreID = "other" }, "is for store"},
		"of another image":     {w.stranger, func(s *ApprovalStatement) { s.Image = "acme/tool" }, "does not verify"},
		"of another digest":    {w.stranger, func(s *ApprovalStatement) { s.Digest = b }, "does not verify"},
		"of another channel":   {w.stranger, func(s *ApprovalStatement) { s.Channel = "dev" }, "and channel"},
		"of any channel":       {w.stranger, func(s *ApprovalStatement) { s.Channel = "" }, "and channel"},
		"from the future":      {w.stranger, func(s *ApprovalStatement) { s.At = s.At.Add(2 * MaxSkew) }, "in the future"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.approves(ApproveRequest{Digest: a, Channel: "prod", Approval: w.approval(c.key, a, "prod", c.change), By: "robot"})
			want(t, err, KindDenied, c.want)
		})
	}
	_, err := w.approves(ApproveRequest{Digest: a, Channel: "prod"})
	want(t, err, KindDenied, "nobody is known")
	_, err = w.approves(ApproveRequest{Digest: a, Channel: "prod", Approval: json.RawMessage(`{"mediaType":"x"}`), By: "robot"})
	want(t, err, KindDenied, "does not verify")
	_, err = w.approves(ApproveRequest{Digest: a, Channel: "elsewhere", By: "ann"})
	want(t, err, KindNotFound, "no channel")
	_, err = w.approves(ApproveRequest{Digest: digest.FromString("x"), By: "ann"})
	want(t, err, KindNotFound, "has no version")
	if list := w.approved(a, ""); len(list) != 0 {
		t.Errorf("they count: %+v", list)
	}
}

// A record that the head does not reach counts nothing, though the index names
// it and the promotion key signed it.
func TestApprovalOutsideTheLedgerIsNotBelieved(t *testing.T) {
	w := openWorld(t)
	a := w.bakedOn(shop, "a")
	w.to("dev", a)
	if _, err := w.approves(ApproveRequest{Digest: a, By: "ann"}); err != nil {
		t.Fatal(err)
	}
	st, err := w.service.state(t.Context(), shop)
	if err != nil {
		t.Fatal(err)
	}
	id, _ := w.service.StoreID(t.Context())
	subject, _, _ := w.service.version(t.Context(), shop, a)
	r := Record{
		StoreID: id, Image: shop, Action: ActionApprove, Digest: a, By: "eve", Sequence: st.Sequence, PrevRecord: st.Head, At: w.clock.Now(),
	}
	loser, err := w.service.seal(t.Context(), r, subject)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.service.put(t.Context(), shop, loser); err != nil {
		t.Fatal(err)
	}
	if err := w.service.link(t.Context(), shop, loser.digest); err != nil {
		t.Fatal(err)
	}
	w.write(approvalKey(shop, a, 77), string(loser.digest))
	list := w.approved(a, "")
	if len(list) != 2 {
		t.Fatalf("%+v", list)
	}
	for _, p := range list {
		if p.Trusted != (p.By == "ann") {
			t.Errorf("%+v", p)
		}
	}
}
