package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	desk "github.com/trialmesh/trialmesh/node/approval"
	"github.com/trialmesh/trialmesh/node/client"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

func newNodeApprovals() *cobra.Command {
	return group("approvals", "See the questions that wait for a person of the site, and decide about them",
		newNodeApprovalsList(), newNodeApprovalsShow(), newNodeApprovalsPolicy(),
		newNodeVerdict("approve", "Approve a question", true,
			`Sign that the question may pass its gate, with a reason for the site's own records, and
bring that to the running node. It holds for this question under this policy, at this
gate, and can be taken back with refuse until the node has answered the hub.`,
			`  trialmesh node approvals approve 3f9a2c01 --reason "protocol 2026-14, as agreed" --key anna.key --dir node`),
		newNodeVerdict("refuse", "Refuse a question", false,
			`Sign that the question may not pass, with a reason for the site's own records, and bring
that to the running node. A refusal stands. The researcher reads that the site refused,
and --public, if given.`,
			`  trialmesh node approvals refuse 3f9a2c01 --reason "outside the protocol" --public "please ask within protocol 2026-14" --key anna.key --dir node`))
}

func newNodeApprovalsList() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the questions that wait, newest first",
		Long:  "List the questions that wait for a person of the site, or with --all also those that were decided: at most 200.",
		Example: `  trialmesh node approvals list --dir node
  trialmesh node approvals list --all --dir node --json`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			all, _ := cmd.Flags().GetBool("all")
			list, err := c.Approvals(cmd.Context(), all)
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, map[string]any{"approvals": list})
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "approval\tquestion\tgate\tstate\tasked\tuntil\ttrial\tpersons here\tpurpose")
			for _, a := range list {
				fmt.Fprintf(w, "%.12s\t%.12s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", a.ID, a.Query, a.Gate, a.State, when(a.Asked, "-"), when(a.Until, "-"), a.Trial, a.Size, briefly(a.Purpose))
			}
			return w.Flush()
		},
	}
	cmd.Flags().Bool("all", false, "also those that were decided, or that nobody waits for any more")
	return addDir(cmd, "node")
}

func newNodeApprovalsShow() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show a question in words, and what it would touch",
		Long: `Show a question that waits: who asks it, for what, how often they asked before and whether
the same was decided before; what it is in words, which data it reads, and at the gate
before the release what would leave. Concepts have the names that the site's vocabulary
gives them. One that the researcher calls otherwise is marked with !, one that the
vocabulary does not have with ?. What stands in quotation marks is the researcher's word.

With --size the node also counts, as a band, how many persons the question would use by
the consents of now. ID is the approval's or the question's, and may be cut to its first
eight hex digits. All of this stays at the site.`,
		Example: `  trialmesh node approvals show 3f9a2c01 --dir node
  trialmesh node approvals show 3f9a2c01 --size --dir node`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			size, _ := cmd.Flags().GetBool("size")
			a, err := approvalOf(cmd, c, args[0], size)
			if err != nil {
				return err
			}
			return printApproval(cmd, a)
		},
	}
	cmd.Flags().Bool("size", false, "count how many persons it would use, as a band; up to a minute")
	return addDir(cmd, "node")
}

func newNodeApprovalsPolicy() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy [BUNDLE]",
		Short: "Check an approval policy and print its digest",
		Long: `Compile the bundle of Rego at BUNDLE, a folder or .tar.gz, as the node does when it
starts, and print the digest by which decisions name it; without BUNDLE, the default's.
With --text the rules follow. An error names the file and the line.`,
		Example: `  trialmesh node approvals policy /etc/trialmesh/approval
  trialmesh node approvals policy --text`,
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			at := ""
			if len(args) == 1 {
				at = args[0]
			}
			policy, err := desk.Load(cmd.Context(), at)
			if err != nil {
				return err
			}
			text := ""
			if with, _ := cmd.Flags().GetBool("text"); with {
				text = policy.Text()
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, struct {
					Digest message.Digest `json:"digest"`
					Text   string         `json:"text,omitempty"`
				}{policy.Digest(), text})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n%s", policy.Digest(), text)
			return err
		},
	}
	cmd.Flags().Bool("text", false, "print the rules, too")
	return cmd
}

