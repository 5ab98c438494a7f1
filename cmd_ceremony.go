package main

import (
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/zk/ceremony"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

const ceremonyLong = `
A transcript is a folder. It travels from party to party, on any way: nothing in it is
secret, and whoever alters it is found. Its first phase is over when all parties have
contributed and somebody ends it with a beacon, a public value that nobody knew before; the
second likewise, and then the folder has the keys that "trialmesh hub run --ceremony" uses.`

func newCeremonyCommand() *cobra.Command {
	return group("ceremony", "Make proving keys with other organizations, so that no one can forge proofs",
		newCeremonyStart(), newCeremonyContribute(), newCeremonyVerify(), newCeremonyFinish())
}

func newCeremonyStart() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Plan a ceremony for the circuits of a network",
		Long:  "Make the folder of a ceremony and sign what it is for." + ceremonyLong,
		Example: `  trialmesh ceremony start --dir transcript --name "Nordic Heart 2026" --shape 1024x16x2 --parties 3 --key operator.key
  trialmesh ceremony contribute --dir transcript --name "Karolinska" --key hospital.key`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, _ := cmd.Flags().GetString("dir")
			name, _ := cmd.Flags().GetString("name")
			parties, _ := cmd.Flags().GetInt("parties")
			list, err := ceremonyCircuits(cmd)
			if err != nil {
				return usageError{err}
			}
			key, err := signingKey(cmd)
			if err != nil {
				return err
			}
			t, err := ceremony.Start(dir, name, parties, list, key, time.Now())
			if err != nil {
				return err
			}
			return printCeremony(cmd, t)
		},
	}
	cmd.Flags().String("name", "", "what the ceremony is called (required)")
	cmd.Flags().String("shape", "1024x16x8", "sizes of the circuits: people in a shard x shards of a proof x scopes of a question")
	cmd.Flags().Bool("results", false, "with the circuits for proofs of figures, for a hub that runs with results")
	cmd.Flags().StringSlice("circuit", nil, "name of a circuit, may be repeated (default those of the shape, and enrollment)")
	cmd.Flags().Int("parties", 3, "how many different keys must contribute to each phase")
	mustGive(cmd, "name")
	return addDir(addCeremonyKey(cmd), "transcript")
}

// ceremonyCircuits returns those of --circuit, or those of --shape.
func ceremonyCircuits(cmd *cobra.Command) ([]circuits.Circuit, error) {
	names, _ := cmd.Flags().GetStringSlice("circuit")
	if len(names) == 0 {
		text, _ := cmd.Flags().GetString("shape")
		c, err := circuits.ParseCircuit("access-" + text)
		if err != nil {
			return nil, fmt.Errorf("shape %q: %w", text, err)
		}
		list := []circuits.Circuit{c.Shape().Epoch(), c, circuits.Enrollment(circuits.TreeDepth)}
		if all, _ := cmd.Flags().GetBool("results"); all {
			results := c.Shape().Results()
			list = append(list, results[:]...)
		}
		return list, nil
	}
	var list []circuits.Circuit
	for _, name := range names {
		c, err := circuits.ParseCircuit(name)
		if err != nil {
			return nil, fmt.Errorf("circuit %q: %w", name, err)
		}
		list = append(list, c)
	}
	return list, nil
}

func newCeremonyContribute() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "contribute",
		Short: "Mix secrets of your own into the keys, and forget them",
		Long: `Contribute to every part that is open and sign it. The secrets are drawn, used and
dropped; they never leave this program's memory. If all other parties cheat, what keeps
proofs honest is that yours are gone: use a machine that you trust, and switch it off
afterwards. What is interrupted goes on when the command is given again.` + ceremonyLong,
		Example: `  trialmesh ceremony contribute --dir transcript --name "Karolinska" --key hospital.key`,
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, key, err := openCeremony(cmd)
			if err != nil {
				return err
			}
			name, _ := cmd.Flags().GetString("name")
			err = t.Contribute(cmd.Context(), key, name, time.Now, func(c ceremony.Contribution) {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s: contribution %d is there\n", c.Part, c.Number)
			})
			if err != nil {
				return err
			}
			return printCeremony(cmd, t)
		},
	}
	cmd.Flags().String("name", "", "how your organization is called (required)")
	mustGive(cmd, "name")
	return addDir(addCeremonyKey(cmd), "transcript")
}

