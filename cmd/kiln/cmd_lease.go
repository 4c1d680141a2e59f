package main

import (
	"context"
	"os"
	"os/user"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kiln/registry/promotion"
)

// leaseOptions are the flags of kiln lease.
type leaseOptions struct {
	holder   string
	lifetime promotion.Duration
	release  bool
	limit    int
	cursor   string
}

func (a *app) leaseCommand() *cobra.Command {
	o := leaseOptions{lifetime: promotion.Duration(promotion.DefaultLease)}
	cmd := &cobra.Command{
		Use:   "lease IMAGE@DIGEST [--holder H] [--for 24h] | IMAGE@DIGEST --release | [IMAGE]",
		Short: "Say that a digest is run, so that it is not collected; list who runs what",
		Long: "lease IMAGE@DIGEST says that somebody runs a digest: until the lease ends it is not collected.\n" +
			"Again by the same holder extends it. lease IMAGE lists the leases of an image, lease those of all.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{""}
			}
			if strings.ContainsAny(args[0], "@:") {
				return a.lease(cmd.Context(), args[0], o)
			}
			return a.leases(cmd.Context(), args[0], o)
		},
	}
	cmd.Flags().StringVar(&o.holder, "holder", "", "who runs it (default USER@HOST)")
	cmd.Flags().Var((*span)(&o.lifetime), "for", "how long from now, at most 90d")
	cmd.Flags().BoolVar(&o.release, "release", false, "end the lease now")
	cmd.Flags().IntVar(&o.limit, "limit", 0, "how many to list at most")
	cmd.Flags().StringVar(&o.cursor, "cursor", "", "go on where a listing ended (its \"next\")")
	return cmd
}

// lease takes, extends or releases a lease.
func (a *app) lease(ctx context.Context, ref string, o leaseOptions) error {
	if o.lifetime == 0 {
		return usagef("lease --for 0s: want a time above zero, or --release")
	}
	if o.holder == "" {
		o.holder = a.holder()
	}
	v, err := a.openVersion(ctx, ref, purpose{})
	if err != nil {
		return err
	}
	defer v.Close()
	if o.release {
		err := v.ops.Release(ctx, promotion.ReleaseRequest{Image: v.image, Digest: v.digest, Holder: o.holder})
		if err == nil {
			a.say("%s no longer leases %s@%s", o.holder, v.image, v.digest)
		}
		return err
	}
	l, err := v.ops.Lease(ctx, promotion.LeaseRequest{Image: v.image, Digest: v.digest, Holder: o.holder, Lifetime: o.lifetime})
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(l)
	}
	return a.printLeases([]promotion.Lease{l})
}

// leases lists the leases of an image, or of all.
func (a *app) leases(ctx context.Context, image string, o leaseOptions) error {
	if o.release {
		return usagef("lease --release needs IMAGE@DIGEST")
	}
	b, err := a.open(ctx, purpose{})
	if err != nil {
		return err
	}
	defer b.Close()
	list, err := b.ops.Leases(ctx, promotion.LeasesRequest{Image: image, Limit: o.limit, Cursor: o.cursor})
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(list)
	}
	if list.Next != "" {
		a.say("there are more: --cursor %s", list.Next)
	}
	return a.printLeases(list.Leases)
}

func (a *app) printLeases(list []promotion.Lease) error {
	rows := [][]string{{"IMAGE", "DIGEST", "HOLDER", "EXPIRES", "BY"}}
	for _, l := range list {
		rows = append(rows, []string{l.Image, string(l.Digest), l.Holder, l.Expires.UTC().Format(time.RFC3339), shortDigest(l.By)})
	}
	return a.printTable(rows)
}

var noHolder = regexp.MustCompile(`[^A-Za-z0-9_.@:+=-]`)

// holder names who runs this kiln.
func (a *app) holder() string {
	name := "user"
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username
	} else if n := a.getenv("USER"); n != "" {
		name = n
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "localhost"
	}
	text := noHolder.ReplaceAllString(strings.TrimLeft(name+"@"+host, ".@:+=-"), "_")
	return text[:min(len(text), 128)]
}
