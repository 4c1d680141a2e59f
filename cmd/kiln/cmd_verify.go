package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"kiln/bake"
	"kiln/registry"
	"kiln/registry/promotion/trustfile"
	"kiln/sign"
)

// evidenceTypes are the predicate types that kiln attests.
var evidenceTypes = []string{bake.SBOMPredicate, bake.ProvenancePredicate, bake.TestResultPredicate, sign.CycloneDXPredicate}

// verifyOptions are the flags of kiln verify.
type verifyOptions struct {
	whom    verifyWhom
	types   []string
	image   string
	rebuild rebuildOptions
}

func (a *app) verifyCommand() *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify REF --key K|--trust FILE",
		Short: "Check an image's signatures and attestations against public keys, identities or a trust file",
		Long: "verify checks IMAGE@DIGEST or IMAGE:TAG of the store, HOST/IMAGE@DIGEST or HOST/IMAGE:TAG of another\n" +
			"registry, or oci:DIR:IMAGE:TAG of an OCI layout, without a network. A tag is looked up once: everything is\n" +
			"checked of the digest that is printed. A signature must be for the image without the host.\n\n" +
			"Whom to believe: public keys (--key), an identity that a certificate names (--certificate-identity), or the\n" +
			"rule that a trust file has for the image (--trust or KILN_TRUST; docs/trust.md). An image of another registry\n" +
			"passes by a third_party rule that names it, or as a copy of your own.\n\n" +
			"Of an index the index itself is verified: it names its images by digest. Of a layout everything that the\n" +
			"image names is read and held against its digest as well.\n\n" +
			"--rebuild bakes a version of the store again, in an empty cache, from the commit, the variables and the lock\n" +
			"that its provenance and record name and from the inputs that the store kept, and compares the digests.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !o.rebuild.on {
				return a.verify(cmd.Context(), args[0], o)
			}
			return a.asRoot(cmd.Context(), func() error { return a.verify(cmd.Context(), args[0], o) })
		},
	}
	f := cmd.Flags()
	o.whom.flags(f)
	f.StringArrayVar(&o.types, "type", nil, "predicate type that must be attested, a URI or provenance, spdx, cyclonedx, test, vuln (repeatable)")
	f.StringVar(&o.image, "image", "", "the image's name, with its host if it has one, where a layout or a mirror calls it otherwise")
	r := &o.rebuild
	f.BoolVar(&r.on, "rebuild", false, "bake it again and compare")
	f.StringVar(&r.source, "source", "", "for --rebuild, a checkout of the template's repository (default: the current folder's)")
	f.StringArrayVar(&r.vars, "var", nil, "for --rebuild, the value of a sensitive variable, as name=value (repeatable)")
	f.BoolVar(&r.verbose, "verbose", false, "for --rebuild, show what the steps print")
	return cmd
}

// verifyReport is what kiln verify --json prints.
type verifyReport struct {
	Schema       string             `json:"schema"`
	Image        string             `json:"image"` // as the signatures name it
	Digest       digest.Digest      `json:"digest"`
	Rule         string             `json:"rule,omitempty"` // of the trust file
	Signatures   []verifiedBy       `json:"signatures"`
	Attestations []verifiedEvidence `json:"attestations"`
	Rebuilt      *rebuiltReport     `json:"rebuilt,omitempty"` // with --rebuild
}

type verifiedBy struct {
	Key      string         `json:"key"` // its id, or that of the identity
	Layout   string         `json:"layout"`
	Identity *sign.Identity `json:"identity,omitempty"`
	SignedAt *time.Time     `json:"signed_at,omitempty"` // as a timestamp, a log or the ledger proves
	Nameless bool           `json:"nameless,omitempty"`  // it is of the digest and names no image
}

type verifiedEvidence struct {
	PredicateType string        `json:"predicate_type"`
	Digest        digest.Digest `json:"digest"`
	Key           string        `json:"key"`
}