func newCeremonyVerify() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check everything that was done, and make the keys again",
		Long: `Check every contribution and signature, and of a finished ceremony make the keys anew
and compare them. It needs no key and no network; for circuits of a million constraints it
takes about an hour.` + ceremonyLong,
		Example: `  trialmesh ceremony verify --dir transcript
  trialmesh ceremony verify --dir transcript --json`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, _ := cmd.Flags().GetString("dir")
			t, err := ceremony.Open(dir)
			if err != nil {
				return err
			}
			if _, err := t.Verify(cmd.Context(), tellTo(cmd)); err != nil {
				return err
			}
			return printCeremony(cmd, t)
		},
	}
	return addDir(cmd, "transcript")
}

func newCeremonyFinish() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "finish",
		Short: "End a phase with a beacon; the second makes the keys",
		Long: `Check the phase that is open and end it. The beacon is a public value that nobody could
know when the last party contributed, for example the hash of a block of a public chain
mined since; --source says where everybody can look it up.` + ceremonyLong,
		Example: `  trialmesh ceremony finish --dir transcript --beacon 9c5a…1f --source "hash of block 24000000 of Ethereum" --key operator.key`,
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, _ := cmd.Flags().GetString("beacon")
			source, _ := cmd.Flags().GetString("source")
			value, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
			if err != nil {
				return usageError{fmt.Errorf("beacon: want hex digits")}
			}
			t, key, err := openCeremony(cmd)
			if err != nil {
				return err
			}
			if err := t.Finish(cmd.Context(), key, value, source, time.Now(), tellTo(cmd)); err != nil {
				return err
			}
			return printCeremony(cmd, t)
		},
	}
	cmd.Flags().String("beacon", "", "the value, 16 bytes or more in hex digits (required)")
	cmd.Flags().String("source", "", "where everybody can look it up (required)")
	mustGive(cmd, "beacon", "source")
	return addDir(addCeremonyKey(cmd), "transcript")
}

func openCeremony(cmd *cobra.Command) (*ceremony.Transcript, identity.Key, error) {
	key, err := signingKey(cmd)
	if err != nil {
		return nil, key, err
	}
	dir, _ := cmd.Flags().GetString("dir")
	t, err := ceremony.Open(dir)
	return t, key, err
}

// tellTo says what is done while it takes long.
func tellTo(cmd *cobra.Command) func(string) {
	return func(line string) { fmt.Fprintln(cmd.ErrOrStderr(), line) }
}

func addCeremonyKey(cmd *cobra.Command) *cobra.Command {
	addKey(cmd, "file with your signing key (required)")
	mustGive(cmd, "key")
	return cmd
}

// mustGive marks flags that were defined as required.
func mustGive(cmd *cobra.Command, flags ...string) {
	for _, flag := range flags {
		if err := cmd.MarkFlagRequired(flag); err != nil {
			panic(err) // the flag was defined by the caller
		}
	}
}

// printCeremony says where a ceremony stands and what comes next.
func printCeremony(cmd *cobra.Command, t *ceremony.Transcript) error {
	type party struct {
		Part string       `json:"part"`
		Name string       `json:"name"`
		Key  identity.DID `json:"key"`
		At   time.Time    `json:"at"`
	}
	plan := t.Plan()
	var parties []party
	for _, part := range t.Parts() {
		for _, c := range t.Contributions(part) {
			parties = append(parties, party{part, c.Statement.Name, c.By(), c.At()})
		}
	}
	open := t.OpenParts()
	if wantsJSON(cmd) {
		return printJSON(cmd, map[string]any{
			"ceremony": plan.Digest(), "name": plan.Statement.Name, "circuits": plan.Statement.Circuits, "parties": plan.Statement.Parties,
			"contributions": parties, "open": open, "finished": t.Made() != nil,
		})
	}
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "%s, ceremony %s\n", plan.Statement.Name, plan.Digest())
	for _, p := range parties {
		fmt.Fprintf(out, "  %-20s %s  %s  %s\n", p.Part, p.At.Format(time.DateTime), p.Key, p.Name)
	}
	switch {
	case t.Made() != nil:
		fmt.Fprintf(out, "finished: the keys are in %s; a hub with circuits-shape of these circuits takes --ceremony %s\n", filepath.Join(t.Dir(), ceremony.KeysFolder), t.Dir())
	case t.Ready():
		fmt.Fprintln(out, "enough parties have contributed: more may, or trialmesh ceremony finish ends the phase")
	default:
		fmt.Fprintf(out, "waits for contributions of %d different keys to each of: %v\n", plan.Statement.Parties, open)
	}
	return nil
}
