package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kiln/bake"
	"kiln/policy/reports"
)

// attestOptions are the flags of kiln attest.
type attestOptions struct {
	kind, file, scannedAt string
	cosignTag             bool // under cosign's tag too
	signing               signerFlags
}

func (a *app) attestCommand() *cobra.Command {
	var o attestOptions
	cmd := &cobra.Command{
		Use:   "attest REF --type T --predicate FILE --key K",
		Short: "Attach a signed statement to a stored image",
		Long: "attest signs a statement about an image or an index of the store and attaches it, at any time after the bake.\n" +
			"The predicate must be what its type says: an SBOM of that format, a provenance, test results, a report of\n" +
			"vulnerabilities. For vuln, FILE may be the JSON of trivy, grype or osv-scanner, SARIF of one of these, a list\n" +
			"as docs/trust.md describes it, or cosign's predicate around any of them.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.attest(cmd.Context(), args[0], o) },
	}
	cmd.Flags().StringVar(&o.kind, "type", "", "predicate type: a URI, or "+shortTypeNames()+" (required)")
	cmd.Flags().StringVar(&o.file, "predicate", "", "JSON file with the predicate (required)")
	cmd.Flags().StringVar(&o.scannedAt, "scanned-at", "", "for vuln, when the scan was made (RFC 3339), where its output does not tell")
	cmd.Flags().BoolVar(&o.cosignTag, "cosign-tag", false, "put it under cosign's tag sha256-….att as well, for tools that know no bundles")
	o.signing.register(cmd.Flags())
	return cmd
}

func (a *app) attest(ctx context.Context, ref string, o attestOptions) error {
	if o.kind == "" || o.file == "" {
		return usagef("attest needs --type and --predicate")
	}
	kind, err := predicateType(o.kind)
	if err != nil {
		return err
	}
	at, err := o.scanTime(kind)
	if err != nil {
		return err
	}
	content, err := readPredicate(o.file)
	if err != nil {
		return err
	}
	predicate, err := checkPredicate(kind, content, at)
	if errors.Is(err, reports.ErrNoTime) {
		return withHint(exitError, fmt.Errorf("%s: %w", o.file, err), "say it with --scanned-at, such as --scanned-at \"$(date -u +%FT%TZ)\" right after the scan")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", o.file, err)
	}
	v, signer, subject, err := a.toSign(ctx, ref, o.signing)
	if err != nil {
		return err
	}
	defer v.Close()
	if said := reports.Scanned(predicate); len(said) > 0 && !slices.Contains(said, string(subject.Digest)) {
		a.say("warning: %s says that it is of %s, not of %s", o.file, strings.Join(said, ", "), subject.Digest)
	}
	desc, err := signer.Attest(ctx, bake.Evidence(v.registry), v.image, subject, kind, predicate)
	if err != nil {
		return err
	}
	if o.cosignTag {
		if err := signer.AttachTag(ctx, bake.Evidence(v.registry), v.image, subject, kind, desc.Digest); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(a.out, desc.Digest)
	return err
}

// scanTime is what --scanned-at says; zero if nothing.
func (o attestOptions) scanTime(kind string) (time.Time, error) {
	if o.scannedAt == "" {
		return time.Time{}, nil
	}
	if kind != shortTypes["vuln"] {
		return time.Time{}, usagef("--scanned-at is for --type vuln")
	}
	at, err := time.Parse(time.RFC3339, o.scannedAt)
	if err != nil {
		return time.Time{}, usagef("--scanned-at %s: want RFC 3339, such as 2026-01-02T03:04:05Z", o.scannedAt)
	}
	return at.UTC(), nil
}

// readPredicate reads a file of bounded size.
func readPredicate(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, reports.MaxSize+1))
	if err != nil {
		return nil, err
	}
	if len(content) > reports.MaxSize {
		return nil, fmt.Errorf("%s is larger than %d MiB, which nobody would verify", path, reports.MaxSize>>20)
	}
	return content, nil
}
