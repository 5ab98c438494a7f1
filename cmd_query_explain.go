package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/federation/report"
	"github.com/trialmesh/trialmesh/hub/client"
	desk "github.com/trialmesh/trialmesh/node/approval"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// explanation is what the numbers of an answer rest on, as the hub says it. Every number is
// over all of the sites, none is of one alone; so the links are the same for all numbers.
type explanation struct {
	Asked    ledgerLink  `json:"asked"`              // the signed question
	Answered *ledgerLink `json:"answered,omitempty"` // the result; absent while there is none

	// Rests is the question whose answer this is, where the same was asked before. All below
	// is about that.
	Rests *query.ID `json:"rests,omitempty"`

	Limits disclosure.Policy `json:"limits"`
	Sites  []siteLinks       `json:"sites"`
	Check  string            `json:"check"` // the command that checks all of it
}

// ledgerLink is an entry of the public ledger.
type ledgerLink struct {
	Entry  int64        `json:"entry"`
	Signer identity.DID `json:"signer,omitempty"` // none where it is the hub
	Check  []string     `json:"check"`            // checks of verify query that are about it
}

// siteLinks are what one site's part in the numbers rests on.
type siteLinks struct {
	Node identity.DID `json:"node"`
	Name string       `json:"name,omitempty"` // its organization, as the hub has it

	// Policy is the digest of the rules that let the question pass, zero of a node from
	// before there were any; Rules says where these can be seen.
	Policy   message.Digest `json:"policy"`
	Rules    string         `json:"rules"`
	Verdicts []verdictLink  `json:"verdicts"` // of people who approved, none if the rules decided alone

	Epoch   message.Digest `json:"epoch"`   // of the consents it answered under
	AtLeast int            `json:"atLeast"` // records that the proof has to show
	Proof   *proofLink     `json:"proof,omitempty"`
	Check   string         `json:"check"` // the command that checks the proof
}

// verdictLink is a signed approval. Whose it is, is public only where the site says so.
type verdictLink struct {
	Digest   message.Digest `json:"digest"`
	Approver identity.DID   `json:"approver,omitempty"`
}

// proofLink is the proof that consent covered every record that a site used.
type proofLink struct {
	Entry int64  `json:"entry"`
	Tx    string `json:"tx,omitempty"` // the transaction that logged it on the chain
	Block uint64 `json:"block,omitempty"`
}

// explainQuestion waits, prints a question with what its numbers rest on, and fails if
// nothing was released.
func explainQuestion(cmd *cobra.Command, c *client.Client, id, wait string, limit time.Duration, out output) error {
	q, there, err := awaitQuestion(cmd.Context(), c, id, wait, limit)
	if err != nil {
		return err
	}
	first := q
	if q.Result != nil && q.Result.Repeats != nil {
		if first, err = c.Question(cmd.Context(), q.Result.Repeats.String(), "", 0); err != nil {
			return fmt.Errorf("the question that is repeated: %w", err)
		}
	}
	standard, err := desk.Load(cmd.Context(), "")
	if err != nil {
		return err
	}
	sites := sitesOf(cmd.Context(), c)
	e := explain(q, first, standard.Digest(), sites, verifyFlags(cmd))
	if wantsJSON(cmd) {
		err = printJSON(cmd, struct {
			client.Question
			Explanation explanation `json:"explanation"`
		}{q, e})
	} else if err = out.print(cmd, q, sites); err == nil {
		err = printExplanation(cmd.OutOrStdout(), q, e, sites, time.Now())
	}
	switch {
	case err != nil:
		return err
	case !there:
		return fmt.Errorf("not there after %s; ask again with query show", limit)
	}
	return out.withheld(q)
}

// awaitQuestion returns a question when there is what is waited for, or as it is when the
// time is over.
func awaitQuestion(ctx context.Context, c *client.Client, id, wait string, limit time.Duration) (q client.Question, there bool, err error) {
	for end := time.Now().Add(limit); ; {
		if q, err = c.Question(ctx, id, wait, min(pollTime, max(time.Until(end), 0))); err != nil {
			return q, false, err
		}
		there = wait == "" || q.Result != nil && (wait == client.WaitResult || q.ProofsDone)
		if there || !time.Now().Before(end) {
			return q, there, nil
		}
	}
}

// verifyFlags are those of the verify commands that look at the same hub.
func verifyFlags(cmd *cobra.Command) string {
	hub, _ := cmd.Flags().GetString("hub")
	flags := " --from " + hub
	if root, _ := cmd.Flags().GetString("root"); root != "" {
		flags += " --root " + root
	}
	return flags + " --trust trust.json"
}

