package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/hub/client"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
)

func newQueryCommand() *cobra.Command {
	cmd := group("query", "Ask questions of a network and read the answers", newQuerySubmit(), newQueryShow(), newQueryList(), newQueryCancel(),
		newQuerySchedules(), newQuerySchedule())
	for _, kind := range query.Kinds() {
		cmd.AddCommand(newQueryKind(kind))
	}
	return cmd
}

func newQuerySubmit() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "submit QUESTION",
		Short: "Sign a question and send it to the hub",
		Long: `Sign QUESTION, a JSON or YAML file, and send it to the nodes of its trial:

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
		Example: `  trialmesh query submit question.json --key researcher.key --hub https://hub.example:7420 --root root.pem --token-file researcher.token --wait
  trialmesh query submit urgent.json --priority high --key researcher.key --hub https://hub.example:7420 --root root.pem --token-file researcher.token`,
		Args: args(cobra.ExactArgs(1)),
		RunE: submit,
	}
	addAsking(cmd, false)
	for _, name := range []string{"key", "hub"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // the flag was defined above
		}
	}
	return cmd
}

// addAsking adds the flags of commands that ask a question.
func addAsking(cmd *cobra.Command, wait bool) {
	addKey(cmd, "file with the researcher's signing key (required)")
	cmd.Flags().Duration("deadline", time.Minute, "after which the answer names who is missing, up to 336h, 14 days")
	cmd.Flags().String("priority", string(query.Normal), "among your own questions: low, normal or high")
	cmd.Flags().Bool("wait", wait, "wait for the answer and print it")
	addHubFlags(cmd)
	addOutput(cmd)
}

// requestLife is how long nodes accept a signed question beyond its deadline: what a hub
// that restarts may need.
const requestLife = 24 * time.Hour

func submit(cmd *cobra.Command, args []string) error {
	var request query.Request
	if err := readValue(cmd, args[0], &request); err != nil {
		return err
	}
	return ask(cmd, request)
}

// ask signs a question, sends it and shows the answer, as the flags of addAsking say.
func ask(cmd *cobra.Command, request query.Request) error {
	if err := check(request); err != nil {
		return err
	}
	wait, _ := cmd.Flags().GetBool("wait")
	if !wait && (cmd.Flags().Changed("out") || cmd.Flags().Changed("format")) {
		return usageError{errors.New("--out and --format are for the answer: give --wait")}
	}
	out, err := readOutput(cmd)
	if err != nil {
		return err
	}
	first, err := priority(cmd)
	if err != nil {
		return err
	}
	key, err := signingKey(cmd)
	if err != nil {
		return err
	}
	deadline, _ := cmd.Flags().GetDuration("deadline")
	e, err := message.Seal(key, query.KindRequest, request, time.Now(), max(deadline, 0)+requestLife, rand.Reader)
	if err != nil {
		return err
	}
	c, err := remoteHub(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	id, err := c.Queue(cmd.Context(), e, deadline, first)
	switch {
	case err != nil:
		return fmt.Errorf("ask trial %s: %w", request.Trial, err)
	case wait:
		return showUntil(cmd, c, id.String(), client.WaitResult, deadline+time.Minute, out)
	case wantsJSON(cmd):
		return showUntil(cmd, c, id.String(), "", 0, out) // with its state: an answer from before is there at once
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), id)
	return err
}

// check reports what is wrong with a question before anybody is asked.
func check(request query.Request) error {
	if err := request.Validate(); err != nil {
		return err
	}
	return analysis.Check(request.Analysis)
}

// priority returns the one that --priority names.
func priority(cmd *cobra.Command) (query.Priority, error) {
	text, _ := cmd.Flags().GetString("priority")
	if p := query.Priority(text); p.Known() && p != "" {
		return p, nil
	}
	return "", usageError{errors.New("--priority: low, normal or high")}
}

func newQueryShow() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show a question and its answer",
		Long: `Show a question by its id, or by its first eight or more hex digits. It ends with status 1
if nothing was released.

With --explain it says what the numbers rest on: the question on the ledger, the limits,
and for each site the rules and the people that let it pass and the proof of consent, with
the command that checks each of them. The hub says so: what it says holds if these pass.`,
		Example: `  trialmesh query show 3f9a2c01 --hub https://hub.example:7420 --root root.pem --wait proofs
  trialmesh query show 3f9a2c01 --explain --hub https://hub.example:7420 --root root.pem
  trialmesh query show 3f9a2c01 --hub https://hub.example:7420 --root root.pem --out survival.png`,
		Args: args(cobra.ExactArgs(1)),
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
			out, err := readOutput(cmd)
			if err != nil {
				return err
			}
			if explain, _ := cmd.Flags().GetBool("explain"); explain {
				return explainQuestion(cmd, c, args[0], wait, limit, out)
			}
			return showUntil(cmd, c, args[0], wait, limit, out)
		},
	}
	cmd.Flags().String("wait", "", "wait until the result, or all proofs, are there")
	cmd.Flags().Bool("explain", false, "print what the numbers rest on, and the command that checks each")
	cmd.Flags().Duration("timeout", 2*time.Minute, "how long to wait")
	return addHub(addOutput(cmd))
}

func newQueryList() *cobra.Command {
	return newHubList("list", "List the newest questions", "query list", "QUESTION\tASKED\tTRIAL\tANALYSIS\tSTATE", client.MaxQuestions, (*client.Client).Questions,
		func(q client.Question) string {
			return fmt.Sprintf("%.12s\t%s\t%s\t%s\t%s", q.ID, q.Asked.Format(time.RFC3339), q.Trial, q.Request.Analysis.Kind, q.State)
		})
}
