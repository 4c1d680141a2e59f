package main

import (
	"context"

	"github.com/spf13/pflag"

	"kiln/sign"
)

// signerFlags say who signs images and their evidence.
type signerFlags struct {
	key          string // of a file or a key service
	timestampURL string // of what dates the signatures; "" for nothing
	keyless      keylessFlags
}

func (s *signerFlags) register(f *pflag.FlagSet) {
	f.StringVar(&s.key, "key", "", "private key that signs images and evidence: a file or a URI such as hashivault://NAME (KILN_KEY)")
	f.StringVar(&s.timestampURL, "timestamp-url", "", "RFC 3161 authority that dates the signatures, so that they outlast their key (KILN_TIMESTAMP_URL)")
	s.keyless.register(f)
}

// signing adds what the environment says to what the flags say; --keyless
// overrules KILN_KEY.
func (a *app) signing(s signerFlags) signerFlags {
	s.keyless = s.keyless.completed(a.getenv)
	if !s.keyless.on {
		s.key = firstOf(s.key, a.getenv("KILN_KEY"))
	}
	s.timestampURL = firstOf(s.timestampURL, a.getenv("KILN_TIMESTAMP_URL"))
	return s
}

// nobody says whether nothing would be signed.
func (s signerFlags) nobody() bool { return s.key == "" && !s.keyless.on }

// signer opens who signs; nil for nobody.
func (a *app) signer(ctx context.Context, s signerFlags) (*sign.Signer, error) {
	if s.keyless.on && s.key != "" {
		return nil, usagef("--key or --keyless, not both")
	}
	if s.keyless.on {
		return a.keylessSigner(ctx, s.keyless, s.timestampURL)
	}
	signer, err := a.loadKey(ctx, s.key)
	if err != nil || signer == nil || s.timestampURL == "" {
		return signer, err
	}
	return signer.WithTimestamps(s.timestampURL)
}

// requireSigner is for commands that do nothing without a key.
func (a *app) requireSigner(ctx context.Context, s signerFlags) (*sign.Signer, error) {
	s = a.signing(s)
	if s.nobody() {
		return nil, usagef("this needs a key (--key KEY or KILN_KEY; kiln keygen makes one) or --keyless")
	}
	return a.signer(ctx, s)
}
