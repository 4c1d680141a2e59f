package access

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"reflect"
	"slices"
	"strings"
	"testing"

	"kiln/registry"
	"kiln/registry/promotion"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const shop = "acme/shop"

var someDigest = digest.FromString("x")

// first is the first error of a sequence.
func first[T any](seq iter.Seq2[T, error]) error {
	for _, err := range seq {
		return err
	}
	return nil
}

// registryCalls is every method of a registry, by the verbs of which one is
// needed. A method that is not here fails the test.
func registryCalls() map[string]struct {
	verbs string
	call  func(context.Context, registry.Registry) error
} {
	type R = registry.Registry
	return map[string]struct {
		verbs string
		call  func(context.Context, registry.Registry) error
	}{
		"StatBlob": {"pull", func(ctx context.Context, r R) error { _, err := r.StatBlob(ctx, shop, someDigest); return err }},
		"OpenBlob": {"pull", func(ctx context.Context, r R) error { _, err := r.OpenBlob(ctx, shop, someDigest, 0, -1); return err }},
		"Manifest": {"pull", func(ctx context.Context, r R) error { _, _, err := r.Manifest(ctx, shop, someDigest); return err }},
		"Tag":      {"pull", func(ctx context.Context, r R) error { _, err := r.Tag(ctx, shop, "v1"); return err }},
		"ManifestByTag": {"pull", func(ctx context.Context, r R) error {
			_, _, err := registry.ManifestByTag(ctx, r, shop, "v1")
			return err
		}},
		"Tags":         {"pull", func(ctx context.Context, r R) error { return first(r.Tags(ctx, shop, "")) }},
		"Referrers":    {"pull", func(ctx context.Context, r R) error { return first(r.Referrers(ctx, shop, someDigest, "")) }},
		"Repositories": {"", func(ctx context.Context, r R) error { return first(r.Repositories(ctx, "")) }},
		"PushBlob":     {"push attest", func(ctx context.Context, r R) error { return r.PushBlob(ctx, shop, ocispec.Descriptor{}, nil) }},
		"MountBlob":    {"push attest", func(ctx context.Context, r R) error { _, err := r.MountBlob(ctx, "open", shop, someDigest); return err }},
		"StartUpload":  {"push attest", func(ctx context.Context, r R) error { _, err := r.StartUpload(ctx, shop); return err }},
		"ResumeUpload": {"push attest", func(ctx context.Context, r R) error { _, err := r.ResumeUpload(ctx, shop, "id"); return err }},
		"PushManifest": {"push", func(ctx context.Context, r R) error {
			_, err := r.PushManifest(ctx, shop, registry.Manifest{})
			return err
		}},
		"DeleteBlob":     {"delete", func(ctx context.Context, r R) error { return r.DeleteBlob(ctx, shop, someDigest) }},
		"DeleteManifest": {"delete", func(ctx context.Context, r R) error { return r.DeleteManifest(ctx, shop, someDigest) }},
		"DeleteTag":      {"delete", func(ctx context.Context, r R) error { return r.DeleteTag(ctx, shop, "v1") }},
	}
}

var errReached = errors.New("reached")

// reached is a registry whose every method says that it was reached.
type reached struct{ registry.Registry }

func (reached) StatBlob(context.Context, string, digest.Digest) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{}, errReached
}
func (reached) OpenBlob(context.Context, string, digest.Digest, int64, int64) (io.ReadCloser, error) {
	return nil, errReached
}
func (reached) Manifest(context.Context, string, digest.Digest) (ocispec.Descriptor, []byte, error) {
	return ocispec.Descriptor{}, nil, errReached
}
func (reached) Tag(context.Context, string, string) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{}, errReached
}
func (reached) PushBlob(context.Context, string, ocispec.Descriptor, io.Reader) error {
	return errReached
}
func (reached) MountBlob(context.Context, string, string, digest.Digest) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{}, errReached
}
func (reached) StartUpload(context.Context, string) (registry.Upload, error) { return nil, errReached }
func (reached) ResumeUpload(context.Context, string, string) (registry.Upload, error) {
	return nil, errReached
}
func (reached) PushManifest(context.Context, string, registry.Manifest) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{}, errReached
}
func (reached) DeleteBlob(context.Context, string, digest.Digest) error     { return errReached }
func (reached) DeleteManifest(context.Context, string, digest.Digest) error { return errReached }
func (reached) DeleteTag(context.Context, string, string) error             { return errReached }
func (reached) Repositories(context.Context, string) iter.Seq2[string, error] {
	return failing[string](errReached)
}
func (reached) Tags(context.Context, string, string) iter.Seq2[string, error] {
	return failing[string](errReached)
}
func (reached) Referrers(context.Context, string, digest.Digest, string) iter.Seq2[ocispec.Descriptor, error] {
	return failing[ocispec.Descriptor](errReached)
}

