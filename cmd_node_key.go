package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/node"
	"github.com/trialmesh/trialmesh/node/fsck"
)

func newNodeKey() *cobra.Command {
	return group("key", "Change the key that raw copies are encrypted with", newNodeKeyRotate(), newNodeKeyReencrypt())
}

func newNodeKeyRotate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Give the raw copies of the node a new key",
		Long: `Add a new key to raw.key, with which raw copies are encrypted from the next start of the
node on. The node must not run. Older keys stay in the file and older copies are read
with them; node key reencrypt encrypts those anew. Back raw.key up again afterwards:
an older copy of it does not open what comes now.`,
		Example: `  trialmesh node key rotate --dir node`,
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := nodeConfig(cmd)
			if err != nil {
				return err
			}
			return node.RotateRawKey(cmd.Context(), cfg)
		},
	}
	return addDir(cmd, "node")
}

func newNodeKeyReencrypt() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reencrypt",
		Short: "Encrypt all raw copies of the node with its newest key",
		Long: `Encrypt every raw copy that has an older key with the newest one, and the tokens of makers
of wearables, so that an older copy of raw.key no longer opens them. The node must not run. Each copy is replaced when
its new form is on disk and has the same content; a command that was broken off is
called again and goes on. Copies that cannot be read stay as they are and end it with
status 1: see node fsck.`,
		Example: `  trialmesh node key rotate --dir node && trialmesh node key reencrypt --dir node`,
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := nodeConfig(cmd)
			if err != nil {
				return err
			}
			m := newMeter(cmd)
			n, err := node.ReencryptRaw(cmd.Context(), cfg, func(n raw.Reencrypted) {
				m.show(fsck.Progress{Doing: "raw copies", Done: n.Files + n.Before + n.Damaged})
			})
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				err = printJSON(cmd, n)
			} else {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d raw copies encrypted anew, %d had the newest key before\n", n.Files, n.Before)
			}
			if err == nil && n.Damaged > 0 {
				err = fmt.Errorf("%d raw copies cannot be read and are as they were: see trialmesh node fsck", n.Damaged)
			}
			return err
		},
	}
	return addDir(cmd, "node")
}
