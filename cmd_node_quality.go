package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/node/client"
	"github.com/trialmesh/trialmesh/node/report"
)

// errUnfit is the error of a report that failed; the report itself is printed.
var errUnfit = errors.New("the data failed a check of severity reject")

func newNodeQuality() *cobra.Command {
	return group("quality", "Check the data of the running node and show how good they are",
		newNodeQualityCommand("run", "Make a data quality report", `Check everything that the running node has stored, in the categories of Kahn et al.
(2016): conformance, completeness and plausibility. Measurements far from all others
of their variable are marked as outliers, and marks of earlier runs are renewed; they
stay in answers. Nothing else changes. Loads go on meanwhile.

The file quality.yaml in the node's directory changes thresholds, severities and the
rules for outliers; see Data quality in deploy/docs/operator.md.

What failed is printed, the rest with --json or --html. The command ends with status 1
if a check of severity reject failed. The report is for the site's own people: it holds
counts and distributions, no value of a single person, and does not leave the site.`,
			`  trialmesh node quality run --dir node
  trialmesh node quality run --dir node --html quality.html
  trialmesh node quality run --dir node --json | jq '.checks[] | select(.passed | not)'`, (*client.Client).RunQuality),
		newNodeQualityCommand("show", "Show the last data quality report", `Show the report of the last trialmesh node quality run. The status is 1 if it failed.`,
			`  trialmesh node quality show --dir node
  trialmesh node quality show --dir node --html quality.html`, (*client.Client).Quality))
}

func newNodeQualityCommand(name, short, long, example string, do func(*client.Client, context.Context) (report.Report, error)) *cobra.Command {
	cmd := &cobra.Command{
		Use: name, Short: short, Long: long, Example: example,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			r, err := do(c, cmd.Context())
			if err != nil {
				return err
			}
			file, _ := cmd.Flags().GetString("html")
			if file != "" {
				if err := writeReport(file, r); err != nil {
					return err
				}
			}
			if wantsJSON(cmd) {
				err = printJSON(cmd, r)
			} else {
				err = printReport(cmd, r)
			}
			if err == nil && !r.Passed {
				return errUnfit
			}
			return err
		},
	}
	cmd.Flags().String("html", "", "file to write the report to as a page with plots")
	return addDir(cmd, "node")
}

// writeReport writes a page that needs no other file.
func writeReport(file string, r report.Report) error {
	var page bytes.Buffer
	if err := report.WritePage(&page, report.Page{Report: &r, Standalone: true}); err != nil {
		return err
	}
	return os.WriteFile(file, page.Bytes(), 0o600)
}

func printReport(cmd *cobra.Command, r report.Report) error {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "report of\t%s\n", r.Ended.Local().Format(time.DateTime))
	for _, s := range r.Summary {
		fmt.Fprintf(w, "%s\t%d failed, %d passed, %d had no rows\n", s.Category, s.Failed, s.Passed, s.Empty)
	}
	fmt.Fprintf(w, "outliers\t%d marked, %d cleared\n", r.Outliers.Set, r.Outliers.Cleared)
	if err := w.Flush(); err != nil {
		return err
	}
	w = tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	head := "\nfailed check\tseverity\tviolations\tof\tpercent\tthreshold\n"
	for _, c := range r.Checks {
		if !c.Passed {
			fmt.Fprintf(w, "%s%s\t%s\t%d\t%d\t%.2f\t%g\n", head, c.ID, c.Severity, c.Violations, c.Denominator, c.Percent, c.Threshold)
			head = ""
		}
	}
	return w.Flush()
}
