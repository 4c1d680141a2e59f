package access

import (
	"strings"
	"testing"
	"time"

	"kiln/registry"
	"kiln/registry/ociclient"
	"kiln/registry/promotion"
	"kiln/registry/promotionhttp"
	"kiln/registry/registrytest"

	"github.com/google/go-containerregistry/pkg/authn"
)

// fixed is a keychain with one answer.
type fixed authn.AuthConfig

func (f fixed) Resolve(authn.Resource) (authn.Authenticator, error) {
	return authn.FromConfig(authn.AuthConfig(f)), nil
}

// Behind the gate a registry is still one, for our own client, with a password
// that it turns into sessions and with a token that it presents as it is.
func TestSuite(t *testing.T) {
	for name, c := range map[string]struct {
		login func(*world) fixed
		only  []string // tests of the suite; all if empty
	}{
		"password": {login: func(*world) fixed { return fixed{Username: "alice", Password: passwords["alice"]} }},
		"token": {
			login: func(w *world) fixed { return fixed{RegistryToken: w.robot("all", grant("pull push delete", "**"))} },
			only:  []string{"blobs", "mount", "manifests", "referrers", "deletion"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			login := c.login
			registrytest.Run(t, func(t *testing.T) registry.Registry {
				w := newWorld(t, func(c *Config) { c.Now = nil })
				c, err := ociclient.New(w.server.URL, ociclient.Options{Keychain: login(w), RetryWait: time.Millisecond})
				if err != nil {
					t.Fatal(err)
				}
				return c
			}, c.only...)
		})
	}
}

// FAULTS 6: an upload is its beginner's, whatever others may push there.
func TestUploadOfAnotherUser(t *testing.T) {
	w := newWorld(t, nil)
	robot := w.robot("ci", grant("pull push", "acme/*"))
	started := w.expect(202, "alice", "POST", "/v2/acme/shop/blobs/uploads/", "")
	at := started.header.Get("Location")
	w.expect(202, "alice", "PATCH", at, "one")
	for _, method := range []string{"GET", "PATCH", "DELETE"} {
		w.expect(404, robot, method, at, "")
	}
	w.expect(404, robot, "PUT", at+"?digest="+digestOf("one"), "")
	w.expect(404, "alice", "PATCH", strings.Replace(at, shop, "acme/other", 1), "two")
	w.expect(401, "", "PATCH", at, "two")
	session := w.session("alice", "repository:acme/shop:pull,push")
	w.expect(202, session, "PATCH", at, "two") // the same person
	w.expect(201, "alice", "PUT", at+"?digest="+digestOf("onetwo"), "")
}

// Tokens over HTTP, by kiln's own client: made by an admin, used, revoked.
func TestTokensOverHTTP(t *testing.T) {
	w := newWorld(t, nil)
	w.image(shop, "one", "v1")
	dial := func(token string) *promotionhttp.Client {
		t.Helper()
		c, err := promotionhttp.NewClient(w.server.URL, promotionhttp.ClientOptions{Token: token})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	admin := dial(w.robot("root", grant("admin", EveryImage)))
	made, err := admin.CreateToken(t.Context(), promotion.TokenRequest{Name: "ci", Grants: []Grant{grant("pull", "acme/*")}, Lifetime: day})
	if err != nil || made.CreatedBy != "token:root" || made.ID == "" {
		t.Fatalf("%+v: %v", made, err)
	}
	ci := dial(string(made.Token))
	if _, err := ci.Channels(t.Context(), promotion.ChannelsRequest{Image: shop}); err != nil {
		t.Error(err)
	}
	if _, err := ci.Trust(t.Context()); err != nil { // a bake asks for it
		t.Error(err)
	}
	for kind, err := range map[promotion.Kind]error{
		promotion.KindDenied:          second(ci.ListTokens(t.Context())),
		promotion.KindUnauthenticated: second(dial("").ListTokens(t.Context())),
		promotion.KindInvalid:         second(admin.CreateToken(t.Context(), promotion.TokenRequest{Name: "x"})),
		promotion.KindConflict:        second(admin.CreateToken(t.Context(), promotion.TokenRequest{Name: "ci", Grants: made.Grants, Lifetime: day})),
		promotion.KindNotFound:        second(admin.RevokeToken(t.Context(), promotion.RevokeTokenRequest{Name: "none"})),
	} {
		if promotion.KindOf(err) != kind {
			t.Errorf("%v, want %s", err, kind)
		}
	}
	list, err := admin.ListTokens(t.Context())
	if err != nil || len(list.Tokens) != 2 || list.Tokens[0].Name != "ci" || list.Tokens[0].Token != "" {
		t.Errorf("%+v: %v", list, err)
	}
	if gone, err := admin.RevokeToken(t.Context(), promotion.RevokeTokenRequest{Name: "ci"}); err != nil || len(gone.Tokens) != 1 {
		t.Errorf("%+v: %v", gone, err)
	}
	if _, err := ci.Channels(t.Context(), promotion.ChannelsRequest{Image: shop}); promotion.KindOf(err) != promotion.KindUnauthenticated {
		t.Errorf("a revoked token: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }
