package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/hub/client"
	"github.com/trialmesh/trialmesh/protocol/identity"
)

func newHubToken() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token DID",
		Short: "Make, list and revoke bearer tokens",
		Long: `Make a bearer token with which the holder of the key DID may use the hub's API as
researcher (ask questions), sponsor (register trials) or operator. What they
say still has to be signed with their key. --json prints the id by which the token
is revoked and when it expires; with --out the secret is in the file alone.`,
		Example: `  trialmesh hub token "$(trialmesh key show researcher.key)" --dir hub --role researcher --out researcher.token`,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			holder, err := identity.ParseDID(args[0])
			if err != nil {
				return usageError{err}
			}
			c, err := localHub(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			role, _ := cmd.Flags().GetString("role")
			ttl, _ := cmd.Flags().GetDuration("ttl")
			return handOut(cmd, func() (string, map[string]any, error) {
				t, err := c.IssueToken(cmd.Context(), holder, role, ttl)
				return t.Token, map[string]any{"id": t.ID, "holder": holder, "role": role, "expires": t.Expires, "token": t.Token}, err
			}, "token")
		},
	}
	cmd.Flags().String("role", "researcher", "researcher, sponsor or operator")
	addLife(cmd, "ttl", 30*24*time.Hour, "how long the token holds, up to a year")
	cmd.Flags().String("out", "-", "file for the token, - for standard output")
	cmd.AddCommand(newHubTokenList(), newHubTokenRevoke())
	return addDir(cmd, "hub")
}

func newHubTokenList() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the bearer tokens that were made, oldest first, without their secrets",
		Example: `  trialmesh hub token list --dir hub`,
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := localHub(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			tokens, err := c.Tokens(cmd.Context())
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, map[string]any{"tokens": tokens})
			}
			table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, t := range tokens {
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", t.ID, t.Role, standing(t, time.Now()), t.Holder)
			}
			return table.Flush()
		},
	}
	return addDir(cmd, "hub")
}

// standing says whether a token is good, in a few words.
func standing(t client.Token, now time.Time) string {
	day := t.Expires.Format(time.DateOnly)
	switch {
	case t.Revoked:
		return "revoked"
	case !now.Before(t.Expires):
		return "expired " + day
	}
	return "until " + day
}

func newHubTokenRevoke() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke ID|DID",
		Short: "Revoke a bearer token by its id, or all tokens of a holder",
		Long: `Revoke the bearer token with an id of hub token list, or all tokens of the holder
of the key DID. They are refused from then on; there is no way back, but a new
token can be made. What the holder asked or registered before stays valid.`,
		Example: `  trialmesh hub token revoke 5f2b1c0a9d8e7f60 --dir hub
  trialmesh hub token revoke did:key:z6Mk… --dir hub --json`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := localHub(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			if err := c.RevokeTokens(cmd.Context(), args[0]); err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, map[string]any{"revoked": args[0]})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "revoked %s\n", args[0])
			return err
		},
	}
	return addDir(cmd, "hub")
}