// Each method of the registry is guarded by its verb and by no other one.
func TestEveryMethodIsGuarded(t *testing.T) {
	calls := registryCalls()
	kind := reflect.TypeFor[registry.Registry]()
	for i := range kind.NumMethod() {
		if _, ok := calls[kind.Method(i).Name]; !ok {
			t.Errorf("%s is not tried", kind.Method(i).Name)
		}
	}
	guard := (&Gate{}).Registry(reached{})
	for name, c := range calls {
		stranger := With(t.Context(), Identity{Name: AnonymousName, Anonymous: true, Grants: []Grant{grant("pull", "open")}})
		for who, ctx := range map[string]context.Context{"nobody": t.Context(), "zero": With(t.Context(), Identity{})} {
			want := registry.CodeUnauthorized
			if who == "zero" && name != "Repositories" {
				want = registry.CodeDenied
			}
			if err := c.call(ctx, guard); !errors.Is(err, want) {
				t.Errorf("%s by %s: %v", name, who, err)
			}
		}
		if name != "Repositories" { // strangers see theirs
			if err := c.call(stranger, guard); !errors.Is(err, registry.CodeUnauthorized) {
				t.Errorf("%s by a stranger: %v", name, err)
			}
		}
		for _, verb := range Verbs() {
			id := Identity{Name: "x", Grants: []Grant{grant(string(verb), shop), grant("pull", "open")}}
			want := name == "Repositories" || slices.Contains(strings.Fields(c.verbs), string(verb))
			err := c.call(With(t.Context(), id), guard)
			if want != errors.Is(err, errReached) || !want && !errors.Is(err, registry.CodeDenied) {
				t.Errorf("%s with %s: %v", name, verb, err)
			}
			// A session that was made for something else asks for another.
			id.narrow = &scopes{{"repository", "other", []string{"*"}}, {"repository", "open", []string{"*"}}}
			err = c.call(With(t.Context(), id), guard)
			if name != "Repositories" && want && !errors.Is(err, registry.CodeUnauthorized) {
				t.Errorf("%s with %s and another scope: %v", name, verb, err)
			}
		}
	}
}

// Attest is for evidence and nothing else.
func TestAttest(t *testing.T) {
	guard := (&Gate{}).Registry(reached{})
	ctx := With(t.Context(), Identity{Name: "ci", Grants: []Grant{grant("attest", "acme/*")}})
	hex := strings.Repeat("a", 64)
	subject := fmt.Sprintf(`{"subject":{"digest":"sha256:%s"}}`, hex)
	for _, c := range []struct {
		content string
		tags    []string
		want    bool
	}{
		{subject, nil, true},
		{subject, []string{"sha256-" + hex}, true},
		{`{}`, []string{"sha256-" + hex + ".sig"}, true},
		{`{}`, []string{"sha256-" + hex + ".att"}, true},
		{`{}`, []string{"sha512-" + hex + hex}, true},
		{`{}`, nil, false},
		{``, nil, false},
		{subject, []string{"latest"}, false},
		{subject, []string{"sha256-" + hex, "latest"}, false},
		{subject, []string{"prod"}, false},
		{`{}`, []string{"sha256-latest"}, false},
		{`{}`, []string{"sha256-" + hex + "0"}, false},
		{`{}`, []string{"sha256-" + strings.ToUpper(hex)}, false},
		{`{}`, []string{"xsha256-" + hex}, false},
		{`{"Subject":{"digest":"sha256:` + hex + `"}}`, nil, false},
		{`{"subject":{"Digest":"sha256:` + hex + `"}}`, nil, false},
		{`{"subject":null}`, nil, false},
		{`{"subject":{}}`, nil, false},
		{`{"subject":{"digest":"sha256:../x"}}`, nil, false},
		{`{"subject":"sha256:` + hex + `"}`, nil, false},
		{`{"annotations":{"subject":{"digest":"sha256:` + hex + `"}}}`, nil, false},
	} {
		_, err := guard.PushManifest(ctx, shop, registry.Manifest{Content: []byte(c.content), Tags: c.tags})
		if c.want != errors.Is(err, errReached) || !c.want && !errors.Is(err, registry.CodeDenied) {
			t.Errorf("%s as %v: %v", c.content, c.tags, err)
		}
	}
	both := With(t.Context(), Identity{Name: "x", Grants: []Grant{grant("attest push", "acme/*")}})
	if _, err := guard.PushManifest(both, shop, registry.Manifest{Content: []byte(`{}`), Tags: []string{"latest"}}); !errors.Is(err, errReached) {
		t.Errorf("push beside attest: %v", err)
	}
}

