package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"kiln/bake"
	"kiln/registry/promotion"
	"kiln/sign"
)

func (a *app) signCommand() *cobra.Command {
	var who signerFlags
	cmd := &cobra.Command{
		Use:   "sign REF --key K",
		Short: "Sign a stored image in both of cosign's layouts",
		Args:  cobra.ExactArgs(1),
		RunE:  func(cmd *cobra.Command, args []string) error { return a.signImage(cmd.Context(), args[0], who) },
	}
	who.register(cmd.Flags())
	return cmd
}

func (a *app) signImage(ctx context.Context, ref string, who signerFlags) error {
	b, signer, image, subject, err := a.toSign(ctx, ref, who)
	if err != nil {
		return err
	}
	defer b.Close()
	if err := signer.SignImage(ctx, bake.Evidence(b.registry), image, subject); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s@%s\n", image, subject.Digest)
	return err
}

// toSign opens what sign and attest work on.
func (a *app) toSign(ctx context.Context, ref string, who signerFlags) (*backend, *sign.Signer, string, ocispec.Descriptor, error) {
	fail := func(err error) (*backend, *sign.Signer, string, ocispec.Descriptor, error) {
		return nil, nil, "", ocispec.Descriptor{}, err
	}
	named, err := storeRef(ref)
	if err != nil {
		return fail(err)
	}
	signer, err := a.requireSigner(ctx, who)
	if err != nil {
		return fail(err)
	}
	b, err := a.open(ctx, purpose{})
	if err != nil {
		return fail(err)
	}
	d, err := a.fix(ctx, b.registry, named)
	if err != nil {
		return fail(errors.Join(err, b.Close()))
	}
	subject, _, err := b.registry.Manifest(ctx, named.Name, d)
	if err != nil {
		return fail(errors.Join(err, b.Close()))
	}
	a.warnUncounted(ctx, b, signer, named.Name)
	return b, signer, named.Name, subject, nil
}

// warnUncounted says so where the store's trust does not count what the signer
// signs: it may be listed later. Who may not see the trust is told nothing.
func (a *app) warnUncounted(ctx context.Context, b *backend, signer *sign.Signer, image string) {
	t, err := b.ops.Trust(ctx)
	if err != nil {
		return
	}
	first := false
	if who := signer.Principal().Identity; who != nil {
		err = t.AdmitsIdentity(promotion.RoleBake, *who, image, time.Now())
	} else {
		first, err = t.Admits(promotion.RoleBake, signer.PublicPEM(), image, time.Now())
	}
	if err == nil || first {
		return
	}
	a.say("warning: nobody who goes by the store's trust counts what this signs: %v", err)
	for _, hint := range hints(err) {
		a.say("hint: %s", hint)
	}
}
