package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func newNodeIndex() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "index",
		Short: "Say how the index stands from which questions are answered, or make it anew",
		Long: `Say how the running node's event index stands. The node makes it from its database, keeps
it current after loads and makes it anew by itself when it is damaged or of another
database, so --rebuild is hardly ever needed. It is not part of a backup.`,
		Example: `  trialmesh node index --dir node
  trialmesh node index --rebuild --dir node`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			rebuild, _ := cmd.Flags().GetBool("rebuild")
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			if rebuild {
				if _, err := c.RebuildIndex(cmd.Context()); err != nil {
					return err
				}
			}
			status, err := c.Status(cmd.Context())
			switch {
			case err != nil:
				return err
			case status.Index == nil:
				return errors.New("this process has no event index: ask the node itself")
			case wantsJSON(cmd):
				return printJSON(cmd, status.Index)
			case rebuild:
				fmt.Fprintln(cmd.OutOrStdout(), "the node makes its event index anew; questions wait for it")
				return nil
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s, %s, %d bytes\n", status.Index.Phase, counted(status.Index.Segments, "segment"), status.Index.Bytes)
			return err
		},
	}
	cmd.Flags().Bool("rebuild", false, "make it anew, in the background")
	return addDir(cmd, "node")
}
