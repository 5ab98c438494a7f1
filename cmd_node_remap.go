package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/node/client"
)

func newNodeRemap() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "remap",
		Short: "Load files again that the node has kept, with today's reference data",
		Long: `Load raw copies again with the vocabulary, variables, codes and mappings of today: one
file, those whose rows others have made, or all. Each is a load of its own (see node jobs);
when it ends, rows that the earlier load made of its file and this one does not are gone.
Repeating the command goes on where it was. Files that are mapped again side by side may
come before their patients, if those have other keys now: such a load ends with problems
and is repeated by itself.`,
		Example: `  trialmesh node remap --outdated --dir node
  trialmesh node remap --file 3f5a… --dir node`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var want client.Remap
			f := cmd.Flags()
			want.File, _ = f.GetString("file")
			want.Outdated, _ = f.GetBool("outdated")
			want.All, _ = f.GetBool("all")
			given := 0
			for _, set := range []bool{want.File != "", want.Outdated, want.All} {
				if set {
					given++
				}
			}
			if given != 1 {
				return usageError{errors.New("want one of --file, --outdated and --all")}
			}
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			done, err := c.Remap(cmd.Context(), want)
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, done)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "loading %s again; see trialmesh node jobs\n", counted(done.Files, "file"))
			return err
		},
	}
	cmd.Flags().String("file", "", "digest of one file, as loads have it")
	cmd.Flags().Bool("outdated", false, "files whose rows were made with other reference data than today's")
	cmd.Flags().Bool("all", false, "all files")
	return addDir(cmd, "node")
}
