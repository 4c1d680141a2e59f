package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"kiln/bake"
	"kiln/registry"
	"kiln/sign"
)

// evidenceTypes are the predicate types that kiln attests.
var evidenceTypes = []string{bake.SBOMPredicate, bake.ProvenancePredicate, bake.TestResultPredicate, sign.CycloneDXPredicate}

func (a *app) verifyCommand() *cobra.Command {
	var keys []string
	var o rebuildOptions
	cmd := &cobra.Command{
		Use:   "verify REF --key K",
		Short: "Check an image's signatures and attestations against public keys",
		Long: "verify checks IMAGE@DIGEST or IMAGE:TAG of the store, HOST/IMAGE@DIGEST or HOST/IMAGE:TAG of another\n" +
			"registry, or oci:DIR:IMAGE:TAG of an OCI layout. A signature must be for the image without the host.\n\n" +
			"--rebuild bakes a version of the store again, in an empty cache, from the commit, the variables and the lock\n" +
			"that its provenance and record name and from the inputs that the store kept, and compares the digests.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !o.on {
				return a.verify(cmd.Context(), args[0], keys, o)
			}
			return a.asRoot(cmd.Context(), func() error { return a.verify(cmd.Context(), args[0], keys, o) })
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&keys, "key", nil, "public key that must have signed (required, repeatable)")
	f.BoolVar(&o.on, "rebuild", false, "bake it again and compare")
	f.StringVar(&o.source, "source", "", "for --rebuild, a checkout of the template's repository (default: the current folder's)")
	f.StringArrayVar(&o.vars, "var", nil, "for --rebuild, the value of a sensitive variable, as name=value (repeatable)")
	f.BoolVar(&o.verbose, "verbose", false, "for --rebuild, show what the steps print")
	return cmd
}

// verifyReport is what kiln verify --json prints.
type verifyReport struct {
	Schema       string             `json:"schema"`
	Digest       digest.Digest      `json:"digest"`
	Signatures   []verifiedBy       `json:"signatures"`
	Attestations []verifiedEvidence `json:"attestations"`
	Rebuilt      *rebuiltReport     `json:"rebuilt,omitempty"` // with --rebuild
}

type verifiedBy struct {
	Key    string `json:"key"`
	Layout string `json:"layout"`
}

type verifiedEvidence struct {
	PredicateType string        `json:"predicate_type"`
	Digest        digest.Digest `json:"digest"`
}

func (a *app) verify(ctx context.Context, ref string, keys []string, o rebuildOptions) error {
	if len(keys) == 0 {
		return usagef("verify needs --key: without a key nothing is verified")
	}
	if !o.on && (o.source != "" || o.vars != nil) {
		return usagef("--source and --var are for --rebuild")
	}
	pems, err := publicKeys(ctx, keys)
	if err != nil {
		return err
	}
	verifier, err := sign.NewVerifier(pems...)
	if err != nil {
		return err
	}
	reg, image, d, err := a.toVerify(ctx, ref)
	if err != nil {
		return err
	}
	report, err := verifyImage(ctx, verifier, bake.Evidence(reg), image, d)
	if err != nil {
		return err
	}
	if o.on {
		if report.Rebuilt, err = a.rebuild(ctx, ref, d, pems, o); err != nil {
			return err
		}
	}
	if err := a.printVerified(image, report); err != nil {
		return err
	}
	if r := report.Rebuilt; r != nil && !r.Identical {
		return withHint(exitUnverified, fmt.Errorf("%s@%s: baked again from commit %s it is %s", image, d, r.Commit, r.Digest))
	}
	return nil
}

// toVerify finds what a reference names.
func (a *app) toVerify(ctx context.Context, ref string) (bake.EvidenceRegistry, string, digest.Digest, error) {
	if rest, ok := strings.CutPrefix(ref, "oci:"); ok {
		p, err := a.layoutSource(rest)
		if err != nil {
			return nil, "", "", err
		}
		if p.repo == "" {
			return nil, "", "", usagef("%s: the layout does not say which image it is, and a signature is for one", ref)
		}
		return p.registry, p.repo, p.digest, nil
	}
	named, err := parseRef(ref)
	if err != nil {
		return nil, "", "", err
	}
	reg, err := a.registryOf(ctx, named)
	if err != nil {
		return nil, "", "", err
	}
	d, err := a.fix(ctx, reg, named)
	return reg, named.Name, d, err
}

// registryOf opens where an image lies: the store, or the registry that its
// reference names.
func (a *app) registryOf(ctx context.Context, ref registry.Reference) (registry.Registry, error) {
	if ref.Host != "" {
		return remoteRegistry(ctx, ref.Host)
	}
	b, err := a.open(ctx, purpose{})
	if err != nil {
		return nil, err
	}
	return b.registry, nil
}

func verifyImage(ctx context.Context, v *sign.Verifier, ev sign.Evidence, image string, d digest.Digest) (verifyReport, error) {
	report := verifyReport{Schema: "kiln.verify/v1", Digest: d, Signatures: []verifiedBy{}, Attestations: []verifiedEvidence{}}
	if _, _, err := ev.Manifest(ctx, image, d); err != nil {
		return report, err
	}
	signatures, err := v.VerifyImage(ctx, ev, image, d)
	if err != nil {
		return report, err
	}
	for _, s := range signatures {
		report.Signatures = append(report.Signatures, verifiedBy{s.KeyID, s.Layout})
	}
	for _, kind := range evidenceTypes {
		found, err := v.Attestations(ctx, ev, image, d, kind)
		if errors.Is(err, sign.ErrUnsigned) {
			continue
		}
		if err != nil {
			return report, err
		}
		for _, f := range found {
			report.Attestations = append(report.Attestations, verifiedEvidence{f.PredicateType, f.Digest})
		}
	}
	return report, nil
}

func (a *app) printVerified(image string, r verifyReport) error {
	if a.json {
		return a.printJSON(r)
	}
	fmt.Fprintf(a.out, "%s@%s\n", image, r.Digest)
	for _, s := range r.Signatures {
		fmt.Fprintf(a.out, "  signed by %s (%s)\n", s.Key, s.Layout)
	}
	for _, e := range r.Attestations {
		fmt.Fprintf(a.out, "  attested %s (%s)\n", e.PredicateType, e.Digest)
	}
	if r.Rebuilt != nil {
		return a.printRebuilt(*r.Rebuilt)
	}
	return nil
}
