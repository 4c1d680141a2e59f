package main

import (
	"context"

	"github.com/spf13/cobra"
)

// serveFlags are the flags of kiln serve; those that are given stand above the
// file.
type serveFlags struct {
	listen       string
	promotionKey string
	config       string // file
	check        bool
	store        bool // --store was given, and not KILN_STORE
}

func (a *app) serveCommand() *cobra.Command {
	var o serveFlags
	cmd := &cobra.Command{
		Use:   "serve [--config FILE]",
		Short: "Serve the store: /v2/ for every OCI client, /api/v1 for channels",
		Long: "serve opens the store to other programs: crane, skopeo, cosign, oras and curl work against it,\n" +
			"and kiln itself with --store http://HOST:PORT. Without a configuration file it listens on loopback\n" +
			"and asks nobody who they are; docs/serve.md describes the file: TLS, users, OIDC, limits, metrics.\n\n" +
			"At SIGTERM it finishes what runs, uploads included; a second one ends it at once. SIGHUP has it\n" +
			"load its certificate anew.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.store = cmd.Flags().Changed("store")
			return a.serve(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVar(&o.listen, "listen", "", "address to listen on; port 0 takes a free one (default 127.0.0.1:5000)")
	cmd.Flags().StringVar(&o.promotionKey, "promotion-key", "", "private key that signs records and statements (KILN_PROMOTION_KEY)")
	cmd.Flags().StringVar(&o.config, "config", "", "configuration file; docs/serve.md describes it")
	cmd.Flags().BoolVar(&o.check, "check", false, "say what is wrong with the configuration, and end")
	return cmd
}

func (a *app) serve(ctx context.Context, o serveFlags) error {
	cfg, err := a.serveConfig(o)
	if err != nil {
		return err
	}
	if o.check {
		return a.checkServe(ctx, cfg)
	}
	s, err := a.newServer(ctx, cfg)
	if err != nil {
		return err
	}
	defer s.close()
	defer spareGC(a.getenv)()
	defer manyProcessors(a.getenv)()
	return s.run(ctx, a.out)
}

// serveConfig puts together what the file, the flags and the environment say,
// in this order: flags above the file, the file above the environment.
func (a *app) serveConfig(o serveFlags) (serveConfig, error) {
	cfg := defaultServeConfig()
	if o.config != "" {
		var err error
		var more []func(*configBlock, *serveConfig)
		if o.check {
			more = append(more, a.tryConfig)
		} else {
			more = append(more, tryPolicyToo)
		}
		if cfg, err = loadServeConfig(o.config, more...); err != nil {
			return serveConfig{}, err
		}
	}
	if o.store || cfg.store == "" {
		cfg.store = a.store
	}
	if cfg.store == "" {
		dir, err := a.dataDir()
		if err != nil {
			return serveConfig{}, err
		}
		cfg.store = dir
	}
	if o.listen != "" {
		cfg.listen = o.listen
	}
	cfg.promotionKey = firstOf(o.promotionKey, cfg.promotionKey, a.getenv("KILN_PROMOTION_KEY"))
	cfg.tracing.endpoint = firstOf(cfg.tracing.endpoint, a.getenv("OTEL_EXPORTER_OTLP_ENDPOINT"))
	return cfg, cfg.checkOpen()
}
