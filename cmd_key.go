package main

import (
	"crypto/rand"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/protocol/identity"
)

func newKeyCommand() *cobra.Command {
	return group("key", "Make and show the keys by which people and organizations sign",
		&cobra.Command{
			Use:   "new FILE",
			Short: "Make a new signing key and print its public name",
			Long:  "Make a new Ed25519 key in FILE (PKCS#8 PEM, mode 0600), which must not exist, and print its did:key.",
			Example: `  trialmesh key new researcher.key
  trialmesh key new board.key --json`,
			Args: args(cobra.ExactArgs(1)),
			RunE: func(cmd *cobra.Command, args []string) error {
				key, err := identity.Generate(rand.Reader)
				if err != nil {
					return err
				}
				if err := writeOutput(cmd, args[0], key.PEM(), 0o600); err != nil {
					return err
				}
				return printName(cmd, key.DID())
			},
		},
		&cobra.Command{
			Use:     "show FILE",
			Short:   "Print the public name of a key",
			Example: "  trialmesh key show researcher.key",
			Args:    args(cobra.ExactArgs(1)),
			RunE: func(cmd *cobra.Command, args []string) error {
				key, err := readKey(cmd, args[0])
				if err != nil {
					return err
				}
				return printName(cmd, key.DID())
			},
		})
}

func printName(cmd *cobra.Command, did identity.DID) error {
	if wantsJSON(cmd) {
		return printJSON(cmd, map[string]any{"did": did})
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), did)
	return err
}

// readKey reads a key's file.
func readKey(cmd *cobra.Command, path string) (identity.Key, error) {
	raw, err := readInput(cmd, path)
	if err != nil {
		return identity.Key{}, err
	}
	key, err := identity.ParsePEM(raw)
	if err != nil {
		return identity.Key{}, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}