// FAULTS 9: a digest is no right to the bytes of another image.
func TestMountNeedsPull(t *testing.T) {
	guard := (&Gate{}).Registry(reached{})
	for grants, want := range map[string]error{"push": registry.CodeDenied, "push pull": errReached} {
		ctx := With(t.Context(), Identity{Name: "x", Grants: []Grant{grant("push", shop), grant(grants, "secret")}})
		if _, err := guard.MountBlob(ctx, "secret", shop, someDigest); !errors.Is(err, want) {
			t.Errorf("with %s on the source: %v", grants, err)
		}
	}
}

// operationVerbs says what each operation needs, of a channel where it has one.
var operationVerbs = map[string]Verb{
	"Promote": Promote, "Check": Pull, "Decisions": Policy, "Rollback": Rollback, "Resolve": Pull, "History": Pull, "Versions": Pull, "Ancestry": Pull, "Channels": Pull, "Renew": Promote,
	"Revoke": Revoke, "Restore": Revoke, "Revocations": Pull, "Approve": Approve, "Approvals": Pull,
	"AddTrust": Admin, "RemoveTrust": Admin, "SetTrustRoot": Admin, "Lease": Lease, "Release": Lease, "Leases": Pull, "Delete": Delete, "Collect": GC,
}

// spy is operations that note whether they were reached, and by whom.
type spy struct {
	promotion.Operations
	by string
}

func (s *spy) Promote(_ context.Context, r promotion.PromoteRequest) (promotion.Promotion, error) {
	s.by = r.By
	return promotion.Promotion{}, errReached
}

// callOperation calls a method by name, with its request for shop and dev; a
// panic of the nil operations behind the guard says that it was let through.
func callOperation(ctx context.Context, ops promotion.Operations, name string) (err error) {
	defer func() {
		if recover() != nil {
			err = errReached
		}
	}()
	method := reflect.ValueOf(ops).MethodByName(name)
	args := []reflect.Value{reflect.ValueOf(ctx)}
	if method.Type().NumIn() == 2 {
		req := reflect.New(method.Type().In(1)).Elem()
		for field, value := range map[string]string{"Image": shop, "Channel": "dev"} {
			if f := req.FieldByName(field); f.IsValid() && f.Kind() == reflect.String {
				f.SetString(value)
			}
		}
		args = append(args, req)
	}
	out := method.Call(args)
	if e, ok := out[len(out)-1].Interface().(error); ok {
		err = e
	}
	return err
}

func TestEveryOperationIsGuarded(t *testing.T) {
	guard := (&Gate{}).Operations(nil)
	kind := reflect.TypeFor[promotion.Operations]()
	for i := range kind.NumMethod() {
		name := kind.Method(i).Name
		if err := callOperation(t.Context(), guard, name); promotion.KindOf(err) != promotion.KindUnauthenticated {
			t.Errorf("%s by nobody: %v", name, err)
		}
		stranger := With(t.Context(), Identity{Name: AnonymousName, Anonymous: true})
		if err := callOperation(stranger, guard, name); promotion.KindOf(err) != promotion.KindUnauthenticated {
			t.Errorf("%s by a stranger: %v", name, err)
		}
		if name == "Images" || name == "Trust" { // not by verb; see below
			continue
		}
		need, ok := operationVerbs[name]
		if !ok {
			t.Errorf("%s is not tried", name)
		}
		for _, verb := range Verbs() {
			for _, on := range []Grant{
				{Images: []string{"acme/*"}, Channels: []string{"dev"}, Verbs: []Verb{verb}},
				{Images: []string{"acme/*"}, Channels: []string{"prod"}, Verbs: []Verb{verb}},
				{Images: []string{"other/*"}, Channels: []string{"**"}, Verbs: []Verb{verb}},
				{Images: []string{EveryImage}, Channels: []string{"**"}, Verbs: []Verb{verb}},
			} {
				want := verb == need && (on.Images[0] == EveryImage || on.Images[0] == "acme/*" && need != Admin && need != GC &&
					(on.Channels[0] == "dev" || !slices.Contains(channelVerbs(), need)))
				err := callOperation(With(t.Context(), Identity{Name: "x", Grants: []Grant{on}}), guard, name)
				if want != errors.Is(err, errReached) || !want && promotion.KindOf(err) != promotion.KindDenied {
					t.Errorf("%s with %v: %v", name, on, err)
				}
			}
		}
		everything := Identity{Name: "x", Grants: []Grant{{Images: []string{EveryImage}, Channels: []string{"**"}, Verbs: Verbs()}}, narrow: &scopes{}}
		if err := callOperation(With(t.Context(), everything), guard, name); promotion.KindOf(err) != promotion.KindDenied {
			t.Errorf("%s with a session of docker login: %v", name, err)
		}
	}
	s := &spy{}
	id := Identity{Name: "ci", Grants: []Grant{{Images: []string{"**"}, Channels: []string{"**"}, Verbs: []Verb{Promote}}}}
	_, err := (&Gate{}).Operations(s).Promote(With(t.Context(), id), promotion.PromoteRequest{Image: shop, Channel: "dev", By: "root"})
	if !errors.Is(err, errReached) || s.by != "ci" {
		t.Errorf("promoted by %q: %v", s.by, err)
	}
}