// explain says what the numbers of q rest on. first is the question whose answer q repeats,
// or q itself; standard is the digest of the default approval policy.
func explain(q, first client.Question, standard message.Digest, sites report.Sites, flags string) explanation {
	e := explanation{
		Asked: ledgerLink{Entry: q.LedgerIndex, Signer: q.Researcher, Check: []string{"question.signed", "trial.approved"}},
		Sites: []siteLinks{}, Check: "trialmesh verify query " + q.ID.String() + flags,
	}
	if q.Result == nil {
		return e
	}
	e.Answered = &ledgerLink{Entry: q.ResultIndex, Check: []string{"result.recorded", "result.nodes", "result.policy", "result.cells", "result.leave"}}
	e.Rests, e.Limits = q.Result.Repeats, q.Result.Policy
	for _, a := range q.Result.Answered {
		s := siteLinks{
			Node: a.Node, Name: sites[a.Node], Rules: "a node from before sites had rules of their own", Verdicts: []verdictLink{}, Epoch: a.Epoch, AtLeast: a.AtLeast,
			Check: "trialmesh verify proof " + first.ID.String() + " " + string(a.Node) + flags,
		}
		if a.Leave != nil {
			s.Policy = a.Leave.Policy
			s.Rules = "the site's own rules: the site shows them, and trialmesh node approvals policy BUNDLE prints their digest"
			if s.Policy == standard {
				s.Rules = "the default rules of this version: trialmesh node approvals policy --text"
			}
			for i, verdict := range a.Leave.Verdicts {
				link := verdictLink{Digest: verdict}
				if i < len(a.Leave.Approvers) {
					link.Approver = a.Leave.Approvers[i]
				}
				s.Verdicts = append(s.Verdicts, link)
			}
		}
		if i := slices.IndexFunc(first.Accesses, func(p client.Access) bool { return p.Node == a.Node }); i >= 0 {
			p := first.Accesses[i]
			s.Proof = &proofLink{Entry: p.LedgerIndex, Tx: p.Tx, Block: p.Block}
		}
		e.Sites = append(e.Sites, s)
	}
	return e
}

// printExplanation prints what the numbers rest on, or what they wait for.
func printExplanation(out io.Writer, q client.Question, e explanation, sites report.Sites, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\nWhat the numbers rest on\n")
	fmt.Fprintf(w, "request\tentry %d of the ledger, signed by %s\n", e.Asked.Entry, e.Asked.Signer)
	if e.Answered == nil {
		for _, node := range q.Waiting {
			fmt.Fprintf(w, "waits\tfor the people of %s to approve, %s after it was asked\n", sites.Name(node), now.Sub(q.Asked).Round(time.Second))
		}
		fmt.Fprintf(w, "numbers\tthere are none yet\ncheck\t%s\n", e.Check)
		return w.Flush()
	}
	fmt.Fprintf(w, "result\tentry %d of the ledger\n", e.Answered.Entry)
	if e.Rests != nil {
		fmt.Fprintf(w, "repeats\tthe answer to %s, whose proofs these are\n", e.Rests)
	}
	fmt.Fprintf(w, "limits\tcells of %d, rounded to %d, of %s at least\n", e.Limits.MinCell, e.Limits.Rounding, counted(e.Limits.MinSites, "site"))
	fmt.Fprintf(w, "numbers\t%s\n", overWords(q, len(e.Sites)))
	for _, s := range e.Sites {
		fmt.Fprintf(w, "site\t%s\n", strings.TrimPrefix(s.Name+", "+string(s.Node), ", "))
		if s.Policy.IsZero() {
			fmt.Fprintf(w, "  policy\t%s\n", s.Rules)
		} else {
			fmt.Fprintf(w, "  policy\t%s\n\t%s\n", s.Policy, s.Rules)
			if len(s.Verdicts) == 0 {
				fmt.Fprintf(w, "  approver\tnobody: the rules let it pass\n")
			}
		}
		for _, v := range s.Verdicts {
			fmt.Fprintf(w, "  verdict\t%s by %s\n", v.Digest, cmp.Or(string(v.Approver), "a person whose name stays at the site"))
		}
		fmt.Fprintf(w, "  consents\tepoch %s\n", s.Epoch)
		fmt.Fprintf(w, "  proof\t%s\n", proofWords(s))
		fmt.Fprintf(w, "  check\t%s\n", s.Check)
	}
	fmt.Fprintf(w, "check all\t%s\n\tand with --chain URL what the chain holds; trust.json is the trust document, which the hub's operator gives out\n", e.Check)
	return w.Flush()
}

// overWords says over whom the numbers are.
func overWords(q client.Question, sites int) string {
	if !q.Result.State.Released() {
		return "none was released"
	}
	text := fmt.Sprintf("each is over these %s together; the hub saw none of one site alone", counted(sites, "site"))
	if q.Result.WithheldCells > 0 || slices.ContainsFunc(q.Result.Cells, func(c query.Cell) bool { return c.SitesWithheld > 0 }) {
		text += ", and in some cells sites kept theirs back"
	}
	return text
}

// proofWords says where a site's proof is.
func proofWords(s siteLinks) string {
	if s.Proof == nil {
		return "still to come"
	}
	text := fmt.Sprintf("entry %d of the ledger, of at least %s with consent", s.Proof.Entry, counted(s.AtLeast, "record"))
	if s.Proof.Tx == "" {
		return text + ", not on a chain"
	}
	return text + fmt.Sprintf(", on the chain in block %d by transaction %s", s.Proof.Block, s.Proof.Tx)
}