// newNodeVerdict makes a command that signs a verdict and brings it to the node.
func newNodeVerdict(name, short string, approve bool, long, example string) *cobra.Command {
	cmd := &cobra.Command{
		Use: name + " ID", Short: short, Long: long, Example: example,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			reason, _ := cmd.Flags().GetString("reason")
			path, _ := cmd.Flags().GetString("key")
			public := ""
			if !approve {
				public, _ = cmd.Flags().GetString("public")
			}
			if err := (desk.Verdict{Approve: approve, Reason: reason, Public: public}).Validate(); err != nil {
				return usageError{err}
			}
			key, err := readKey(cmd, path)
			if err != nil {
				return err
			}
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			a, err := decide(cmd, c, key, args[0], desk.Verdict{Approve: approve, Reason: reason, Public: public})
			if err != nil {
				return err
			}
			return printApproval(cmd, a)
		},
	}
	cmd.Flags().String("reason", "", "why, for the site's own records (required)")
	cmd.Flags().String("key", "", "file with the approver's signing key (required)")
	if !approve {
		cmd.Flags().String("public", "", "a sentence for the researcher, up to 200 bytes")
	}
	for _, flag := range []string{"reason", "key"} {
		if err := cmd.MarkFlagRequired(flag); err != nil {
			panic(err) // the flags were defined above
		}
	}
	return addDir(cmd, "node")
}

// approvalOf returns the approval with an id, or the newest one of the question with it.
func approvalOf(cmd *cobra.Command, c *client.Client, id string, size bool) (client.Approval, error) {
	if len(id) >= 8 {
		list, err := c.Approvals(cmd.Context(), true)
		if err != nil {
			return client.Approval{}, err
		}
		for _, a := range list {
			if strings.HasPrefix(a.Query.String(), id) {
				id = a.ID.String()
				break
			}
		}
	}
	return c.Approval(cmd.Context(), id, size)
}

// decide signs v about the request with an id, as the node shows it, and brings it there.
func decide(cmd *cobra.Command, c *client.Client, key identity.Key, id string, v desk.Verdict) (client.Approval, error) {
	a, err := approvalOf(cmd, c, id, false)
	if err != nil {
		return a, err
	}
	status, err := c.Status(cmd.Context())
	if err != nil {
		return a, err
	}
	v.Approval, v.Node, v.Query, v.Gate, v.Policy, v.Numbers = a.ID, identity.DID(status.DID), a.Query, desk.Gate(a.Gate), a.Policy, a.Numbers
	if a.Gate == string(desk.Release) && v.Approve && len(a.Cells) == 0 {
		return a, errors.New("the node does not show what would leave; nothing was approved")
	}
	e, err := desk.Sign(key, v, time.Now(), rand.Reader)
	if err != nil {
		return a, err
	}
	after, err := c.Decide(cmd.Context(), a.ID, e)
	return after, undecided(err, a, key.DID())
}

// undecided adds to why a verdict was not taken what the node alone does not say: what
// holds instead, since when, and what to do.
func undecided(err error, a client.Approval, signer identity.DID) error {
	var p *problem.Error
	if !errors.As(err, &p) {
		return err
	}
	switch p.Rule {
	case desk.ErrApprover.Rule:
		return fmt.Errorf("%w; the key is %s: have it added to approver in the node's configuration, and the node restarted", err, signer)
	case desk.ErrOwn.Rule:
		return fmt.Errorf("%w; another of the site's approvers has to", err)
	case desk.ErrOver.Rule:
		return fmt.Errorf("%w; it waited until %s", err, when(a.Until, "-"))
	case desk.ErrApproved.Rule, desk.ErrStands.Rule, desk.ErrDecided.Rule:
		if a.Verdict != nil {
			return fmt.Errorf("%w; it was %s on %s by %s", err, a.State, when(a.Decided, "-"), a.Verdict.Issuer)
		}
	}
	return err
}
