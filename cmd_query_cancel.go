package main

import (
	"crypto/rand"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// cancelLife is how long the hub takes a signed cancellation.
const cancelLife = time.Hour

func newQueryCancel() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cancel ID",
		Short: "Cancel an open question",
		Long: `Sign that an open question is cancelled, as the researcher who asked it or as the sponsor
of its trial, and send that to the hub. The hospitals stop work on it, and its result says
that it was cancelled, and by whom. A question that was answered before cannot be cancelled.
ID may be cut to its first eight hex digits.`,
		Example: `  trialmesh query cancel 3f9a2c01 --reason "asked of the wrong trial" --key researcher.key --hub https://hub.example:7420 --root root.pem --token-file researcher.token`,
		Args:    args(cobra.ExactArgs(1)),
		RunE:    cancelQuery,
	}
	return addCancel(cmd)
}

func cancelQuery(cmd *cobra.Command, args []string) error {
	key, err := signingKey(cmd)
	if err != nil {
		return err
	}
	c, err := remoteHub(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	q, err := c.Question(cmd.Context(), args[0], "", 0)
	if err != nil {
		return err
	}
	reason, _ := cmd.Flags().GetString("reason")
	e, err := message.Seal(key, query.KindCancellation, query.Cancellation{Query: q.ID, Reason: reason}, time.Now(), cancelLife, rand.Reader)
	if err != nil {
		return err
	}
	changed, err := c.Cancel(cmd.Context(), q.ID, e)
	if err != nil {
		return err
	}
	return sayCancelled(cmd, "query", q.ID.String(), changed)
}
