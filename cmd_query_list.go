package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/hub/client"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// newHubList is a command that lists the newest of something that a hub has, up to most: a
// line each under head, whose cells are apart by tabs, as is what line returns.
func newHubList[T any](use, short, path, head string, most int, list func(*client.Client, context.Context, int) ([]T, error), line func(T) string) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Example: "  trialmesh " + path + " --hub https://hub.example:7420 --root root.pem",
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := remoteHub(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			limit, _ := cmd.Flags().GetInt("limit")
			found, err := list(c, cmd.Context(), limit)
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			if !wantsJSON(cmd) {
				fmt.Fprintln(w, head)
			}
			for _, one := range found {
				if !wantsJSON(cmd) {
					fmt.Fprintln(w, line(one))
				} else if err := printJSON(cmd, one); err != nil {
					return err
				}
			}
			return w.Flush()
		},
	}
	cmd.Flags().Int("limit", 20, fmt.Sprintf("how many, up to %d", most))
	return addHub(cmd)
}

// addCancel adds the flags of commands that cancel what somebody signed.
func addCancel(cmd *cobra.Command) *cobra.Command {
	addKey(cmd, "file with the signing key of the researcher or the sponsor (required)")
	cmd.Flags().String("reason", "", "why, in words; public")
	if err := cmd.MarkFlagRequired("key"); err != nil {
		panic(err) // the flag was defined above
	}
	return addHub(cmd)
}

// sayCancelled prints that what a field names is cancelled, now or before.
func sayCancelled(cmd *cobra.Command, field, name string, changed bool) error {
	if wantsJSON(cmd) {
		return printJSON(cmd, map[string]any{field: name, "state": query.Cancelled, "existed": !changed})
	}
	text := "cancelled"
	if !changed {
		text = "was cancelled before"
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", name, text)
	return err
}
