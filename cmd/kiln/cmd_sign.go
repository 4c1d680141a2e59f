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
	v, signer, subject, err := a.toSign(ctx, ref, who)
	if err != nil {
		return err
	}
	defer v.Close()
	if err := signer.SignImage(ctx, bake.Evidence(v.registry), v.image, subject); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s@%s\n", v.image, v.digest)
	return err
}

// toSign opens what sign and attest work on.
func (a *app) toSign(ctx context.Context, ref string, who signerFlags) (*storedVersion, *sign.Signer, ocispec.Descriptor, error) {
	v, err := a.openVersion(ctx, ref, purpose{})
	if err != nil {
		return nil, nil, ocispec.Descriptor{}, err
	}
	signer, err := a.requireSigner(ctx, who)
	if err != nil {
		return nil, nil, ocispec.Descriptor{}, errors.Join(err, v.Close())
	}
	subject, _, err := v.registry.Manifest(ctx, v.image, v.digest)
	if err != nil {
		return nil, nil, ocispec.Descriptor{}, errors.Join(err, v.Close())
	}
	a.warnUncounted(ctx, v.backend, signer, v.image)
	return v, signer, subject, nil
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
