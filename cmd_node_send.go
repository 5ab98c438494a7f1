package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/connectors/partner/fhirserver"
	"github.com/trialmesh/trialmesh/node"
	"github.com/trialmesh/trialmesh/node/client"
	"github.com/trialmesh/trialmesh/node/outbox"
)

// messageStates are the states that a message can be in.
var messageStates = []string{"waiting", "delivered", "failed", "cancelled"}

func newNodeSend() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "send FILE --to ENDPOINT",
		Short: "Write FHIR resources to an EHR",
		Long: `Have the running node create the resources of FILE (- for standard input) at an EHR
that the site has registered: Communication, Task, ServiceRequest, ResearchSubject and
ResearchStudy, as FHIR R4 JSON: one, one a line, or a Bundle of type collection. All
are kept when the command ends, or none, and are sent until the EHR has them: once,
whatever breaks on the way. Sending the same again changes nothing, but sends what
failed or was cancelled anew.`,
		Example: `  trialmesh node send notice.json --to ehr --dir node
  trialmesh node send - --to ehr --wait --json --dir node < notices.ndjson`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			to, _ := cmd.Flags().GetString("to")
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			text, err := readInput(cmd, args[0])
			if err != nil {
				return err
			}
			sent, err := c.Send(cmd.Context(), to, bytes.NewReader(text))
			if err != nil {
				return err
			}
			wait, _ := cmd.Flags().GetBool("wait")
			for i := 0; wait && i < len(sent); i++ {
				said := ""
				if sent[i], err = c.WatchMessage(cmd.Context(), sent[i].ID, func(m client.Message) {
					if m.Error != said {
						newProgress(cmd, 0).say("message " + m.ID + ": " + printable(m.Error))
						said = m.Error
					}
				}); err != nil {
					if cmd.Context().Err() != nil {
						err = errors.New("no longer waiting; the node goes on sending: see trialmesh node sent")
					}
					return err
				}
			}
			if err := printMessages(cmd, sent); err != nil || !wait {
				return err
			}
			if n := len(slices.DeleteFunc(sent, func(m client.Message) bool { return m.State == "delivered" })); n > 0 {
				return fmt.Errorf("%d of the messages were not delivered", n)
			}
			return nil
		},
	}
	cmd.Flags().String("to", "", "the endpoint, by its name (required)")
	cmd.Flags().Bool("wait", false, "wait until the EHR has them, or refuses one")
	if err := cmd.MarkFlagRequired("to"); err != nil {
		panic(err) // the flag was defined two lines above
	}
	return addDir(cmd, "node")
}

func newNodeSent() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sent",
		Short: "List, retry and cancel what is written to EHRs",
		Long: `List the newest messages to EHRs. One that waits is sent again by itself; one that
failed was refused by the EHR, or waited for it for too long, and can be sent again once
the cause is gone.`,
		Example: `  trialmesh node sent --dir node
  trialmesh node sent --state failed --dir node
  trialmesh node sent retry 17 --dir node`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			limit, _ := cmd.Flags().GetInt("limit")
			if limit < 1 || limit > 1000 {
				return usageError{errors.New("--limit: 1 to 1000")}
			}
			state, _ := cmd.Flags().GetString("state")
			if state != "" && !slices.Contains(messageStates, state) {
				return usageError{errors.New("--state: " + strings.Join(messageStates, ", "))}
			}
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			list, err := c.Messages(cmd.Context(), limit, state)
			if err != nil {
				return err
			}
			return printMessages(cmd, list)
		},
	}
	cmd.Flags().Int("limit", 20, "how many messages to list, 1 to 1000")
	cmd.Flags().String("state", "", "list only messages in this state: "+strings.Join(messageStates, ", "))
	cmd.AddCommand(newNodeSentAct("show", "Show what became of a message", `Show a message without its content.`, (*client.Client).Message),
		newNodeSentAct("retry", "Send a message that failed again, or one that waits now", `Send a message again whose cause of failure is gone, or do not wait any longer.`, (*client.Client).RetryMessage),
		newNodeSentAct("cancel", "Cancel a message that the EHR does not have", `Cancel a message. One that is just being sent may arrive all the same.`, (*client.Client).CancelMessage))
	return addDir(cmd, "node")
}

// newNodeSentAct makes a command that does one thing with one message.
func newNodeSentAct(name, short, long string, do func(*client.Client, context.Context, string) (client.Message, error)) *cobra.Command {
	return addDir(&cobra.Command{
		Use: name + " MESSAGE", Short: short, Long: long,
		Example: "  trialmesh node sent " + name + " 17 --dir node",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			m, err := do(c, cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, m)
			}
			return printMessages(cmd, []client.Message{m})
		},
	}, "node")
}

func printMessages(cmd *cobra.Command, list []client.Message) error {
	if wantsJSON(cmd) {
		return printJSON(cmd, map[string]any{"messages": list})
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	var wrong remarks
	fmt.Fprintln(w, "message\tto\ttype\tstate\tasked\tattempts\tat the EHR")
	for _, m := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", m.ID, m.Endpoint, m.Type, m.State, m.Asked.Local().Format(time.DateTime), m.Attempts, cmp.Or(m.Reference, "-"))
		wrong.add("message "+m.ID, m.Error)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return wrong.print(cmd.OutOrStdout())
}

func newNodeEndpoint() *cobra.Command {
	return group("endpoint", "Register EHRs that the node may write to", newNodeEndpointKey(), newNodeEndpointList())
}

func newNodeEndpointKey() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key NAME",
		Short: "Make the key of an endpoint and print what to register at the EHR",
		Long: `Make the key pair with which the node proves to an EHR who it is (SMART Backend
Services), in the file endpoints/NAME.key of the node's directory, and print the public
half as a JSON Web Key Set. Register that at the EHR; it gives a client id, which goes
into endpoints/NAME.yaml as client. A key that is there is kept and its public half
printed again. The node need not be running.`,
		Example: `  trialmesh node endpoint key ehr --dir node > ehr.jwks.json
  trialmesh node endpoint key ehr --dir node --algorithm RS384`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, _ := cmd.Flags().GetString("dir")
			return printKey(cmd, func(algorithm string) (fhirserver.Key, bool, error) {
				key, isNew, err := outbox.MakeKey(node.EndpointsDir(dir), args[0], algorithm)
				if errors.Is(err, outbox.ErrName) {
					err = usageError{err}
				}
				return key, isNew, err
			})
		},
	}
	cmd.Flags().String("algorithm", fhirserver.ES384, "what the key is for, ES384 or RS384")
	return addDir(cmd, "node")
}

func newNodeEndpointList() *cobra.Command {
	return addDir(&cobra.Command{
		Use:   "list",
		Short: "List the EHRs that the running node may write to",
		Long: `List the endpoints, which are the files NAME.yaml in the folder endpoints of the
node's directory, with what is wrong with the settings of one.`,
		Example: `  trialmesh node endpoint list --dir node`,
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			list, err := c.Endpoints(cmd.Context())
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, map[string]any{"endpoints": list})
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			var wrong remarks
			fmt.Fprintln(w, "endpoint\tserver\ttypes")
			for _, e := range list {
				fmt.Fprintf(w, "%s\t%s\t%s\n", e.Name, cmp.Or(printable(e.URL), "-"), cmp.Or(strings.Join(e.Types, ", "), "-"))
				wrong.add("endpoint "+e.Name, e.Error)
			}
			if err := w.Flush(); err != nil {
				return err
			}
			return wrong.print(cmd.OutOrStdout())
		},
	}, "node")
}
