package main

import (
	"context"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"kiln/registry"
	"kiln/registry/ociclient"
	"kiln/registry/promotion"
	"kiln/registry/promotionhttp"
	"kiln/sign"
)

// openServer opens the store of a kiln serve.
func (a *app) openServer(_ context.Context, location string) (*backend, error) {
	host, err := hostOf(location)
	if err != nil {
		return nil, err
	}
	token := a.getenv("KILN_TOKEN")
	client, err := promotionhttp.NewClient(location, promotionhttp.ClientOptions{Token: token, Login: loginOf(host)})
	if err != nil {
		return nil, err
	}
	reg, err := ociclient.New(location, ociclient.Options{Keychain: keychain(token)})
	if err != nil {
		return nil, err
	}
	return &backend{
		registry: reg,
		ops:      client,
		tokens:   client,
		versions: client,
		host:     host,
		channels: serverChannels(client),
		admit: func(ctx context.Context, key *sign.Signer, image string) (bool, error) {
			return client.Admit(ctx, promotion.RoleBake, key.PublicPEM(), image)
		},
		mayAdmit: func(ctx context.Context) error { return client.MayAdmit(ctx, promotion.RoleBake) },
	}, nil
}

// loginOf finds the user and the password that docker login, crane auth login
// or skopeo login left for a host; none if there are none. They are looked up
// once, as a credential helper may be slow.
func loginOf(host string) func(context.Context) (user, password string, err error) {
	var mu sync.Mutex
	var known *authn.AuthConfig
	return func(ctx context.Context) (string, string, error) {
		mu.Lock()
		defer mu.Unlock()
		if known == nil {
			reg, err := name.NewRegistry(host)
			if err != nil {
				return "", "", err
			}
			found, err := authn.Resolve(ctx, authn.DefaultKeychain, reg)
			if err != nil {
				return "", "", err
			}
			if known, err = authn.Authorization(ctx, found); err != nil {
				return "", "", err
			}
		}
		if known.Password == "" { // a token of another kind of server
			return "", "", nil
		}
		return known.Username, known.Password, nil
	}
}

// remote opens another registry, by the host in a template.
func (a *app) remote(ctx context.Context) func(host string) (registry.Reader, error) {
	return func(host string) (registry.Reader, error) { return remoteRegistry(ctx, host) }
}

func remoteRegistry(ctx context.Context, host string) (registry.Registry, error) {
	return ociclient.New(ociclient.Endpoint(ctx, host), ociclient.Options{})
}

// keychain sends KILN_TOKEN where there is one, and otherwise what docker's
// credential helpers know.
func keychain(token string) authn.Keychain {
	if token == "" {
		return authn.DefaultKeychain
	}
	return bearer(token)
}

// bearer is a keychain with one token.
type bearer string

// Resolve implements authn.Keychain.
func (b bearer) Resolve(authn.Resource) (authn.Authenticator, error) {
	return authn.FromConfig(authn.AuthConfig{RegistryToken: string(b)}), nil
}
