package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"kiln/sign"
)

func (a *app) keygenCommand() *cobra.Command {
	var prefix, kms string
	cmd := &cobra.Command{
		Use:   "keygen [--output-prefix P] [--kms URI]",
		Short: "Make a key pair in cosign's format: P.key and P.pub",
		Long: "keygen writes P.key, encrypted with COSIGN_PASSWORD (unset means empty), and P.pub.\n" +
			"Use one pair for baking (--key) and another for promoting (--promotion-key).\n\n" +
			"With --kms hashivault://NAME the key is made in Vault's transit engine (VAULT_ADDR,\n" +
			"VAULT_TOKEN, TRANSIT_SECRET_ENGINE_PATH), with --kms PLUGIN://KEY by the program\n" +
			"sigstore-kms-PLUGIN; only P.pub is written. A key that is there already stays, and\n" +
			"its P.pub is written. Such a URI goes wherever a key does.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if kms != "" {
				return a.keygenRemote(cmd.Context(), prefix, kms)
			}
			return a.keygen(prefix)
		},
	}
	cmd.Flags().StringVar(&prefix, "output-prefix", "kiln", "path of the files without their ending")
	cmd.Flags().StringVar(&kms, "kms", "", "make the key in a key service: hashivault://NAME or PLUGIN://KEY")
	return cmd
}

func (a *app) keygen(prefix string) error {
	password, err := a.password()
	if err != nil {
		return err
	}
	err = writeKeyPair(prefix, password)
	if errors.Is(err, fs.ErrExist) {
		return withHint(exitError, err, "a key is never overwritten; choose another --output-prefix")
	}
	if err != nil {
		return err
	}
	if len(password) == 0 {
		a.say("COSIGN_PASSWORD is not set: the private key is protected by its file mode only")
	}
	if a.json {
		return a.printJSON(map[string]string{"schema": "kiln.keygen/v1", "private": prefix + ".key", "public": prefix + ".pub"})
	}
	_, err = fmt.Fprintf(a.out, "%s.key\n%s.pub\n", prefix, prefix)
	return err
}

// keygenRemote makes a key in a key service and writes its public half.
func (a *app) keygenRemote(ctx context.Context, prefix, uri string) error {
	if !sign.IsKeyURI(uri) {
		return usagef("--kms %s: want hashivault://NAME or PLUGIN://KEY", uri)
	}
	public, made, err := sign.CreateKey(ctx, uri)
	if err != nil {
		return err
	}
	if !made {
		a.say("%s is there already and stays as it is", uri)
	}
	err = writeNew(prefix+".pub", public, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return withHint(exitError, err, "a key is never overwritten; choose another --output-prefix")
	}
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(map[string]string{"schema": "kiln.keygen/v1", "private": uri, "public": prefix + ".pub"})
	}
	_, err = fmt.Fprintf(a.out, "%s\n%s.pub\n", uri, prefix)
	return err
}
