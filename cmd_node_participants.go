package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/node/client"
)

func newNodeParticipants() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "participants",
		Short: "Enroll participants in trials, and list them",
		Long: `List the newest participants whom this site enrolls or has enrolled in trials, up to 1,000: who signed,
how far it is, and why somebody was refused.`,
		Example: `  trialmesh node participants --dir node
  trialmesh node participants --trial glucose-1 --dir node --json`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			id, _ := cmd.Flags().GetString("trial")
			list, err := c.Participants(cmd.Context(), id)
			if err != nil {
				return err
			}
			return printParticipants(cmd, list)
		},
	}
	cmd.Flags().String("trial", "", "of this trial only")
	cmd.AddCommand(newNodeParticipantsEnroll())
	return addDir(cmd, "node")
}

func newNodeParticipantsEnroll() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "enroll FILE",
		Short: "Enroll patients who consented, each person once in a trial",
		Long: `Enroll the patients in FILE (- for standard input), one JSON object a line: {"trial": id, "patient":
id of the FHIR Patient, "identifier": the patient's own, in the system that the trial's design names}.
Their consent must be on record. The identifier is neither stored nor sent: the node has the network
compute a secret of it without showing it, proves with this that somebody with a consent in force
enrolls, and the ledger gets the proof. Whoever is enrolled already, at this site or another, is refused,
and nobody learns where they were.

Enrolling again is harmless, and tries again what was refused. An enrollment waits until the consent
is on the ledger; --wait waits for it, up to a time. The command ends with status 1 if somebody was
refused. The participant's receipt changes: give them a new one with node consent receipt.`,
		Example: `  trialmesh node participants enroll patients.ndjson --dir node --wait 2m`,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			wait, _ := cmd.Flags().GetDuration("wait")
			if wait < 0 {
				return usageError{errors.New("--wait: a time like 2m")}
			}
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			raw, err := readInput(cmd, args[0])
			if err != nil {
				return err
			}
			wanted, err := parseParticipants(raw)
			if err != nil {
				return err
			}
			list := make([]client.Participant, len(wanted))
			for i, one := range wanted {
				if list[i], err = c.Enroll(cmd.Context(), one); err != nil {
					return fmt.Errorf("patient %d of %d, after which nothing was done: %w", i+1, len(wanted), err)
				}
			}
			if err := awaitParticipants(cmd, c, list, time.Now().Add(wait)); err != nil {
				return err
			}
			if err := printParticipants(cmd, list); err != nil {
				return err
			}
			return refusedParticipants(list)
		},
	}
	cmd.Flags().Duration("wait", 0, "how long to wait for the ledger")
	return addDir(cmd, "node")
}

// awaitParticipants looks at enrollments under way again until a time.
func awaitParticipants(cmd *cobra.Command, c *client.Client, list []client.Participant, until time.Time) error {
	for slices.ContainsFunc(list, client.Participant.Waits) && time.Now().Before(until) {
		select {
		case <-cmd.Context().Done():
			return cmd.Context().Err()
		case <-time.After(250 * time.Millisecond):
		}
		for i, p := range list {
			now, err := c.Participants(cmd.Context(), p.Trial)
			if err != nil {
				return err
			}
			if at := slices.IndexFunc(now, func(q client.Participant) bool { return q.Participant == p.Participant }); at >= 0 {
				list[i] = now[at]
			}
		}
	}
	return nil
}

func printParticipants(cmd *cobra.Command, list []client.Participant) error {
	if wantsJSON(cmd) {
		return printJSON(cmd, map[string]any{"participants": list})
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), "nobody")
		return err
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TRIAL\tPARTICIPANT\tSTATE\tENTRY\tWHY")
	for _, p := range list {
		entry, why := "", ""
		if p.LedgerIndex != nil {
			entry = fmt.Sprint(*p.LedgerIndex)
		}
		if p.Refused != nil {
			why = p.Refused.Title
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", p.Trial, p.Participant, p.State, entry, why)
	}
	return w.Flush()
}

// refusedParticipants fails if somebody was refused, for the reason of the first.
func refusedParticipants(list []client.Participant) error {
	refused := slices.DeleteFunc(slices.Clone(list), func(p client.Participant) bool { return p.Refused == nil })
	if len(refused) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d refused, the first: %w", len(refused), len(list), refused[0].Refused.Err())
}

func parseParticipants(raw []byte) ([]client.NewParticipant, error) {
	var list []client.NewParticipant
	scanner := bufio.NewScanner(bytes.NewReader(raw))
	scanner.Buffer(nil, maxInput)
	for line := 1; scanner.Scan(); line++ {
		if len(bytes.TrimSpace(scanner.Bytes())) == 0 {
			continue
		}
		var one client.NewParticipant
		if decodeJSON(scanner.Bytes(), &one) != nil || one.Trial == "" || one.Patient == "" || one.Identifier == "" {
			return nil, fmt.Errorf("line %d is no trial, patient and identifier", line) // without what stands there
		}
		list = append(list, one)
	}
	return list, scanner.Err()
}
