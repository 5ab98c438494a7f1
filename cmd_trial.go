package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/hub/client"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/spelling"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

func newTrialCommand() *cobra.Command {
	return group("trial", "Design, approve and register trials", newTrialSign(), newTrialApprove(), newTrialRegister())
}

func newTrialSign() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sign DESIGN",
		Short: "Sign a trial's design as its sponsor",
		Long: `Sign DESIGN, a JSON or YAML file:

  {"id": "bp-2026", "title": "…", "nodes": ["did:key:…", …], "researchers": ["did:key:…"],
   "analyses": ["count", "moments"], "opens": "2026-01-01T00:00:00Z", "closes": "2027-01-01T00:00:00Z",
   "disclosure": {"minCell": 11, "rounding": 5, "minSites": 3, "maxShare": 90, "minDifference": 11, "maxQuestions": 100}}

The disclosure rules may only be stricter than a node's own; leave them out or
at 0 to take the nodes'. Analyses are the kinds that may be asked:
` + indented(kindList()),
		Example: `  trialmesh trial sign design.json --key sponsor.key --out design.signed`,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			var design trial.Design
			if err := readValue(cmd, args[0], &design); err != nil {
				return err
			}
			if err := design.Validate(); err != nil {
				return err
			}
			for _, kind := range design.Analyses {
				if !query.AnalysisKind(kind).Known() {
					return fmt.Errorf("%s: analyses: %q is unknown%s; known are %s", args[0], kind, spelling.Hint(kind, query.Kinds()...), strings.ReplaceAll(kindList(), "\n", " "))
				}
			}
			return sign(cmd, trial.KindDesign, design, 366*24*time.Hour)
		},
	}
	return addSigning(cmd)
}

// kindList are the kinds of analysis, a few to a line.
func kindList() string {
	var b strings.Builder
	for i, kind := range query.Kinds() {
		switch {
		case i > 0 && i%6 == 0:
			b.WriteString(",\n")
		case i > 0:
			b.WriteString(", ")
		}
		b.WriteString(string(kind))
	}
	return b.String()
}

func newTrialApprove() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "approve DESIGN.SIGNED",
		Short: "Approve a signed design as an ethics board",
		Long: `Sign an approval of exactly this signed design. The board should have read it:
nodes that trust the board answer the trial's questions from now on, until the
approval expires.`,
		Example: `  trialmesh trial approve design.signed --key board.key --statement "approved, meeting of 12 March" --for 8760h --out approval.signed`,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := readEnvelope(cmd, args[0])
			if err != nil {
				return err
			}
			design, err := message.Replay[trial.Design](e, trial.KindDesign)
			if err != nil {
				return err
			}
			statement, _ := cmd.Flags().GetString("statement")
			life, _ := cmd.Flags().GetDuration("for")
			return sign(cmd, trial.KindApproval, trial.Approval{Trial: design.ID, Design: e.Digest(), Statement: statement}, life)
		},
	}
	cmd.Flags().String("statement", "", "what was decided, in words (required)")
	addLife(cmd, "for", 366*24*time.Hour, "how long the approval holds")
	if err := cmd.MarkFlagRequired("statement"); err != nil {
		panic(err) // the flag was defined above
	}
	return addSigning(cmd)
}

func newTrialRegister() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "register DESIGN.SIGNED APPROVAL.SIGNED…",
		Short: "Register an approved trial at the hub, or renew its approvals",
		Long: `Register an approved trial at the hub. With the same design again, each approval
that lasts longer takes the place of its board's. Another design needs a trial of
its own.`,
		Example: `  trialmesh trial register design.signed approval.signed --hub https://hub.example:7420 --root root.pem --token-file sponsor.token`,
		Args:    args(cobra.MinimumNArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := remoteHub(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			var r trial.Registration
			if r.Design, err = readEnvelope(cmd, args[0]); err != nil {
				return err
			}
			for _, path := range args[1:] {
				approval, err := readEnvelope(cmd, path)
				if err != nil {
					return err
				}
				r.Approvals = append(r.Approvals, approval)
			}
			design, err := r.Open() // what is wrong is said here, before anything is sent
			if err != nil {
				return err
			}
			return register(cmd, c, design.ID, r)
		},
	}
	return addHub(cmd)
}

// approval is a board's approval that is in force at the hub.
type approval struct {
	Board   identity.DID `json:"board"`
	Expires time.Time    `json:"expires"`
}

