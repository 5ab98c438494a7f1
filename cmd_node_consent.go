package main

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/node"
	"github.com/trialmesh/trialmesh/node/client"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

func newNodeConsent() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "consent FILE",
		Short: "Record participants' signed consents",
		Long: `Record signed consents, refusals and withdrawals from FILE (- for standard input):
one JSON object a line, {"patient": id of the FHIR Patient, "consent": signed
envelope}. All are durable when the command ends. A withdrawal counts at once,
a grant as soon as the node has put its next commitment on the ledger.`,
		Example: `  trialmesh node consent consents.ndjson --dir node`,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			raw, err := readInput(cmd, args[0])
			if err != nil {
				return err
			}
			list, err := parseConsents(raw)
			if err != nil {
				return err
			}
			n, err := c.RecordConsents(cmd.Context(), list)
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, map[string]any{"recorded": n})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d recorded\n", n)
			return err
		},
	}
	cmd.AddCommand(newNodeConsentReceipt())
	return addDir(cmd, "node")
}

func newNodeConsentReceipt() *cobra.Command {
	var id, participant string
	cmd := &cobra.Command{
		Use:   "receipt",
		Short: "Give a participant what they need to follow their consent on the ledger",
		Long: `Print a JSON document for a participant: what they signed, which leaf of the node's
consent tree states it, and the secret that opens this leaf and no other. Hand it to nobody
else: whoever has it can tell which leaf is theirs. With it, trialmesh verify consent shows
them, from public data alone, that the node published what they signed and nothing else.
The same receipt serves until they sign something more or are enrolled in the trial.`,
		Example: `  trialmesh node consent receipt --trial glucose-1 --participant did:key:z6Mk… --dir node > receipt.json`,
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := nodeConfig(cmd)
			if err != nil {
				return err
			}
			did, err := identity.ParseDID(participant)
			if err != nil {
				return usageError{err}
			}
			receipt, err := node.ConsentReceipt(cmd.Context(), cfg, trial.ID(id), did)
			if err != nil {
				return err
			}
			return printJSON(cmd, receipt)
		},
	}
	cmd.Flags().StringVar(&id, "trial", "", "the trial (required)")
	cmd.Flags().StringVar(&participant, "participant", "", "the did:key that signed the consent (required)")
	for _, name := range []string{"trial", "participant"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // the flags were defined above
		}
	}
	return addDir(cmd, "node")
}

func parseConsents(raw []byte) ([]client.Consent, error) {
	var list []client.Consent
	scanner := bufio.NewScanner(strings.NewReader(string(raw)))
	scanner.Buffer(nil, maxInput)
	for line := 1; scanner.Scan(); line++ {
		if len(strings.TrimSpace(scanner.Text())) == 0 {
			continue
		}
		var one client.Consent
		if err := decodeJSON(scanner.Bytes(), &one); err != nil {
			return nil, fmt.Errorf("line %d is not a consent", line)
		}
		list = append(list, one)
	}
	return list, scanner.Err()
}
