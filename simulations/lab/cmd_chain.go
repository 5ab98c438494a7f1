package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/simulations/participants"
	"github.com/trialmesh/trialmesh/simulations/testdata"
	"github.com/trialmesh/trialmesh/zk/evm"
	"github.com/trialmesh/trialmesh/zk/evm/inprocess"
)

func newChainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "chain",
		Short: "Run an EVM chain in this process, with a JSON-RPC endpoint on loopback",
		Example: `  trialmesh-lab chain --dir chain --url-file chain.url
  trialmesh-lab chain --fund 0x71562b71999873DB5b286dF957af199Ec94617F7`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, _ := cmd.Flags().GetString("dir")
			chain, err := inprocess.Start(cmd.Context(), inprocess.Config{Dir: dir})
			if err != nil {
				return err
			}
			accounts, _ := cmd.Flags().GetStringSlice("fund")
			for _, account := range accounts {
				if err := fund(cmd, chain, account); err != nil {
					return errors.Join(err, chain.Close())
				}
			}
			if path, _ := cmd.Flags().GetString("url-file"); path != "" {
				if err := writeWhole(path, chain.URL()+"\n"); err != nil {
					return errors.Join(err, chain.Close())
				}
			}
			fmt.Fprintln(cmd.OutOrStdout(), chain.URL())
			<-cmd.Context().Done()
			return chain.Close()
		},
	}
	cmd.Flags().String("dir", "", "folder of the chain (default in memory)")
	cmd.Flags().String("url-file", "", "file that gets the endpoint's URL once it is served")
	cmd.Flags().StringSlice("fund", nil, "account that gets coins, may be repeated")
	return cmd
}

func fund(cmd *cobra.Command, chain *inprocess.Chain, account string) error {
	var address evm.Address
	if err := address.UnmarshalText([]byte(account)); err != nil {
		return usageError{fmt.Errorf("--fund: %w", err)}
	}
	return chain.Fund(cmd.Context(), address)
}

// writeWhole writes a file that appears with all its content.
func writeWhole(path, text string) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

func newDataCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "data FOLDER",
		Short:   "Write the demonstration's hospitals and vocabulary into a folder",
		Example: `  trialmesh-lab data data   # data/harbor, data/meadow, data/summit, data/vocabulary`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, hospital := range testdata.Hospitals() {
				if _, err := hospital.Extract(cmd.Context(), filepath.Join(args[0], hospital.Name)); err != nil {
					return err
				}
			}
			return testdata.ExtractVocabulary(filepath.Join(args[0], "vocabulary"))
		},
	}
}

func newConsentsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "consents",
		Short: "Let a hospital's participants sign: most grant, some refuse, one withdraws",
		Long: `Write what the patients of one of the demonstration's hospitals say about a
trial, one JSON object a line as trialmesh node consent reads it. Each patient
has a key of their own; a real participant's never leaves their phone.`,
		Example: `  trialmesh-lab consents --hospital harbor --trial bp-2026 --node did:key:z6Mk… > harbor.ndjson`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			name, _ := cmd.Flags().GetString("hospital")
			id, _ := cmd.Flags().GetString("trial")
			node, _ := cmd.Flags().GetString("node")
			did, err := identity.ParseDID(node)
			if err != nil {
				return usageError{err}
			}
			list, err := participants.Sign(cmd.Context(), name, trial.ID(id), did, time.Now())
			if err != nil {
				return err
			}
			enc := json.NewEncoder(cmd.OutOrStdout())
			for _, one := range list.Messages {
				if err := enc.Encode(one); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().String("hospital", "", "harbor, meadow or summit")
	cmd.Flags().String("trial", "", "id of the trial")
	cmd.Flags().String("node", "", "did:key of the hospital's node")
	for _, name := range []string{"hospital", "trial", "node"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // the flags were defined above
		}
	}
	return cmd
}
