package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"kiln/bake"
	"kiln/policy"
	"kiln/registry"
	"kiln/sign"
)

func (a *app) policyPushCommand() *cobra.Command {
	var signing signerFlags
	cmd := &cobra.Command{
		Use:   "push DIR|FILE IMAGE[:TAG] --key K",
		Short: "Store a policy as a signed artifact, and print its reference",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.policyPush(cmd.Context(), args[0], args[1], signing)
		},
	}
	signing.register(cmd.Flags())
	return cmd
}

// policyPushed is what policy push --json prints.
type policyPushed struct {
	Schema    string        `json:"schema"` // kiln.policy-push/v1
	Image     string        `json:"image"`
	Tag       string        `json:"tag"`
	Digest    digest.Digest `json:"digest"`
	Reference string        `json:"reference"`
}

func (a *app) policyPush(ctx context.Context, path, target string, signing signerFlags) error {
	files, err := readPolicyPath(path)
	if err != nil {
		return err
	}
	p, err := policy.Compose(policy.Spec{Default: true, Files: files})
	if err != nil {
		return err
	}
	ref, err := pushTarget(target, p)
	if err != nil {
		return err
	}
	signer, err := a.requireSigner(ctx, signing)
	if err != nil {
		return err
	}
	b, err := a.open(ctx, purpose{create: true})
	if err != nil {
		return err
	}
	defer b.Close()
	desc, err := a.storePolicy(ctx, b, signer, ref, files)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(policyPushed{"kiln.policy-push/v1", ref.Name, ref.Tag, desc.Digest, ref.Name + "@" + string(desc.Digest)})
	}
	_, err = fmt.Fprintf(a.out, "%s@%s\n", ref.Name, desc.Digest)
	return err
}

// storePolicy stores files as a policy, signed, once its signer may sign it.
func (a *app) storePolicy(ctx context.Context, b *backend, signer *sign.Signer, ref registry.Reference, files map[string][]byte) (ocispec.Descriptor, error) {
	recorded, err := b.admit(ctx, signer, ref.Name)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if recorded {
		a.say("first key of this store: recorded %s in its trust", signer.KeyID())
	}
	desc, err := b.pushPolicy(ctx, ref.Name, ref.Tag, files)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if err := signer.SignImage(ctx, bake.Evidence(b.registry), ref.Name, desc); err != nil {
		return ocispec.Descriptor{}, errors.Join(fmt.Errorf("%s is stored and not signed: give the same command again", desc.Digest), err)
	}
	return desc, nil
}

// pushTarget reads where a policy is stored; its tag, if none is given, is that
// of its content.
func pushTarget(s string, p *policy.Policy) (registry.Reference, error) {
	ref, err := registry.ParseReference(s)
	if err != nil || ref.Host != "" || ref.Digest != "" {
		return registry.Reference{}, usagef("%s: want IMAGE or IMAGE:TAG of the store", s)
	}
	if ref.Tag == "" {
		ref.Tag = "policy-" + p.Digest().Encoded()[:12]
	}
	return ref, nil
}
