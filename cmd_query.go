package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/hub/client"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
)

func newQueryCommand() *cobra.Command {
	return group("query", "Ask questions of a network and read the answers", newQuerySubmit(), newQueryShow(), newQueryList())
}

func newQuerySubmit() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "submit QUESTION",
		Short: "Sign a question and send it to the hub",
		Long: `Sign QUESTION, a JSON file, and send it to the nodes of its trial:

  {"trial": "bp-2026", "purpose": "…",
   "cohort": { an OHDSI cohort definition, as ATLAS exports it },
   "analysis": {"kind": "count", "by": ["age-group"]}}

An analysis is a count, or moments (n, mean, standard deviation) of a variable:
{"kind": "moments", "by": ["sex"], "variable": {"concept": 3004249, "unit": "mm[Hg]",
"take": "last", "low": 50, "high": 260}}. Stratifiers are sex, age-group, race. Or it is a
regression, a formula as in R over columns that say where a person's value comes from:
{"kind": "glm", "glm": {"formula": "event ~ age + sex", "family": "binomial"}, "columns":
[{"name": "event", "from": "event", …}, {"name": "age", "from": "age"}, {"name": "sex",
"from": "sex"}]}. The guide for researchers has all of it.`,
		Example: `  trialmesh query submit question.json --key researcher.key --hub https://hub.example:7420 --root root.pem --token-file researcher.token --wait`,
		Args:    args(cobra.ExactArgs(1)),
		RunE:    submit,
	}
	cmd.Flags().String("key", "", "file with the researcher's signing key (required)")
	cmd.Flags().Duration("deadline", time.Minute, "after which the answer names who is missing, up to 24h")
	cmd.Flags().Bool("wait", false, "wait for the answer and print it")
	if err := cmd.MarkFlagRequired("key"); err != nil {
		panic(err) // the flag was defined above
	}
	return addHub(cmd)
}

// requestLife is how long nodes accept a signed question: its deadline and
// what a hub that restarts may need.
const requestLife = 24 * time.Hour

func submit(cmd *cobra.Command, args []string) error {
	var request query.Request
	if err := readJSON(cmd, args[0], &request); err != nil {
		return err
	}
	if err := request.Validate(); err != nil {
		return err
	}
	if err := analysis.Check(request.Analysis); err != nil {
		return err
	}
	path, _ := cmd.Flags().GetString("key")
	key, err := readKey(cmd, path)
	if err != nil {
		return err
	}
	e, err := message.Seal(key, query.KindRequest, request, time.Now(), requestLife, rand.Reader)
	if err != nil {
		return err
	}
	c, err := remoteHub(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	deadline, _ := cmd.Flags().GetDuration("deadline")
	id, err := c.Ask(cmd.Context(), e, deadline)
	if err != nil {
		return err
	}
	if wait, _ := cmd.Flags().GetBool("wait"); wait {
		return showUntil(cmd, c, id.String(), client.WaitResult, deadline+time.Minute)
	}
	if wantsJSON(cmd) {
		return showUntil(cmd, c, id.String(), "", 0) // with its state: an answer from before is there at once
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), id)
	return err
}

func newQueryShow() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show ID",
		Short:   "Show a question and its answer",
		Long:    "Show a question by its id, or by its first eight or more hex digits. It ends with status 1 if nothing was released.",
		Example: `  trialmesh query show 3f9a2c01 --hub https://hub.example:7420 --root root.pem --wait proofs`,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := remoteHub(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			wait, _ := cmd.Flags().GetString("wait")
			if wait != "" && wait != client.WaitResult && wait != client.WaitProofs {
				return usageError{errors.New("--wait: result or proofs")}
			}
			limit, _ := cmd.Flags().GetDuration("timeout")
			return showUntil(cmd, c, args[0], wait, limit)
		},
	}
	cmd.Flags().String("wait", "", "wait until the result, or all proofs, are there")
	cmd.Flags().Duration("timeout", 2*time.Minute, "how long to wait")
	return addHub(cmd)
}

// pollTime is the longest a single request waits at the hub, and roundTime that for a
// question whose rounds are shown as they pass.
const (
	pollTime  = 30 * time.Second
	roundTime = time.Second
)

// showUntil waits, prints the question and fails if nothing was released.
func showUntil(cmd *cobra.Command, c *client.Client, id, wait string, limit time.Duration) error {
	end := time.Now().Add(limit)
	poll, rounds := roundTime, 0
	for {
		q, err := c.Question(cmd.Context(), id, wait, min(poll, max(time.Until(end), 0)))
		if err != nil {
			return err
		}
		if !q.Request.Analysis.Kind.InRounds() {
			poll = pollTime
		} else if q.Result == nil && q.Rounds > rounds {
			rounds = q.Rounds
			fmt.Fprintf(cmd.ErrOrStderr(), "round %d\n", rounds)
		}
		there := wait == "" || q.Result != nil && (wait == client.WaitResult || q.ProofsDone)
		if !there && time.Now().Before(end) {
			continue
		}
		if err := printQuestion(cmd, q); err != nil {
			return err
		}
		switch {
		case !there:
			return fmt.Errorf("not there after %s; ask again with query show", limit)
		case q.Result != nil && q.Result.State == query.Withheld:
			return errors.New("nothing was released: " + q.Result.Reason)
		}
		return nil
	}
}

