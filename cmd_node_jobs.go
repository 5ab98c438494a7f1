package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/node/client"
)

// jobStates are the states that a load can be in.
var jobStates = []string{"queued", "running", "completed", "completed with problems", "failed", "cancelled"}

func newNodeJobs() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "jobs",
		Short: "List, show, cancel and retry the loads of the running node",
		Long: `List the newest loads. A load that waits for its next attempt is queued; one that
was given up after five is failed, and can be tried again once its cause is gone: those
that wait for that are listed with --state failed.`,
		Example: `  trialmesh node jobs --dir node
  trialmesh node jobs --dir node --state failed
  trialmesh node jobs --dir node --limit 1000 --json
  trialmesh node jobs show 17 --dir node`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			limit, _ := cmd.Flags().GetInt("limit")
			if limit < 1 || limit > 1000 {
				return usageError{errors.New("--limit: 1 to 1000")}
			}
			state, _ := cmd.Flags().GetString("state")
			if state != "" && !slices.Contains(jobStates, state) {
				return usageError{errors.New("--state: " + strings.Join(jobStates, ", "))}
			}
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			jobs, err := c.Jobs(cmd.Context(), limit, state)
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, map[string]any{"jobs": jobs})
			}
			table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "job\tstate\taccepted\trecords\tstored\trejected\tname")
			for _, j := range jobs {
				fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%d\t%s\n", j.ID, j.State, j.Accepted.Local().Format(time.DateTime), j.Records, j.Stored, j.Rejected, j.Name)
			}
			return table.Flush()
		},
	}
	cmd.Flags().Int("limit", 20, "how many loads to list, 1 to 1000")
	cmd.Flags().String("state", "", "list only loads in this state: "+strings.Join(jobStates, ", "))
	cmd.AddCommand(newNodeJob("show", "Show a load with what was rejected", `List what a load gave, and by line, path and rule what was not stored.`, (*client.Client).Job),
		newNodeJob("cancel", "Cancel a load that is not over", `Cancel a load. Nothing more of its file is stored; what was stored before stays.
Loading the file again, or node jobs retry within a day, goes on with it.`, (*client.Client).Cancel),
		newNodeJob("retry", "Try a load again that failed or was cancelled", `Make a load go on where its last batch ended. It has to have failed or been cancelled.`, (*client.Client).Retry))
	return addDir(cmd, "node")
}

// newNodeJob makes a command that does one thing with one load.
func newNodeJob(name, short, long string, do func(*client.Client, context.Context, string) (client.Job, error)) *cobra.Command {
	return addDir(&cobra.Command{
		Use: name + " JOB", Short: short, Long: long,
		Example: "  trialmesh node jobs " + name + " 17 --dir node",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			job, err := do(c, cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return printJob(cmd, job)
		},
	}, "node")
}

func printJob(cmd *cobra.Command, j client.Job) error {
	if wantsJSON(cmd) {
		return printJSON(cmd, j)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "job\t%s\nfile\t%s\nstate\t%s\n", j.ID, j.Name, j.State)
	for _, why := range []struct{ what, text string }{{"waits", j.Held}, {"last error", j.Error}} {
		if why.text != "" {
			fmt.Fprintf(w, "%s\t%s\n", why.what, why.text)
		}
	}
	printRows(w, j.Records, j.Stored, j.Replaced, j.Duplicates, j.Rejected, j.Unmapped)
	if j.Removed > 0 {
		fmt.Fprintf(w, "removed\t%d\n", j.Removed)
	}
	printCounts(w, "records by type", j.ByType)
	printCounts(w, "findings", j.Findings)
	printProblems(w, j.Problems)
	return w.Flush()
}
