package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"kiln/bake"
	"kiln/sign"
)

func (a *app) signCommand() *cobra.Command {
	var key string
	cmd := &cobra.Command{
		Use:   "sign REF --key K",
		Short: "Sign a stored image in both of cosign's layouts",
		Args:  cobra.ExactArgs(1),
		RunE:  func(cmd *cobra.Command, args []string) error { return a.signImage(cmd.Context(), args[0], key) },
	}
	cmd.Flags().StringVar(&key, "key", "", "private key (KILN_KEY)")
	return cmd
}

func (a *app) signImage(ctx context.Context, ref, key string) error {
	b, signer, image, subject, err := a.toSign(ctx, ref, key)
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
func (a *app) toSign(ctx context.Context, ref, key string) (*backend, *sign.Signer, string, ocispec.Descriptor, error) {
	fail := func(err error) (*backend, *sign.Signer, string, ocispec.Descriptor, error) {
		return nil, nil, "", ocispec.Descriptor{}, err
	}
	named, err := storeRef(ref)
	if err != nil {
		return fail(err)
	}
	signer, err := a.requireSigner(ctx, key)
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
	return b, signer, named.Name, subject, nil
}

func (a *app) attestCommand() *cobra.Command {
	var key, kind, file string
	cmd := &cobra.Command{
		Use:   "attest REF --type T --predicate FILE --key K",
		Short: "Attach a signed statement to a stored image",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.attest(cmd.Context(), args[0], kind, file, key)
		},
	}
	cmd.Flags().StringVar(&kind, "type", "", "predicate type: a URI, or spdxjson, cyclonedx, slsaprovenance1, test-result (required)")
	cmd.Flags().StringVar(&file, "predicate", "", "JSON file with the predicate (required)")
	cmd.Flags().StringVar(&key, "key", "", "private key (KILN_KEY)")
	return cmd
}

// shortTypes are cosign's names of predicate types, and one of ours.
var shortTypes = map[string]string{
	"spdxjson":        sign.SPDXPredicate,
	"cyclonedx":       sign.CycloneDXPredicate,
	"slsaprovenance1": sign.ProvenancePredicate,
	"test-result":     sign.TestPredicate,
}

func (a *app) attest(ctx context.Context, ref, kind, file, key string) error {
	if kind == "" || file == "" {
		return usagef("attest needs --type and --predicate")
	}
	if long, ok := shortTypes[kind]; ok {
		kind = long
	}
	if !strings.Contains(kind, ":") {
		return usagef("--type %s: want a URI or a known short name", kind)
	}
	if slices.Contains([]string{sign.PromotionPredicate, sign.ChannelPredicate, sign.SignaturePredicate}, kind) {
		return usagef("--type %s: only kiln itself makes statements of this type", kind)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if !json.Valid(content) {
		return fmt.Errorf("%s is not JSON", file)
	}
	b, signer, image, subject, err := a.toSign(ctx, ref, key)
	if err != nil {
		return err
	}
	defer b.Close()
	desc, err := signer.Attest(ctx, bake.Evidence(b.registry), image, subject, kind, json.RawMessage(content))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.out, desc.Digest)
	return err
}
