package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"strings"

	"kiln/policy"
	"kiln/registry/promotion"
)

// policyFlagHelp is the help of every --policy.
const policyFlagHelp = "what gates promotions of an embedded store: a .rego file, a folder of them or IMAGE@DIGEST of a policy in the store, each on top of the built-in policy, or a .hcl file with a policy block (KILN_POLICY)"

// policyConfigOf reads what --policy names; "" is KILN_POLICY, or the built-in
// policy.
func (a *app) policyConfigOf(ref string) (policyConfig, error) {
	ref = firstOf(ref, a.getenv("KILN_POLICY"))
	switch {
	case ref == "":
		return builtinPolicy(), nil
	case strings.HasSuffix(ref, ".hcl"):
		return loadPolicyFile(ref)
	}
	_, err := os.Stat(ref)
	if err == nil {
		return policyConfig{builtin: true, files: []string{ref}}, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return policyConfig{}, err
	}
	if _, err := bundleRef(ref); err != nil {
		return policyConfig{}, usagef("--policy %s: there is no such file, and as a policy in the store: %v", ref, err)
	}
	return policyConfig{builtin: true, bundles: []string{ref}}, nil
}

// policyOf loads the policy that ref names; of "" that of KILN_POLICY, or the
// built-in one. It opens the store where that holds the policy.
func (a *app) policyOf(ctx context.Context, ref string) (*policy.Policy, error) {
	cfg, err := a.policyConfigOf(ref)
	if err != nil {
		return nil, err
	}
	if len(cfg.bundles) == 0 {
		return cfg.compose(ctx, nil)
	}
	b, err := a.open(ctx, purpose{})
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return cfg.compose(ctx, b)
}

// gate loads the policy of an embedded store that is open already.
func (a *app) gate(ctx context.Context, ref string, st storage) (*policy.Policy, error) {
	cfg, err := a.policyConfigOf(ref)
	if err != nil {
		return nil, err
	}
	return cfg.composeIn(ctx, st)
}

// composeIn is compose with the bundles of a store.
func (cfg policyConfig) composeIn(ctx context.Context, st storage) (*policy.Policy, error) {
	if len(cfg.bundles) == 0 {
		return cfg.compose(ctx, nil)
	}
	b, err := buildBackend(st, backendOptions{lifetime: promotion.EmbeddedLifetime})
	if err != nil {
		return nil, err
	}
	return cfg.compose(ctx, b)
}

// compose reads the parts and joins them; b holds the bundles.
func (cfg policyConfig) compose(ctx context.Context, b *backend) (*policy.Policy, error) {
	spec, err := cfg.spec(ctx, b)
	if err != nil {
		return nil, err
	}
	p, err := policy.Compose(spec)
	if err != nil {
		return nil, withHint(exitUsage, err, "docs/policy.md; kiln policy test runs its unit tests")
	}
	return p.Isolated(), nil
}

func (cfg policyConfig) spec(ctx context.Context, b *backend) (policy.Spec, error) {
	spec := policy.Spec{Default: cfg.builtin, Examples: cfg.examples, Files: map[string][]byte{}}
	for _, path := range cfg.files {
		files, err := readPolicyPath(path)
		if err == nil {
			err = addPolicyFiles(spec.Files, files, path)
		}
		if err != nil {
			return policy.Spec{}, withHint(exitUsage, err, "docs/policy.md")
		}
	}
	for _, ref := range cfg.bundles {
		files, err := b.policyBundle(ctx, ref)
		if err == nil {
			err = addPolicyFiles(spec.Files, files, ref)
		}
		if err != nil {
			return policy.Spec{}, err
		}
	}
	if len(cfg.config) > 0 {
		config, err := json.Marshal(cfg.config)
		if err != nil {
			return policy.Spec{}, err
		}
		spec.Config = config
	}
	return spec, nil
}