func (a *app) verify(ctx context.Context, ref string, o verifyOptions) error {
	if !o.rebuild.on && (o.rebuild.source != "" || o.rebuild.vars != nil) {
		return usagef("--source and --var are for --rebuild")
	}
	types, err := predicateTypes(o.types)
	if err != nil {
		return err
	}
	judge, err := a.judge(ctx, o.whom)
	if err != nil {
		return err
	}
	reg, subject, err := a.toVerify(ctx, ref, o.image)
	if err != nil {
		return err
	}
	ev := bake.Evidence(reg)
	if _, _, err := ev.Manifest(ctx, subject.Repo, subject.Digest); err != nil {
		return err
	}
	found, err := judge.verify(ctx, ev, subject, o.image, types)
	if err != nil {
		return err
	}
	for _, why := range found.Skipped {
		a.say("not required and skipped: %v", why)
	}
	if strings.HasPrefix(ref, "oci:") {
		if err := hashLayout(ctx, reg, subject.Repo, subject.Digest); err != nil {
			return err
		}
	}
	report := newVerifyReport(found, subject.Digest)
	if o.rebuild.on {
		if report.Rebuilt, err = a.rebuild(ctx, ref, subject.Digest, judge.trust, o.rebuild); err != nil {
			return err
		}
	}
	if err := a.printVerified(report); err != nil {
		return err
	}
	if r := report.Rebuilt; r != nil && !r.Identical {
		return withHint(exitUnverified, fmt.Errorf("%s@%s: baked again from commit %s it is %s", report.Image, report.Digest, r.Commit, r.Digest))
	}
	return nil
}

// predicateTypes reads --type.
func predicateTypes(names []string) ([]string, error) {
	var types []string
	for _, name := range names {
		uri, err := trustfile.PredicateType(name)
		if err != nil {
			return nil, usagef("--type %s: %v", name, err)
		}
		types = append(types, uri)
	}
	return types, nil
}

// toVerify finds what a reference names; image is its name where that is
// another one.
func (a *app) toVerify(ctx context.Context, ref, image string) (bake.EvidenceRegistry, trustfile.Subject, error) {
	reg, s, err := a.whereToVerify(ctx, ref)
	if err != nil {
		return nil, s, err
	}
	s.Repo = s.Image
	if image != "" {
		named, err := registry.ParseReference(image)
		if err != nil || named.Tag != "" || named.Digest != "" {
			return nil, s, usagef("--image %s: want a name such as acme/shop or registry.example.com/library/debian", image)
		}
		s.Host, s.Image = named.Host, named.Name
	}
	if s.Image == "" {
		return nil, s, usagef("%s: the layout does not say which image it is, and a signature is for one: --image names it", ref)
	}
	return reg, s, nil
}

func (a *app) whereToVerify(ctx context.Context, ref string) (bake.EvidenceRegistry, trustfile.Subject, error) {
	if rest, ok := strings.CutPrefix(ref, "oci:"); ok {
		p, err := a.layoutSource(rest)
		if err != nil {
			return nil, trustfile.Subject{}, err
		}
		return p.registry, trustfile.Subject{Image: p.repo, Digest: p.digest}, nil
	}
	named, err := parseRef(ref)
	if err != nil {
		return nil, trustfile.Subject{}, err
	}
	reg, err := a.registryOf(ctx, named)
	if err != nil {
		return nil, trustfile.Subject{}, err
	}
	d, err := a.fix(ctx, reg, named)
	return reg, trustfile.Subject{Host: named.Host, Image: named.Name, Digest: d}, err
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

func newVerifyReport(v trustfile.Verified, d digest.Digest) verifyReport {
	report := verifyReport{
		Schema: "kiln.verify/v1", Image: v.Rule.Image, Digest: d, Rule: v.Rule.Name,
		Signatures: []verifiedBy{}, Attestations: []verifiedEvidence{},
	}
	for _, s := range v.Signatures {
		by := verifiedBy{Key: s.KeyID, Layout: s.Layout, Identity: s.Identity, Nameless: s.Named == ""}
		if !s.SignedAt.IsZero() {
			by.SignedAt = &s.SignedAt
		}
		report.Signatures = append(report.Signatures, by)
	}
	for _, f := range v.Attestations {
		report.Attestations = append(report.Attestations, verifiedEvidence{f.PredicateType, f.Digest, f.KeyID})
	}
	return report
}

func (a *app) printVerified(r verifyReport) error {
	if a.json {
		return a.printJSON(r)
	}
	fmt.Fprintf(a.out, "%s@%s\n", r.Image, r.Digest)
	if r.Rule != "" {
		fmt.Fprintf(a.out, "  by the rule %s\n", r.Rule)
	}
	for _, s := range r.Signatures {
		layout := s.Layout
		if s.Nameless {
			layout += ", names no image"
		}
		fmt.Fprintf(a.out, "  signed by %s (%s)", shown(s.Key), layout)
		if s.SignedAt != nil {
			fmt.Fprintf(a.out, " at %s", s.SignedAt.UTC().Format(time.RFC3339))
		}
		fmt.Fprintln(a.out)
	}
	for _, e := range r.Attestations {
		fmt.Fprintf(a.out, "  attested %s (%s)\n", e.PredicateType, e.Digest)
	}
	if r.Rebuilt != nil {
		return a.printRebuilt(*r.Rebuilt)
	}
	return nil
}
