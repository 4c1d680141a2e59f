package main

import (
	"context"

	"github.com/google/go-containerregistry/pkg/authn"

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
	client, err := promotionhttp.NewClient(location, promotionhttp.ClientOptions{Token: token})
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
	}, nil
}

// remote opens another registry, by the host in a template.
func (a *app) remote(host string) (registry.Reader, error) { return remoteRegistry(host) }

func remoteRegistry(host string) (registry.Registry, error) {
	return ociclient.New(host, ociclient.Options{})
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
