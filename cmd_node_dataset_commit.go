package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/node"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

func newDatasetCommit() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "commit NAME",
		Short: "Commit to a data set's columns, so that figures over them can be proved",
		Long: `Commit to columns of the data set NAME, as it is now, for the participants of a trial. The
node lays the rows out by the participants' places in its consent tree and signs one salted
root a shard, which it brings to the ledger; values and salts never leave it. From then on
questions over the data set that say proof: result are answered with a proof that the node's
figures follow from these columns, over exactly the consented records.

Lock the data first: a data set that is loaded again, or a participant who joins, needs a
new commitment, and a question is answered over the last one before it. Columns hold whole
numbers, levels or yes and no; name the columns to commit to if some do not.

Works on a node that runs, which brings the commitment to the hub within seconds, and on one
that does not, which brings it when it next runs.`,
		Example: `  trialmesh node dataset commit outcomes --trial glucose-1 --dir node
  trialmesh node dataset commit outcomes --trial glucose-1 --column arm --column event --column days --dir node`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, _ := cmd.Flags().GetString("trial")
			wanted, _ := cmd.Flags().GetStringSlice("column")
			cfg, err := nodeConfig(cmd)
			if err != nil {
				return err
			}
			c, err := node.CommitColumns(cmd.Context(), cfg, trial.ID(id), args[0], wanted)
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, c)
			}
			digest, err := c.Digest()
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "committed to %s of %s for trial %s: number %d, %s\n", counted(len(c.Columns), "column"), c.Dataset, c.Trial, c.Number, digest)
			return nil
		},
	}
	cmd.Flags().String("trial", "", "the trial (required)")
	cmd.Flags().StringSlice("column", nil, "a column to commit to, may be repeated (default all)")
	if err := cmd.MarkFlagRequired("trial"); err != nil {
		panic(err) // the flag was defined above
	}
	return addDir(cmd, "node")
}
