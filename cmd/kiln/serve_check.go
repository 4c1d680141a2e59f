package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"kiln/registry/access"
	"kiln/sign"
)

// checkServe says what a server would do, once tryConfig has found nothing. What
// only flags and the environment name is tried here, but no key service asked.
func (a *app) checkServe(ctx context.Context, cfg serveConfig) error {
	if sign.IsKeyURI(cfg.promotionKey) {
		if err := sign.CheckKeyURI(cfg.promotionKey); err != nil {
			return usagef("promotion key: %v", err)
		}
	} else if _, err := a.loadKey(ctx, cfg.promotionKey); err != nil {
		return err
	}
	how := "open to this machine"
	if cfg.auth != nil {
		how = "with authentication"
	}
	_, err := fmt.Fprintf(a.out, "%s: %s, %s\n", cfg.scheme()+"://"+cfg.listen, cfg.store, how)
	return err
}

// tryConfig notes what only shows when the files that a configuration names
// are used. It opens no store and asks no network.
func (a *app) tryConfig(b *configBlock, cfg *serveConfig) {
	if !sign.IsKeyURI(cfg.promotionKey) && readable(cfg.promotionKey) {
		if _, err := a.loadKey(context.Background(), cfg.promotionKey); err != nil {
			b.Wrong("promotion_key", "%v", err)
		}
	}
	if cfg.tls != nil && readable(cfg.tls.cert, cfg.tls.key) {
		pair := *cfg.tls
		pair.clientCA = "" // readTLS tells
		if _, err := pair.load(); err != nil {
			b.peek("tls").Wrong("cert", "%v", err)
		}
	}
	if cfg.auth != nil {
		auth := b.peek("auth")
		tryUsers(auth, cfg)
		if err := cfg.checkAccess(); err != nil && b.Len() == 0 {
			auth.WrongBlock("%v", err)
		}
	}
	tryPolicy(b, cfg)
	if len(cfg.retention) > 0 && cfg.collection.every == 0 {
		a.say("warning: %s:%d: retention without a collection block: %s", b.File, b.peek("retention", cfg.retention[0].Image).Line, unusedRetention)
	}
}

// tryPolicy notes what is wrong with the policy, so far as it is not in the
// store and readPolicy has not noted it.
func tryPolicy(b *configBlock, cfg *serveConfig) {
	here := cfg.policy
	here.bundles = nil
	here.files = slices.DeleteFunc(slices.Clone(here.files), func(path string) bool {
		_, err := os.Stat(path)
		return err != nil
	})
	if here.misread || !here.builtin && len(here.examples) == 0 && len(here.files) == 0 {
		return
	}
	_, err := here.compose(context.Background(), nil)
	if err == nil {
		return
	}
	for line := range strings.Lines(err.Error()) {
		b.peek("policy").WrongBlock("%s", strings.TrimPrefix(line, "load policy: "))
	}
}

// tryPolicyToo is tryPolicy where the file is wrong already; else the policy is
// composed soon.
func tryPolicyToo(b *configBlock, cfg *serveConfig) {
	if b.Len() > 0 {
		tryPolicy(b, cfg)
	}
}

const unusedRetention = "this server retires nothing; kiln gc --config does"

// tryUsers notes lines of the htpasswd file that are not taken, and users that
// have none.
func tryUsers(b *configBlock, cfg *serveConfig) {
	if !readable(cfg.auth.htpasswd) {
		return
	}
	names, problems := access.CheckHtpasswd(cfg.auth.htpasswd)
	for _, err := range problems {
		b.Wrong("htpasswd", "%v", err)
	}
	for name := range cfg.auth.users {
		if !slices.Contains(names, name) {
			u := b.peek("user", name)
			u.WrongBlock("has no line in %s, and so no password", cfg.auth.htpasswd)
		}
	}
}

// readable tells whether files are named and there; where not, that is told.
func readable(paths ...string) bool {
	return !slices.ContainsFunc(paths, func(p string) bool {
		info, err := os.Stat(p)
		return err != nil || info.IsDir()
	})
}
