package main

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/node"
	"github.com/trialmesh/trialmesh/node/cdshooks"
	"github.com/trialmesh/trialmesh/node/screen"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

func newNodeScreen() *cobra.Command {
	return group("screen", "Say which trials clinicians hear of, and for whom",
		newScreenExample(), newScreenAdd(), newScreenList(), newScreenShow(), newScreenRemove(), newScreenFeedback())
}

// withScreening runs act on the rules and EHRs of the node's database.
func withScreening(cmd *cobra.Command, act func(*node.Screening) error) error {
	cfg, err := nodeConfig(cmd)
	if err != nil {
		return err
	}
	s, err := node.OpenScreening(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	return errors.Join(act(s), s.Close())
}

func newScreenExample() *cobra.Command {
	return &cobra.Command{
		Use:     "example",
		Short:   "Print a screening rule with all settings explained",
		Example: `  trialmesh node screen example > glucose-1.yaml`,
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), screen.Example)
			return err
		},
	}
}

func newScreenAdd() *cobra.Command {
	return addDir(&cobra.Command{
		Use:   "add FILE",
		Short: "Add the screening rule of a trial, or replace it",
		Long: `Add a rule from FILE (YAML or JSON, - for standard input): the trial's id, title, contact
and link, and the criteria that a patient has to meet, each an OHDSI cohort definition as
questions have them. A criterion with exclude is one that the patient must not meet. All
criteria hold together. The rule counts from the next patient on; the node may run. See screen
example.`,
		Example: `  trialmesh node screen example > glucose-1.yaml
  trialmesh node screen add glucose-1.yaml --dir node`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := readInput(cmd, args[0])
			if err != nil {
				return err
			}
			rule, err := screen.Parse(text)
			if err != nil {
				return usageError{err}
			}
			return withScreening(cmd, func(s *node.Screening) error {
				if err := s.Rules.Add(cmd.Context(), rule, time.Now()); err != nil {
					return err
				}
				if wantsJSON(cmd) {
					return printJSON(cmd, map[string]any{"trial": rule.Trial, "criteria": len(rule.Criteria)})
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", rule.Trial, counted(len(rule.Criteria), "criterion"))
				return err
			})
		},
	}, "node")
}

func newScreenList() *cobra.Command {
	return addDir(&cobra.Command{
		Use: "list", Short: "List the trials that have a screening rule",
		Example: `  trialmesh node screen list --dir node`,
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withScreening(cmd, func(s *node.Screening) error {
				rules, err := s.Rules.All(cmd.Context())
				if err != nil {
					return err
				}
				if wantsJSON(cmd) {
					return printJSON(cmd, map[string]any{"rules": notNil(rules)})
				}
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "trial\tcriteria\ttitle")
				for _, r := range rules {
					fmt.Fprintf(w, "%s\t%d\t%s\n", r.Trial, len(r.Criteria), printable(r.Title))
				}
				return w.Flush()
			})
		},
	}, "node")
}

func newScreenShow() *cobra.Command {
	return addDir(&cobra.Command{
		Use: "show TRIAL", Short: "Print the screening rule of a trial as JSON",
		Long:    "Print the rule of a trial, in a form that screen add takes.",
		Example: `  trialmesh node screen show glucose-1 --dir node > glucose-1.json`,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withScreening(cmd, func(s *node.Screening) error {
				rule, err := s.Rules.One(cmd.Context(), trial.ID(args[0]))
				if err != nil {
					return err
				}
				return printJSON(cmd, rule)
			})
		},
	}, "node")
}

func newScreenRemove() *cobra.Command {
	return addDir(&cobra.Command{
		Use: "remove TRIAL", Short: "Say nothing more about a trial",
		Long:    "Remove the rule of a trial. No further card names it; the feedback on earlier ones is kept.",
		Example: `  trialmesh node screen remove glucose-1 --dir node`,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withScreening(cmd, func(s *node.Screening) error {
				return s.Rules.Remove(cmd.Context(), trial.ID(args[0]), time.Now())
			})
		},
	}, "node")
}

func newScreenFeedback() *cobra.Command {
	return addDir(&cobra.Command{
		Use:   "feedback",
		Short: "Count what became of the cards that clinicians saw",
		Long: `Count, by service and trial, the cards that were shown, accepted and overridden, with the
reasons as far as they were coded. Comments of clinicians are not kept.`,
		Example: `  trialmesh node screen feedback --dir node
  trialmesh node screen feedback --dir node --json`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withScreening(cmd, func(s *node.Screening) error {
				counts, err := s.Clients.CountFeedback(cmd.Context())
				if err != nil {
					return err
				}
				if wantsJSON(cmd) {
					return printJSON(cmd, map[string]any{"feedback": notNil(counts)})
				}
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "service\ttrial\tshown\taccepted\toverridden\treasons")
				for _, f := range counts {
					fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%s\n", f.Service, f.Trial, f.Shown, f.Accepted, f.Overridden, reasonsOf(f))
				}
				return w.Flush()
			})
		},
	}, "node")
}

// reasonsOf lists the reasons with their numbers, - for none.
func reasonsOf(f cdshooks.Feedback) string {
	var list []string
	for _, reason := range sorted(f.Reasons) {
		list = append(list, fmt.Sprintf("%s %d", reason, f.Reasons[reason]))
	}
	if len(list) == 0 {
		return "-"
	}
	return strings.Join(list, ", ")
}