// register registers a trial and prints what the hub has of it from now on.
func register(cmd *cobra.Command, c *client.Client, id trial.ID, r trial.Registration) error {
	_, err := c.Trial(cmd.Context(), id)
	known := err == nil
	if p := new(problem.Error); err != nil && (!errors.As(err, &p) || p.Kind != problem.NotFound) {
		return err
	}
	changed, err := c.RegisterTrial(cmd.Context(), r)
	if err != nil {
		return err
	}
	if r, err = c.Trial(cmd.Context(), id); err != nil {
		return err
	}
	var approvals []approval
	for _, e := range r.Approvals {
		approvals = append(approvals, approval{e.Issuer, e.Expires})
	}
	if wantsJSON(cmd) {
		return printJSON(cmd, map[string]any{"trial": id, "approvals": approvals, "renewed": known && changed, "existed": known && !changed})
	}
	done := "registered %s\n"
	switch {
	case known && changed:
		done = "renewed the approvals of %s\n"
	case known:
		done = "%s is registered already; nothing was renewed\n"
	}
	fmt.Fprintf(cmd.OutOrStdout(), done, id)
	for _, a := range approvals {
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "approved by %s until %s\n", a.Board, a.Expires.UTC().Format(time.RFC3339)); err != nil {
			return err
		}
	}
	return nil
}

// addSigning adds the flags of commands that sign.
func addSigning(cmd *cobra.Command) *cobra.Command {
	addKey(cmd, "file with the signing key (required)")
	cmd.Flags().String("out", "-", "file for the signed envelope, - for standard output")
	if err := cmd.MarkFlagRequired("key"); err != nil {
		panic(err) // the flag was defined above
	}
	return cmd
}

// sign seals a body with the key of --key and writes it to --out.
func sign(cmd *cobra.Command, kind message.Kind, body any, life time.Duration) error {
	key, err := signingKey(cmd)
	if err != nil {
		return err
	}
	e, err := message.Seal(key, kind, body, time.Now(), life, rand.Reader)
	if err != nil {
		return err
	}
	raw, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return err
	}
	out, _ := cmd.Flags().GetString("out")
	return writeOutput(cmd, out, append(raw, '\n'), 0o644)
}

func readEnvelope(cmd *cobra.Command, path string) (message.Envelope, error) {
	raw, err := readInput(cmd, path)
	if err != nil {
		return message.Envelope{}, err
	}
	e, err := message.Parse(raw)
	if err != nil {
		return message.Envelope{}, fmt.Errorf("%s: %w", path, err)
	}
	return e, nil
}

// addHub adds the flags by which a hub elsewhere is reached.
func addHub(cmd *cobra.Command) *cobra.Command {
	addHubFlags(cmd)
	if err := cmd.MarkFlagRequired("hub"); err != nil {
		panic(err) // the flag was defined above
	}
	return cmd
}

// addHubFlags is addHub for a command that can do without a hub.
func addHubFlags(cmd *cobra.Command) {
	cmd.Flags().String("hub", "", "URL of the hub, https://host:port, or those of its replicas with commas between them (required)")
	addRoot(cmd)
	cmd.Flags().String("token-file", "", "file with a bearer token")
	fromEnvironment(cmd, "hub")
	fromEnvironment(cmd, "token-file")
}

// addRoot adds the flag for who signs the hub's certificate.
func addRoot(cmd *cobra.Command) {
	cmd.Flags().String("root", "", "file with the hub's root certificate (default the system's roots)")
	fromEnvironment(cmd, "root")
}

// addKey adds the flag for the key that a person signs with.
func addKey(cmd *cobra.Command, usage string) {
	cmd.Flags().String("key", "", usage)
	fromEnvironment(cmd, "key")
}

// signingKey reads the key that the flag of addKey names.
func signingKey(cmd *cobra.Command) (identity.Key, error) {
	path, _ := cmd.Flags().GetString("key")
	key, err := readKey(cmd, path)
	if err != nil {
		return key, fmt.Errorf("--key: %w", err)
	}
	return key, nil
}

// remoteHub returns a client for the flags of addHub.
func remoteHub(cmd *cobra.Command) (*client.Client, error) {
	var cfg client.Config
	cfg.URL, _ = cmd.Flags().GetString("hub")
	root, _ := cmd.Flags().GetString("root")
	token, _ := cmd.Flags().GetString("token-file")
	var err error
	if root != "" {
		if cfg.Root, err = readInput(cmd, root); err != nil {
			return nil, fmt.Errorf("--root: %w", err)
		}
	}
	if token != "" {
		if cfg.Token, err = readSecret(cmd, token); err != nil {
			return nil, fmt.Errorf("--token-file: %w", err)
		}
	}
	c, err := client.New(cfg)
	if err != nil {
		return nil, usageError{err}
	}
	return c, nil
}
