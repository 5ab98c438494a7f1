package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/node"
)

func newNodeAdoptRaw() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "adopt-raw",
		Short: "Take another raw store for the node's own",
		Long: `Have the node's database know the raw store that raw names now, though it has its copies in
another one. It is for a store that was replaced for good: a node refuses to start with
any other, as that is most often a wrong setting or a disk that is not mounted. A copy of
the whole store needs none of this. No process of the node may run. Raw copies that are
not in the store are lost to the node: trialmesh node fsck lists them, and no load of
them can be repeated.`,
		Example: `  trialmesh node adopt-raw --dir node && trialmesh node fsck --dir node`,
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := nodeConfig(cmd)
			if err != nil {
				return err
			}
			if err := node.AdoptRaw(cmd.Context(), cfg); err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, map[string]any{"adopted": true})
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "the node takes this raw store for its own from its next start on: run trialmesh node fsck")
			return err
		},
	}
	return addDir(cmd, "node")
}
