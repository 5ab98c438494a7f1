package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/node/access"
	"github.com/trialmesh/trialmesh/node/client"
	"github.com/trialmesh/trialmesh/node/jwks"
)

func newNodeClient() *cobra.Command {
	return group("client", "Say which programs may use the node's API, and for what",
		newNodeClientAdd(), newNodeClientList(), newNodeClientRotate(), newNodeClientRemove())
}

func newNodeClientAdd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Register a program with its public keys and what it may do",
		Long: `Register a program of the site, such as an EHR or a script, under NAME, its client_id.
It gets tokens from the running node as SMART Backend Services has it: with assertions that
are signed in RS384 or ES384 with its private key, of which the node gets the public half
only, as a JSON Web Key Set in a file or at a URL of the program. A token allows no more
than --scope, and of that what the program asks for.

Scopes for FHIR are system/TYPE.cruds, with * for all types and of the letters those that
are needed: create, read, update, delete, search. For the node's own routes:
` + ownScopes(),
		Example: `  trialmesh node client add ehr --scope "system/*.cruds" --jwks-url https://ehr.hospital.example/jwks.json --dir node
  trialmesh node client add loader --scope "ingest jobs.read" --keys loader.jwks.json --dir node
  trialmesh node client add viewer --scope "system/Patient.rs system/Observation.rs" --keys - --token-time 15m --dir node < viewer.jwks.json`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			life, _ := cmd.Flags().GetDuration("token-time")
			scope, _ := cmd.Flags().GetString("scope")
			if life < time.Minute || life > time.Hour || life%time.Second != 0 {
				return usageError{errors.New("--token-time: 1m to 1h, in whole seconds")}
			}
			if _, err := access.ParseScopes(scope); err != nil {
				return usageError{fmt.Errorf("--scope: %w", err)}
			}
			keys, err := clientKeys(cmd)
			if err != nil {
				return err
			}
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			made, err := c.AddAPIClient(cmd.Context(), client.NewAPIClient{ID: args[0], Scope: scope, ClientKeys: keys, TokenTime: int64(life / time.Second)})
			if err != nil {
				return err
			}
			return printAPIClients(cmd, []client.APIClient{made}, made)
		},
	}
	cmd.Flags().String("scope", "", "what its tokens may allow, with spaces between the scopes (required)")
	cmd.Flags().Duration("token-time", 5*time.Minute, "how long a token holds, 1m to 1h")
	if err := cmd.MarkFlagRequired("scope"); err != nil {
		panic(err) // the flag was defined two lines above
	}
	return addDir(addClientKeys(cmd), "node")
}

// ownScopes explains the node's own scopes, one a line.
func ownScopes() string {
	var b strings.Builder
	for _, p := range access.Owns() {
		fmt.Fprintf(&b, "  %-16s %s\n", p.Scope, strings.ToLower(p.What[:1])+p.What[1:])
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func addClientKeys(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().String("keys", "", "file with its public keys as a JSON Web Key Set, - for standard input")
	cmd.Flags().String("jwks-url", "", "https URL where it publishes them")
	return cmd
}

// clientKeys reads the flags of [addClientKeys].
func clientKeys(cmd *cobra.Command) (client.ClientKeys, error) {
	path, _ := cmd.Flags().GetString("keys")
	at, _ := cmd.Flags().GetString("jwks-url")
	if (path == "") == (at == "") {
		return client.ClientKeys{}, usageError{errors.New("want one of --keys and --jwks-url")}
	}
	if at != "" {
		if err := jwks.CheckURL(at); err != nil {
			return client.ClientKeys{}, usageError{fmt.Errorf("--jwks-url: %w", err)}
		}
		return client.ClientKeys{URL: at}, nil
	}
	text, err := readInput(cmd, path)
	if err != nil {
		return client.ClientKeys{}, err
	}
	if _, err := jwks.Parse(text); err != nil { // before a private key travels
		return client.ClientKeys{}, fmt.Errorf("%s: %w", path, err)
	}
	return client.ClientKeys{Set: json.RawMessage(text)}, nil
}

func newNodeClientList() *cobra.Command {
	return addDir(&cobra.Command{
		Use:     "list",
		Short:   "List the registered programs with their scopes and keys",
		Example: `  trialmesh node client list --dir node`,
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			list, err := c.APIClients(cmd.Context())
			if err != nil {
				return err
			}
			return printAPIClients(cmd, list, map[string]any{"clients": list})
		},
	}, "node")
}

func newNodeClientRotate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rotate NAME",
		Short: "Replace a program's keys",
		Long: `Replace the keys of a program and revoke its tokens, at once. So that it is never
without a key that counts, give a set with the old and the new key first, and one with the
new key alone when the program uses it. A program with --jwks-url replaces keys there by
itself; the node notices within 15 minutes, or sooner if a Cache-Control there says so.`,
		Example: `  trialmesh node client rotate loader --keys loader.jwks.json --dir node`,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			keys, err := clientKeys(cmd)
			if err != nil {
				return err
			}
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			changed, err := c.RotateAPIClient(cmd.Context(), args[0], keys)
			if err != nil {
				return err
			}
			return printAPIClients(cmd, []client.APIClient{changed}, changed)
		},
	}
	return addDir(addClientKeys(cmd), "node")
}

func newNodeClientRemove() *cobra.Command {
	return addDir(&cobra.Command{
		Use:     "remove NAME",
		Short:   "Remove a program and revoke its tokens",
		Example: `  trialmesh node client remove loader --dir node`,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			if err := c.RemoveAPIClient(cmd.Context(), args[0]); err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, map[string]any{"removed": args[0]})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is removed\n", args[0])
			return err
		},
	}, "node")
}

// printAPIClients prints clients, or document if JSON is wanted.
func printAPIClients(cmd *cobra.Command, list []client.APIClient, document any) error {
	if wantsJSON(cmd) {
		return printJSON(cmd, document)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	if len(list) == 0 {
		fmt.Fprintln(w, "none")
	}
	for _, c := range list {
		fmt.Fprintf(w, "client\t%s\nscope\t%s\ntokens hold\t%s\nkeys since\t%s\n", c.ID, c.Scope, time.Duration(c.TokenTime)*time.Second, when(c.Changed, "-"))
		for _, k := range c.Keys {
			fmt.Fprintf(w, "key\t%s, %s, thumbprint %s\n", printable(k.ID), k.Algorithm, k.Thumbprint)
		}
		if c.KeysURL != "" {
			fmt.Fprintf(w, "keys at\t%s\n", printable(c.KeysURL))
		}
	}
	return w.Flush()
}