// TestRefusalNamesTheChannel where only that is missing, and the verb otherwise.
func TestRefusalNamesTheChannel(t *testing.T) {
	id := Identity{Name: "ann", Grants: []Grant{{Images: []string{"acme/*"}, Channels: []string{"dev"}, Verbs: []Verb{Promote}}}}
	for _, c := range []struct{ image, channel, want string }{
		{shop, "prod", "adds prod to the channels"},
		{"other/shop", "prod", "an admin grants the verb promote"},
	} {
		var e *promotion.Error
		if err := mayOperate(With(t.Context(), id), Promote, c.image, c.channel); !errors.As(err, &e) || !strings.Contains(e.Hint, c.want) {
			t.Errorf("%s to %s: %+v", c.image, c.channel, err)
		}
	}
}

func TestTokensAreAdmins(t *testing.T) {
	guard := (&Gate{}).Tokens()
	for _, id := range []Identity{
		{Name: "x", Grants: []Grant{{Images: []string{"**"}, Channels: []string{"**"}, Verbs: slices.DeleteFunc(Verbs(), func(v Verb) bool { return v == Admin })}}},
		{Name: "x", Grants: []Grant{grant("admin", "acme/**")}},
		{Name: "x", Grants: []Grant{grant("admin", "**")}, narrow: &scopes{{"repository", EveryImage, []string{"*"}}}},
	} {
		ctx := With(t.Context(), id)
		_, err1 := guard.CreateToken(ctx, promotion.TokenRequest{})
		_, err2 := guard.ListTokens(ctx)
		_, err3 := guard.RevokeToken(ctx, promotion.RevokeTokenRequest{})
		for _, err := range []error{err1, err2, err3} {
			if promotion.KindOf(err) != promotion.KindDenied {
				t.Errorf("%+v: %v", id, err)
			}
		}
	}
	if _, err := guard.ListTokens(t.Context()); promotion.KindOf(err) != promotion.KindUnauthenticated {
		t.Errorf("by nobody: %v", err)
	}
}

// pages is operations with images, two on a page.
type pages struct {
	promotion.Operations
	names []string
}

func (p *pages) Images(_ context.Context, req promotion.ImagesRequest) (promotion.Images, error) {
	out := promotion.Images{Images: []promotion.Image{}}
	for _, n := range p.names {
		if n <= req.Cursor {
			continue
		}
		if len(out.Images) == 2 {
			out.Next = out.Images[1].Image
			break
		}
		out.Images = append(out.Images, promotion.Image{Image: n})
	}
	return out, nil
}

