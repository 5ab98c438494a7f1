package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/node"
	"github.com/trialmesh/trialmesh/node/fsck"
)

func newNodeFsck() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fsck",
		Short: "Check that nothing of the node's data is lost or damaged",
		Long: `Check the node's database and raw copies, also while it runs: every acknowledged job is
there with its file, every file decrypts to the digest it was acknowledged with, every
row and every point of a time series leads to such a file, all rows that are referred
to are there, and the consent trees are those that the consents make. Nothing is changed. What is wrong is listed by rule and place,
never by value, and the status is 1 then. Raw copies that nothing needs are counted:
they are of uploads that were not acknowledged, and no defect.`,
		Example: `  trialmesh node fsck --dir node
  trialmesh node fsck --dir node --json`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := nodeConfig(cmd)
			if err != nil {
				return err
			}
			report, err := node.Fsck(cmd.Context(), cfg, newMeter(cmd).show)
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				report.Findings = notNil(report.Findings)
				err = printJSON(cmd, report)
			} else {
				err = printFsck(cmd, report)
			}
			if err != nil {
				return err
			}
			return foundErr(report)
		},
	}
	return addDir(cmd, "node")
}

// foundErr is the error of a node with findings, nil for one without.
func foundErr(r fsck.Report) error {
	if r.OK() {
		return nil
	}
	return fmt.Errorf("%d findings: what is listed is lost or damaged", len(r.Findings))
}

func printFsck(cmd *cobra.Command, r fsck.Report) error {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "jobs\t%d\nrows\t%d\npoints of time series\t%d\ndatabase checked in\t%s, %s\n",
		r.Jobs, r.Rows, r.Points, r.DatabaseTime.Round(time.Millisecond), rate(r.Rows+r.Points, r.DatabaseTime, "rows and points"))
	fmt.Fprintf(w, "raw copies\t%d, %d bytes\nread in\t%s, %s\nraw copies nothing needs\t%d\nfindings\t%d\n",
		r.RawFiles, r.RawBytes, r.RawTime.Round(time.Millisecond), rate(r.RawBytes, r.RawTime, "bytes"), r.Unnamed, len(r.Findings))
	for _, f := range r.Findings {
		fmt.Fprintf(w, "  %s\t%s\t%d\t%s\n", f.Rule, f.Place, f.Count, listed("rows", f.Rows)+listed("jobs", f.Jobs))
	}
	return w.Flush()
}

// listed is a list of the numbers of rows or jobs, "" for none.
func listed(what string, numbers []int64) string {
	if len(numbers) == 0 {
		return ""
	}
	return what + " " + strings.Trim(fmt.Sprint(numbers), "[]")
}

// rate is how many of something there were in a second.
func rate(n int64, took time.Duration, what string) string {
	if took <= 0 {
		return "at once"
	}
	return fmt.Sprintf("%.0f %s a second", float64(n)/took.Seconds(), what)
}