func printQuestion(cmd *cobra.Command, q client.Question) error {
	if wantsJSON(cmd) {
		return printJSON(cmd, q)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "question\t%s\ntrial\t%s\nstate\t%s\nledger\tasked in entry %d", q.ID, q.Trial, q.State, q.LedgerIndex)
	if q.ResultIndex >= 0 {
		fmt.Fprintf(w, ", answered in entry %d", q.ResultIndex)
	}
	fmt.Fprintln(w)
	for _, node := range q.Waiting {
		fmt.Fprintf(w, "waiting\t%s\tfor approval at the site, until %s\n", node.Short(), q.Deadline.Format(time.RFC3339))
	}
	if q.Result != nil {
		printResult(w, q)
	}
	for _, a := range q.Accesses {
		chain := "not on the chain yet"
		if a.Tx != "" {
			chain = fmt.Sprintf("on the chain in block %d, %d gas", a.Block, a.Gas)
		}
		fmt.Fprintf(w, "proof\t%s\tentry %d, %s\n", a.Node.Short(), a.LedgerIndex, chain)
	}
	if err := w.Flush(); err != nil || q.Result == nil || q.Result.Regression == nil {
		return err
	}
	return printRegression(cmd.OutOrStdout(), *q.Result.Regression)
}

func printResult(w io.Writer, q client.Question) {
	r := q.Result
	if r.Reason != "" {
		fmt.Fprintf(w, "reason\t%s\n", r.Reason)
	}
	if r.Repeats != nil {
		fmt.Fprintf(w, "repeats\tthe answer to %s\n", r.Repeats)
	}
	for _, n := range r.Refused {
		fmt.Fprintf(w, "refused\t%s\t%s (%s)\n", n.Node.Short(), n.Problem.Title, n.Problem.Rule)
	}
	for _, n := range r.Missing {
		fmt.Fprintf(w, "missing\t%s\tat step %s\n", n.Node.Short(), n.Step)
	}
	fmt.Fprintf(w, "nodes\t%d answered\n", len(r.Answered))
	if r.Rounds > 0 {
		fmt.Fprintf(w, "rounds\t%d\n", r.Rounds)
	}
	for _, a := range r.Answered {
		if a.Leave != nil {
			fmt.Fprintf(w, "approval\t%s\t%s\n", a.Node.Short(), leaveWords(*a.Leave))
		}
	}
	for _, c := range r.Cells {
		printCell(w, strings.Join(c.Levels, ", "), c)
	}
	if r.Total != nil && len(r.Cells) != 1 {
		printCell(w, "all released cells", *r.Total)
	}
	if r.MaxNoiseSD > 0 {
		fmt.Fprintf(w, "noise\t%s of scale %d; standard deviation of a count at most %.3g\n", r.Policy.Noise, r.Policy.NoiseScale, r.MaxNoiseSD)
	}
	if r.MaxRoundingError > 0 {
		of := "the exact ones"
		if r.MaxNoiseSD > 0 {
			of = "those with noise"
		}
		fmt.Fprintf(w, "rounding\tcounts are within %g of %s\n", r.MaxRoundingError, of)
	}
	if r.WithheldCells > 0 {
		fmt.Fprintf(w, "withheld\t%s: fewer than %d persons at a site, or a number from which such a one could be told\n", counted(r.WithheldCells, "cell"), r.Policy.MinCell)
	}
}

// leaveWords says who let a question pass at a node.
func leaveWords(a query.Leave) string {
	text := fmt.Sprintf("policy %.12s", a.Policy)
	for i, verdict := range a.Verdicts {
		text += fmt.Sprintf(", verdict %.12s", verdict)
		if i < len(a.Approvers) {
			text += " by " + a.Approvers[i].Short()
		}
	}
	if len(a.Verdicts) == 0 {
		text += ", automatic"
	}
	return text
}

func printCell(w io.Writer, name string, c query.Cell) {
	if name == "" {
		name = "all"
	}
	switch {
	case c.Withheld:
		fmt.Fprintf(w, "  %s\twithheld\n", name)
	case c.Mean != nil && c.SD != nil:
		fmt.Fprintf(w, "  %s\tn %d\tmean %.4f\tsd %.4f\n", name, c.N, *c.Mean, *c.SD)
	default:
		fmt.Fprintf(w, "  %s\t%d\n", name, c.N)
	}
}

func newQueryList() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the newest questions",
		Example: `  trialmesh query list --hub https://hub.example:7420 --root root.pem`,
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := remoteHub(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			limit, _ := cmd.Flags().GetInt("limit")
			list, err := c.Questions(cmd.Context(), limit)
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				for _, q := range list {
					if err := printJSON(cmd, q); err != nil {
						return err
					}
				}
				return nil
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "QUESTION\tASKED\tTRIAL\tANALYSIS\tSTATE")
			for _, q := range list {
				fmt.Fprintf(w, "%.12s\t%s\t%s\t%s\t%s\n", q.ID, q.Asked.Format(time.RFC3339), q.Trial, q.Request.Analysis.Kind, q.State)
			}
			return w.Flush()
		},
	}
	cmd.Flags().Int("limit", 20, fmt.Sprintf("how many, up to %d", client.MaxQuestions))
	return addHub(cmd)
}
