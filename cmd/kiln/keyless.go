package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"kiln/registry/promotion"
	"kiln/sign"
)

// keylessFlags say how to sign with an identity in place of a key.
type keylessFlags struct {
	on          bool
	tokenFile   string
	fulcioURL   string
	rekorURL    string
	trustedRoot string // file
}

func (k *keylessFlags) register(f *pflag.FlagSet) {
	f.BoolVar(&k.on, "keyless", false, "sign with a certificate for an identity token in place of a key (SIGSTORE_ID_TOKEN, or GitHub's)")
	f.StringVar(&k.tokenFile, "identity-token", "", "file with the identity token; means --keyless")
	f.StringVar(&k.fulcioURL, "fulcio-url", "", "Fulcio, which issues the certificate (KILN_FULCIO_URL)")
	f.StringVar(&k.rekorURL, "rekor-url", "", "Rekor, the log that takes the signatures (KILN_REKOR_URL)")
	f.StringVar(&k.trustedRoot, "trusted-root", "", "Sigstore trusted root that verifiers use, a file (KILN_TRUSTED_ROOT)")
}

// completed adds what the environment says. Nothing has a default: kiln asks no
// public service that was not named.
func (k keylessFlags) completed(getenv func(string) string) keylessFlags {
	k.on = k.on || k.tokenFile != ""
	k.fulcioURL = firstOf(k.fulcioURL, getenv("KILN_FULCIO_URL"))
	k.rekorURL = firstOf(k.rekorURL, getenv("KILN_REKOR_URL"))
	k.trustedRoot = firstOf(k.trustedRoot, getenv("KILN_TRUSTED_ROOT"))
	return k
}

// keylessSigner gets a certificate.
func (a *app) keylessSigner(ctx context.Context, k keylessFlags, timestampURL string) (*sign.Signer, error) {
	switch {
	case k.fulcioURL == "":
		return nil, usagef("--keyless needs --fulcio-url (KILN_FULCIO_URL); kiln asks no public service that was not named")
	case k.rekorURL == "" && timestampURL == "":
		return nil, usagef("--keyless needs --rekor-url or --timestamp-url (KILN_REKOR_URL, KILN_TIMESTAMP_URL): what proves the time of a signature")
	case k.trustedRoot == "":
		return nil, usagef("--keyless needs --trusted-root FILE (KILN_TRUSTED_ROOT): what does not verify is not published")
	}
	root, err := os.ReadFile(k.trustedRoot)
	if err != nil {
		return nil, err
	}
	signer, err := sign.NewKeylessSigner(ctx, sign.KeylessConfig{
		FulcioURL: strings.TrimRight(k.fulcioURL, "/"), RekorURL: k.rekorURL, TimestampURL: timestampURL, TrustedRoot: root,
		Token: func(ctx context.Context) (string, error) { return a.identityToken(ctx, k.tokenFile) },
	})
	if err != nil {
		return nil, err
	}
	who := signer.Principal().Identity
	a.say("signing as %s of %s", who.Subject, who.Issuer)
	return signer, nil
}

// identityToken finds the token of this run: in a file, in the variable that
// cosign reads, or from GitHub Actions.
func (a *app) identityToken(ctx context.Context, file string) (string, error) {
	if file != "" {
		content, err := os.ReadFile(file)
		return strings.TrimSpace(string(content)), err
	}
	if token := a.getenv("SIGSTORE_ID_TOKEN"); token != "" {
		return token, nil
	}
	address, secret := a.getenv("ACTIONS_ID_TOKEN_REQUEST_URL"), a.getenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
	if address == "" || secret == "" {
		return "", usagef("--keyless needs an identity token: --identity-token FILE or SIGSTORE_ID_TOKEN (in GitHub Actions the permission id-token: write)")
	}
	return actionsToken(ctx, address, secret)
}

// actionsToken asks GitHub Actions for a token with the audience of Fulcio. The
// secret goes to that address only.
func actionsToken(ctx context.Context, address, secret string) (string, error) {
	if err := sign.CheckTokenURL(address); err != nil {
		return "", fmt.Errorf("ACTIONS_ID_TOKEN_REQUEST_URL: %w", err)
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", errors.New("ACTIONS_ID_TOKEN_REQUEST_URL is no address")
	}
	query := u.Query()
	query.Set("audience", "sigstore")
	u.RawQuery = query.Encode()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+secret)
	res, err := (&http.Client{Transport: sign.TokenTransport{}}).Do(req)
	if err != nil {
		return "", fmt.Errorf("identity token from GitHub Actions: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("identity token from GitHub Actions: %s", res.Status)
	}
	var answer struct{ Value string }
	if err := json.NewDecoder(io.LimitReader(res.Body, 64<<10)).Decode(&answer); err != nil || answer.Value == "" {
		return "", fmt.Errorf("identity token from GitHub Actions: no token in the answer (%v)", err)
	}
	return answer.Value, nil
}

// admitIdentity asks the trust about a keyless signer; nothing is recorded.
func admitIdentity(ctx context.Context, ops promotion.Operations, who sign.Identity, image string) error {
	t, err := ops.Trust(ctx)
	if err != nil {
		return err
	}
	return t.AdmitsIdentity(promotion.RoleBake, who, image, time.Now())
}
