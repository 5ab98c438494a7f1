package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/connectors/partner/fhirserver"
	"github.com/trialmesh/trialmesh/node"
	"github.com/trialmesh/trialmesh/node/client"
	"github.com/trialmesh/trialmesh/node/pull"
)

func newNodePull() *cobra.Command {
	return group("pull", "Fetch from the site's FHIR servers",
		newNodePullKey(), newNodePullList(), newNodePullRun(), newNodePullStatus(), newNodePullCancel())
}

func newNodePullKey() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key NAME",
		Short: "Make the key of a pull and print what to register at the server",
		Long: `Make the key pair with which the node proves to a FHIR server who it is (SMART
Backend Services), in the file pulls/NAME.key of the node's directory, and print the
public half as a JSON Web Key Set. Register that at the server; it gives a client id,
which goes into pulls/NAME.yaml as client. A key that is there is kept and its public
half printed again. The node need not be running.`,
		Example: `  trialmesh node pull key heart --dir node > heart.jwks.json
  trialmesh node pull key heart --dir node --algorithm RS384`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, _ := cmd.Flags().GetString("dir")
			return printKey(cmd, func(algorithm string) (fhirserver.Key, bool, error) {
				key, isNew, err := pull.MakeKey(node.PullsDir(dir), args[0], algorithm)
				if errors.Is(err, pull.ErrName) {
					err = usageError{err}
				}
				return key, isNew, err
			})
		},
	}
	cmd.Flags().String("algorithm", fhirserver.ES384, "what the key is for, ES384 or RS384")
	return addDir(cmd, "node")
}

// printKey prints the public half of the key that mine makes, or has made before, for the
// algorithm that the flags name.
func printKey(cmd *cobra.Command, mine func(algorithm string) (key fhirserver.Key, isNew bool, err error)) error {
	dir, _ := cmd.Flags().GetString("dir")
	algorithm, _ := cmd.Flags().GetString("algorithm")
	if algorithm != fhirserver.ES384 && algorithm != fhirserver.RS384 {
		return usageError{errors.New("--algorithm: ES384 or RS384")}
	}
	if err := made("node", dir, nodeConfigFile); err != nil {
		return err
	}
	key, isNew, err := mine(algorithm)
	if err != nil {
		return err
	}
	if !isNew && cmd.Flags().Changed("algorithm") && key.Algorithm() != algorithm {
		return fmt.Errorf("there is a key for %s: move it away to make another", key.Algorithm())
	}
	public, err := key.Public()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", public)
	return err
}

func newNodePullList() *cobra.Command {
	return addDir(&cobra.Command{
		Use:   "list",
		Short: "List the pulls of the running node",
		Long: `List the pulls, which are the files NAME.yaml in the folder pulls of the node's
directory, with when they fall due, how the last run ended, and what is wrong with
the settings of one that does not run.`,
		Example: `  trialmesh node pull list --dir node
  trialmesh node pull list --dir node --json`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			pulls, err := c.Pulls(cmd.Context())
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, map[string]any{"pulls": pulls})
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			var wrong remarks
			fmt.Fprintln(w, "pull\tkind\tserver\tnext\tlast run\tstate")
			for _, p := range pulls {
				last, state := "never", "-"
				if p.Last != nil {
					last, state = when(p.Last.Asked, "-"), p.Last.State
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", p.Name, cmp.Or(p.Kind, "-"), cmp.Or(printable(p.URL), "-"), when(p.Next, "on request"), last, state)
				wrong.add("pull "+p.Name, p.Error)
			}
			if err := w.Flush(); err != nil {
				return err
			}
			return wrong.print(cmd.OutOrStdout())
		},
	}, "node")
}

// when shows a time by this machine's clock.
func when(t time.Time, never string) string {
	if t.IsZero() {
		return never
	}
	return t.Local().Format(time.DateTime)
}