// FAULTS 2: a filter neither drops a name nor shows one that it should not.
func TestImagesAreFiltered(t *testing.T) {
	ops := (&Gate{}).Operations(&pages{names: []string{"a", "acme/a", "acme/b", "acme2", "b", "c", "d", "f", "secret/e", "zoo/x"}})
	ctx := With(t.Context(), Identity{Name: "x", Grants: []Grant{grant("pull", "acme/*", "zoo/*"), grant("push", "secret/*")}})
	var got []string
	for cursor := ""; ; {
		page, err := ops.Images(ctx, promotion.ImagesRequest{Limit: 1, Cursor: cursor})
		if err != nil || len(page.Images) > 1 {
			t.Fatalf("%+v: %v", page, err)
		}
		for _, i := range page.Images {
			got = append(got, i.Image)
		}
		if strings.Contains(page.Next, "secret") {
			t.Errorf("the cursor tells %s", page.Next)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if strings.Join(got, " ") != "acme/a acme/b zoo/x" {
		t.Errorf("listed %v", got)
	}
}

// Leases lists what it has one by one.
func (p *pages) Leases(_ context.Context, req promotion.LeasesRequest) (promotion.LeaseList, error) {
	for i, n := range p.names {
		l := promotion.Lease{Image: n, Digest: someDigest, Holder: fmt.Sprintf("%02d-of-%s", i, strings.ReplaceAll(n, "/", "-"))}
		if l.Cursor() > req.Cursor {
			return promotion.LeaseList{Leases: []promotion.Lease{l}, Next: l.Cursor()}, nil
		}
	}
	return promotion.LeaseList{}, nil
}

// A list of all leases tells nothing of images that may not be pulled.
func TestLeasesAreFiltered(t *testing.T) {
	ops := (&Gate{}).Operations(&pages{names: []string{"secret/a", "acme/a", "secret/b", "acme/b", "secret/c", "acme/c", "secret/d"}})
	ctx := With(t.Context(), Identity{Name: "x", Grants: []Grant{grant("pull", "acme/*"), grant("lease", "secret/*")}})
	var got []string
	for cursor := ""; ; {
		page, err := ops.Leases(ctx, promotion.LeasesRequest{Limit: 2, Cursor: cursor})
		if err != nil || len(page.Leases) > 2 || strings.Contains(page.Next, "secret") {
			t.Fatalf("%+v: %v", page, err)
		}
		for _, l := range page.Leases {
			got = append(got, l.Image)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if strings.Join(got, " ") != "acme/a acme/b acme/c" {
		t.Errorf("listed %v", got)
	}
}

// Ancestry lists what it has one by one.
func (p *pages) Ancestry(_ context.Context, req promotion.AncestryRequest) (promotion.Ancestry, error) {
	page := promotion.Ancestry{Image: req.Image, Parents: []promotion.Ancestor{{Image: "secret/base"}, {Image: "acme/os"}}}
	for _, n := range p.names {
		d := promotion.Descendant{Image: n, Digest: someDigest, Parent: someDigest}
		if d.Cursor() > req.Cursor {
			page.Descendants, page.Next = []promotion.Descendant{d}, d.Cursor()
			break
		}
	}
	return page, nil
}

// An image's ancestry tells nothing of images that may not be pulled.
func TestAncestryIsFiltered(t *testing.T) {
	ops := (&Gate{}).Operations(&pages{names: []string{"acme/a", "acme/b", "acme/c", "secret/a", "secret/d"}})
	ctx := With(t.Context(), Identity{Name: "x", Grants: []Grant{grant("pull", "acme/*")}})
	var got []string
	for cursor := ""; ; {
		page, err := ops.Ancestry(ctx, promotion.AncestryRequest{Image: "acme/os", Limit: 2, Cursor: cursor})
		if err != nil || len(page.Descendants) > 2 || strings.Contains(page.Next, "secret") || len(page.Parents) != 1 || page.Parents[0].Image != "acme/os" {
			t.Fatalf("%+v: %v", page, err)
		}
		for _, d := range page.Descendants {
			got = append(got, d.Image)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if strings.Join(got, " ") != "acme/a acme/b acme/c" {
		t.Errorf("listed %v", got)
	}
}

// Who may collect may not remove versions by rules that he brings along.
func TestCollectByOwnRules(t *testing.T) {
	guard := (&Gate{}).Operations(nil)
	for verbs, want := range map[string]bool{"gc": false, "gc admin push": false, "delete": false, "gc delete": true} {
		ctx := With(t.Context(), Identity{Name: "x", Grants: []Grant{grant(verbs, EveryImage)}})
		err := func() (err error) {
			defer func() {
				if recover() != nil { // the nil operations behind the guard
					err = errReached
				}
			}()
			_, err = guard.Collect(ctx, promotion.CollectRequest{Retention: []promotion.RetentionRule{{Image: EveryImage, KeepLast: 1}}})
			return err
		}()
		if errors.Is(err, errReached) != want {
			t.Errorf("%s: %v", verbs, err)
		}
	}
}
