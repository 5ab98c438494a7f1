package main

import (
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/node"
	"github.com/trialmesh/trialmesh/node/cdshooks"
	"github.com/trialmesh/trialmesh/node/client"
	"github.com/trialmesh/trialmesh/node/jwks"
)

func newNodeCDSClient() *cobra.Command {
	return group("cds-client", "Register the EHRs that may call the CDS Hooks service",
		newCDSClientAdd(), newCDSClientList(), newCDSClientRemove())
}

func newCDSClientAdd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add ISSUER",
		Short: "Register an EHR, or replace what is registered",
		Long: `Register the EHR whose tokens have ISSUER as iss, with its public keys: a JSON Web Key Set
of keys for ES384 (P-384) or RS384 (RSA, 2048 bits or more), each with a kid. With
--key-url its tokens may also name that address (jku): the node fetches further keys from
there, and from nowhere else. The node may run; the registration counts at once.

An EHR knows patients by the ids of its own FHIR server. If others with the same ids were
loaded from other systems, use --require-patient: then each call has to bring the Patient,
and where birth date or sex differ from those stored the node says nothing.`,
		Example: `  trialmesh node cds-client add https://ehr.hospital.example/ --keys ehr.jwks.json --dir node
  trialmesh node cds-client add https://ehr.hospital.example/ --key-url https://ehr.hospital.example/jwks.json --dir node`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			keys, _ := cmd.Flags().GetString("keys")
			ehr := cdshooks.Client{Issuer: args[0]}
			ehr.KeyURLs, _ = cmd.Flags().GetStringSlice("key-url")
			ehr.RequirePatient, _ = cmd.Flags().GetBool("require-patient")
			if keys == "" && len(ehr.KeyURLs) == 0 {
				return usageError{errors.New("give the EHR's keys with --keys, or their address with --key-url")}
			}
			for _, at := range ehr.KeyURLs {
				if err := jwks.CheckURL(at); err != nil {
					return usageError{fmt.Errorf("--key-url: %w", err)}
				}
			}
			if keys != "" {
				text, err := readInput(cmd, keys)
				if err != nil {
					return err
				}
				ehr.Keys = text
			}
			return withScreening(cmd, func(s *node.Screening) error {
				if err := s.Clients.Add(cmd.Context(), ehr, time.Now()); err != nil {
					return err
				}
				return printEHR(cmd, ehr)
			})
		},
	}
	cmd.Flags().String("keys", "", "file with the EHR's JSON Web Key Set, - for standard input")
	cmd.Flags().StringSlice("key-url", nil, "https address of further keys that tokens may name, may be repeated")
	cmd.Flags().Bool("require-patient", false, "refuse calls that do not bring the Patient")
	return addDir(cmd, "node")
}

// printEHR says what was registered, its keys as [printAPIClients] does.
func printEHR(cmd *cobra.Command, ehr cdshooks.Client) error {
	keys := []jwks.Info{}
	if len(ehr.Keys) > 0 {
		set, err := jwks.Parse(ehr.Keys)
		if err != nil {
			return err
		}
		if keys, err = jwks.Infos(set); err != nil {
			return err
		}
	}
	if wantsJSON(cmd) {
		list := make([]client.ClientKey, len(keys))
		for i, k := range keys {
			list[i] = client.ClientKey(k)
		}
		return printJSON(cmd, map[string]any{"issuer": ehr.Issuer, "keys": list, "keyUrls": notNil(ehr.KeyURLs), "requirePatient": ehr.RequirePatient})
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "issuer\t%s\n", printable(ehr.Issuer))
	for _, k := range keys {
		fmt.Fprintf(w, "key\t%s, %s, thumbprint %s\n", printable(k.ID), k.Algorithm, k.Thumbprint)
	}
	for _, at := range ehr.KeyURLs {
		fmt.Fprintf(w, "keys at\t%s\n", printable(at))
	}
	return w.Flush()
}

func newCDSClientList() *cobra.Command {
	return addDir(&cobra.Command{
		Use: "list", Short: "List the EHRs that may call the service",
		Example: `  trialmesh node cds-client list --dir node`,
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withScreening(cmd, func(s *node.Screening) error {
				list, err := s.Clients.All(cmd.Context())
				if err != nil {
					return err
				}
				if wantsJSON(cmd) {
					return printJSON(cmd, map[string]any{"clients": notNil(list)})
				}
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "issuer\tadded\tkeys\taddresses of keys\tpatient required")
				for _, c := range list {
					fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%t\n", printable(c.Issuer), when(c.Added, "-"), c.CountKeys(), len(c.KeyURLs), c.RequirePatient)
				}
				return w.Flush()
			})
		},
	}, "node")
}

func newCDSClientRemove() *cobra.Command {
	return addDir(&cobra.Command{
		Use: "remove ISSUER", Short: "Refuse an EHR from now on",
		Example: `  trialmesh node cds-client remove https://ehr.hospital.example/ --dir node`,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withScreening(cmd, func(s *node.Screening) error {
				return s.Clients.Remove(cmd.Context(), args[0], time.Now())
			})
		},
	}, "node")
}