func newNodePullRun() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run NAME",
		Short: "Fetch now and wait until it is loaded",
		Long: `Have the running node fetch from a server now. What changed since the last complete
run is fetched; everything at the first time, or when the settings ask for something
else than before. The command waits until all is loaded and ends with status 1 if the
run failed. With Ctrl-C it stops waiting; the node does not.`,
		Example: `  trialmesh node pull run heart --dir node
  trialmesh node pull run heart --dir node --detach`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			r, err := c.StartPull(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if detach, _ := cmd.Flags().GetBool("detach"); !detach {
				said := ""
				r, err = c.WatchPull(cmd.Context(), args[0], func(r client.PullRun) {
					if now := progressOf(r); now != said {
						newProgress(cmd, 0).say(now)
						said = now
					}
				})
				if err != nil {
					return err
				}
			}
			if err := printPullRuns(cmd, []client.PullRun{r}, func() error { return printJSON(cmd, r) }); err != nil {
				return err
			}
			if r.State == "failed" || r.State == "cancelled" || r.State == "overdue" {
				return fmt.Errorf("the run is %s", r.State)
			}
			return nil
		},
	}
	cmd.Flags().Bool("detach", false, "do not wait")
	return addDir(cmd, "node")
}

// progressOf is a line on how far a run is.
func progressOf(r client.PullRun) string {
	text := r.State
	if n := len(r.Files); n > 0 {
		fetched := 0
		for _, f := range r.Files {
			if f.Fetched {
				fetched++
			}
		}
		text += fmt.Sprintf(", %d of %d files", fetched, n)
	}
	if r.Progress != "" {
		text += ": " + printable(r.Progress)
	}
	if r.Error != "" {
		text += ": " + printable(r.Error)
	}
	return text
}

func newNodePullStatus() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status NAME",
		Short: "Show the newest runs of a pull with their files and loads",
		Long: `Show what was fetched when: for each run its state, since when and until when, what
the server says is deleted, and each file with the load that stores it.`,
		Example: `  trialmesh node pull status heart --dir node
  trialmesh node pull status heart --dir node --limit 10 --json`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			limit, _ := cmd.Flags().GetInt("limit")
			if limit < 1 || limit > 100 {
				return usageError{errors.New("--limit: 1 to 100")}
			}
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			runs, err := c.PullRuns(cmd.Context(), args[0], limit)
			if err != nil {
				return err
			}
			return printPullRuns(cmd, runs, func() error { return printJSON(cmd, map[string]any{"runs": runs}) })
		},
	}
	cmd.Flags().Int("limit", 1, "how many runs to show, 1 to 100")
	return addDir(cmd, "node")
}

func newNodePullCancel() *cobra.Command {
	return addDir(&cobra.Command{
		Use:     "cancel NAME",
		Short:   "Cancel the run of a pull that is under way",
		Long:    `Cancel a run and tell the server. What was fetched is loaded all the same.`,
		Example: `  trialmesh node pull cancel heart --dir node`,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			r, err := c.CancelPull(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return printPullRuns(cmd, []client.PullRun{r}, func() error { return printJSON(cmd, r) })
		},
	}, "node")
}

// printPullRuns prints runs, with asJSON if that is wanted.
func printPullRuns(cmd *cobra.Command, runs []client.PullRun, asJSON func() error) error {
	if wantsJSON(cmd) {
		return asJSON()
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for i, r := range runs {
		if i > 0 {
			fmt.Fprintln(w)
		}
		printPullRun(w, r)
	}
	return w.Flush()
}

func printPullRun(w io.Writer, r client.PullRun) {
	fmt.Fprintf(w, "run\t%s\nstate\t%s\nasked\t%s\n", r.ID, r.State, when(r.Asked, "-"))
	for _, line := range []struct{ what, text string }{
		{"ended", when(r.Ended, "")},
		{"changes since", when(r.Since, "")},
		{"as of", when(r.Until, "")},
		{"progress", printable(r.Progress)},
		{"last error", printable(r.Error)},
	} {
		if line.text != "" {
			fmt.Fprintf(w, "%s\t%s\n", line.what, line.text)
		}
	}
	printCounts(w, "not stored", r.Findings)
	for _, f := range r.Files {
		state := "to fetch"
		switch {
		case f.Job != "":
			state = "job " + f.Job
		case f.Fetched:
			state = "nothing to load"
		}
		fmt.Fprintf(w, "file\t%s %s\t%s\n", f.Kind, f.Type, state)
	}
}
