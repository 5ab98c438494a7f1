package main

import (
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/node/redteam"
)

// errSucceeded is the error of a red team that learned something; what it did is printed.
var errSucceeded = errors.New("an attack succeeded: do not answer questions until its cause is known")

func newRedTeamCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "redteam",
		Short: "Attack the release gate of your own running node",
		Long: `Let a running node attack its own release gate in the ways that have worked against
other platforms, and some more, and print what came of it: what was refused, what was
answered but tells no more than the policy lets out, and what succeeded. Each attack is
explained in deploy/docs/disclosure.md.

The node attacks with its own persons and policy, but a memory that is thrown away, so
that no question of a researcher is affected and nothing counts towards a budget. The
attacks take 400 persons: made-up ones join those of a site that has fewer, which changes
nothing for the gate. Only its operator may do this: the command reads the API token in
the node's directory. How many of the site's persons were used, in hundreds, is the only
number about them that is printed.

The command ends with status 1 if an attack succeeded.`,
		Example: `  trialmesh redteam --node node
  trialmesh redteam --node node --json | jq '.findings[] | select(.outcome == "succeeded")'`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, _ := cmd.Flags().GetString("node")
			c, err := nodeAt(dir)
			if err != nil {
				return err
			}
			defer c.Close()
			report, err := c.RedTeam(cmd.Context())
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				err = printJSON(cmd, report)
			} else {
				err = printRedTeam(cmd, report)
			}
			if err == nil && !report.Withstood {
				return errSucceeded
			}
			return err
		},
	}
	cmd.Flags().String("node", "", "directory of the node (required)")
	if err := cmd.MarkFlagRequired("node"); err != nil {
		panic(err) // the flag was defined on the line above
	}
	return cmd
}

func printRedTeam(cmd *cobra.Command, r redteam.Report) error {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\tattack\toutcome\tby rule\tlearned\tbest guess off by")
	for _, f := range r.Findings {
		off := "-"
		if f.Off != nil {
			off = fmt.Sprintf("%g", *f.Off)
		}
		rule := f.Rule
		if rule == "" {
			rule = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", f.Attack, f.Name, f.Outcome, rule, f.Learned, off)
	}
	fmt.Fprintf(w, "\n%s\n", attackedPersons(r))
	return w.Flush()
}

// attackedPersons says whom the attacks were about.
func attackedPersons(r redteam.Report) string {
	own := fmt.Sprintf("at least %d persons of the site", r.Persons)
	if r.Persons == 0 {
		own = "fewer than 100 persons of the site"
	}
	if r.MadeUp {
		own += ", joined by made-up ones up to 400"
	}
	return "The attacks were about " + own + "."
}
