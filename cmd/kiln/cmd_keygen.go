package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"
)

func (a *app) keygenCommand() *cobra.Command {
	var prefix string
	cmd := &cobra.Command{
		Use:   "keygen [--output-prefix P]",
		Short: "Make a key pair in cosign's format: P.key and P.pub",
		Long: "keygen writes P.key, encrypted with COSIGN_PASSWORD (unset means empty), and P.pub.\n" +
			"Use one pair for baking (--key) and another for promoting (--promotion-key).",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.keygen(prefix) },
	}
	cmd.Flags().StringVar(&prefix, "output-prefix", "kiln", "path of the files without their ending")
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
