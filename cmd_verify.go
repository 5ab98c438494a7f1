package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/hub/client"
	"github.com/trialmesh/trialmesh/hub/evidence"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

func newVerifyCommand() *cobra.Command {
	return group("verify", "Check a ledger, an answer or a proof from public data alone",
		newVerifyLedger(), newVerifyQuery(), newVerifyProof(), newVerifyTrial(), newVerifyConsent(), newVerifyReceipt(), newVerifyReceipts(), newVerifyFork(), newVerifyExport())
}

const verifyLong = `
--from is the URL of a hub, or a folder made by trialmesh verify export. --trust is
the trust document, got on another way than the data. With --policy, a C2SP tlog-policy
file, the ledger must be countersigned by its quorum. With --seen, a checkpoint that
somebody else was shown, it must have all of that one too; if it does not, --fork names
the file for the evidence. With --chain, what the chain holds is checked too. Each check
is one line; the command ends with status 1 if any failed.`

func newVerifyLedger() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ledger",
		Short: "Check the whole public ledger",
		Long:  "Check the ledger's signature, its tree over every entry, and the documents it names." + verifyLong,
		Example: `  trialmesh verify ledger --from https://hub.example:7420 --root root.pem --trust trust.json
  trialmesh verify ledger --from evidence/ --trust trust.json
  trialmesh verify ledger --from https://hub.example:7420 --root root.pem --trust trust.json --policy policy.txt --seen colleague/checkpoint --fork fork.json`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return verify(cmd, func(ctx context.Context, source evidence.Source, trust evidence.Trust, chain string) (evidence.Report, error) {
				return evidence.VerifyLedger(ctx, source, trust, chain)
			})
		},
	}
	return addSource(cmd)
}

func newVerifyQuery() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "query ID",
		Short: "Check an answer: who asked, who approved, whose consent covered it",
		Long: `Check the question with the given id, or its first eight or more hex digits: signatures, approval, order
on the ledger, and each node's proof that consent covered every record it used.` + verifyLong,
		Example: `  trialmesh verify query 3f9a…c4 --from https://hub.example:7420 --root root.pem --trust trust.json --chain https://rpc.example`,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return verifyQuestion(cmd, args[0], evidence.VerifyQuery)
		},
	}
	return addSource(cmd)
}

func newVerifyProof() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "proof ID NODE",
		Short:   "Check one node's access proof of an answer",
		Long:    "Check the proof by which NODE (a did:key) shows that consent covered what it used for question ID." + verifyLong,
		Example: `  trialmesh verify proof 3f9a…c4 did:key:z6Mk… --from evidence/ --trust trust.json`,
		Args:    args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			node, err := identity.ParseDID(args[1])
			if err != nil {
				return usageError{err}
			}
			return verifyQuestion(cmd, args[0], func(ctx context.Context, source evidence.Source, trust evidence.Trust, chain string, id query.ID) (evidence.Report, error) {
				return evidence.VerifyProof(ctx, source, trust, chain, id, node)
			})
		},
	}
	return addSource(cmd)
}

func newVerifyTrial() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trial ID",
		Short: "Check who is enrolled in a trial: each person once, unidentified",
		Long: `Check every enrollment in trial ID: the proof that somebody with a consent in force enrolled, under the
consents of all sites as they stood on the ledger; that nobody is enrolled twice; and that one key told
people apart. It counts people and names none.` + verifyLong,
		Example: `  trialmesh verify trial glucose-1 --from https://hub.example:7420 --root root.pem --trust trust.json`,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			id := trial.ID(args[0])
			if !id.Valid() {
				return usageError{errors.New("a trial's id has 3 to 64 lower-case letters, digits and dashes")}
			}
			return verify(cmd, func(ctx context.Context, source evidence.Source, trust evidence.Trust, _ string) (evidence.Report, error) {
				return evidence.VerifyTrial(ctx, source, trust, id)
			})
		},
	}
	return addSource(cmd)
}

func newVerifyConsent() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "consent",
		Short: "Follow a participant's own consent on the ledger",
		Long: `Check, with the receipt that a node gave to a participant, that the node published what
they signed and nothing else, what is in force now, and which answers were drawn while
it was. The receipt stays on this machine: what is read from the hub is the same
for every participant of the trial at that node.

--from is the URL of a hub: what verify export writes for one question has not all changes of
consents. --trust is the trust document, got on another way than the data. Each check is one
line; the command ends with status 1 if any failed.`,
		Example: `  trialmesh verify consent --receipt receipt.json --from https://hub.example:7420 --root root.pem --trust trust.json`,
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			raw, err := readInput(cmd, path)
			if err != nil {
				return err
			}
			var receipt consent.Receipt
			if err := decodeJSON(raw, &receipt); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			return verify(cmd, func(ctx context.Context, source evidence.Source, trust evidence.Trust, _ string) (evidence.Report, error) {
				return evidence.VerifyConsent(ctx, source, trust, receipt)
			})
		},
	}
	cmd.Flags().StringVar(&path, "receipt", "", "file that trialmesh node consent receipt printed, - for standard input (required)")
	if err := cmd.MarkFlagRequired("receipt"); err != nil {
		panic(err) // the flag was defined above
	}
	return addSource(cmd)
}

func newVerifyReceipts() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "receipts ID FOLDER",
		Short: "Get the receipts of a question and its result",
		Long: `Write question.tlog-proof and, once there is a result, result.tlog-proof of question ID into FOLDER,
which is made if need be. Each proves by itself that the entry is in the ledger (C2SP tlog-proof, with
the entry as extra data); trialmesh verify receipt checks one. With --policy a receipt is one that its
quorum has countersigned.`,
		Example: `  trialmesh verify receipts 3f9a…c4 receipts/ --from https://hub.example:7420 --root root.pem --trust trust.json`,
		Args:    args(cobra.ExactArgs(2)),
		RunE:    getReceipts,
	}
	return addSource(cmd)
}

func getReceipts(cmd *cobra.Command, args []string) error {
	trust, err := readTrust(cmd)
	if err != nil {
		return err
	}
	source, closeSource, err := openSource(cmd)
	if err != nil {
		return err
	}
	defer closeSource()
	id, err := evidence.FindQuestion(cmd.Context(), source, trust, args[0])
	if errors.Is(err, evidence.ErrPrefix) {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	files, err := evidence.Receipts(cmd.Context(), source, trust, id)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(args[1], 0o755); err != nil { //nolint:gosec // public data
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := os.WriteFile(filepath.Join(args[1], name), files[name], 0o644); err != nil { //nolint:gosec // public data
			return err
		}
		fmt.Fprintln(cmd.ErrOrStderr(), filepath.Join(args[1], name))
	}
	return nil
}

func newVerifyReceipt() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "receipt FILE",
		Short: "Check a receipt: that its entry is in the ledger",
		Long: `Check FILE, a C2SP tlog-proof as verify receipts writes it: the path from its entry to the root, the
signature of the ledger and, with --policy, the cosignatures. It needs nothing else than the trust
document, got on another way.`,
		Example: `  trialmesh verify receipt result.tlog-proof --trust trust.json --policy policy.txt`,
		Args:    args(cobra.ExactArgs(1)),
		RunE:    verifyFile(evidence.VerifyReceipt),
	}
	return addTrust(cmd)
}

// verifyFile checks a file that needs no source.
func verifyFile(check func([]byte, evidence.Trust) (evidence.Report, error)) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		raw, err := readInput(cmd, args[0])
		if err != nil {
			return err
		}
		trust, err := readTrust(cmd)
		if err != nil {
			return err
		}
		report, err := check(raw, trust)
		if err != nil {
			return err
		}
		return printChecks(cmd, report)
	}
}

func newVerifyFork() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fork FILE",
		Short: "Check the evidence that a ledger has two histories",
		Long: `Check FILE, the evidence that a node keeps in its folder ledger or that verify ledger --seen
wrote: two checkpoints, signed by the ledger's key, that cannot both be true. It needs nothing
else than the trust document, got on another way, and ends with status 1 if it shows nothing.`,
		Example: `  trialmesh verify fork fork.json --trust trust.json`,
		Args:    args(cobra.ExactArgs(1)),
		RunE:    verifyFile(evidence.VerifyFork),
	}
	return addTrust(cmd)
}

func newVerifyExport() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "export ID FOLDER",
		Short:   "Copy everything public about an answer, to verify it offline",
		Long:    "Write the ledger and the documents that question ID rests on into FOLDER, which must be absent or empty, and check them." + verifyLong,
		Example: `  trialmesh verify export 3f9a…c4 evidence/ --from https://hub.example:7420 --root root.pem --trust trust.json`,
		Args:    args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return verifyQuestion(cmd, args[0], func(ctx context.Context, source evidence.Source, trust evidence.Trust, _ string, id query.ID) (evidence.Report, error) {
				return evidence.Export(ctx, source, trust, id, args[1])
			})
		},
	}
	return addSource(cmd)
}

// addSource adds the flags that say what to verify against what.
func addSource(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().String("from", "", "URL of a hub, or a folder made by verify export (required)")
	addRoot(cmd)
	cmd.Flags().String("chain", "", "http(s) URL of the chain's JSON-RPC endpoint")
	cmd.Flags().StringSlice("seen", nil, "file with a signed checkpoint that the ledger must have, may be repeated")
	cmd.Flags().String("fork", "", "file for the evidence if the ledger contradicts one of --seen")
	if err := cmd.MarkFlagRequired("from"); err != nil {
		panic(err) // the flag was defined above
	}
	return addTrust(cmd)
}

// addTrust adds the flags that say whose word counts.
func addTrust(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().String("trust", "", "file with the trust document (required)")
	cmd.Flags().String("policy", "", "C2SP tlog-policy file: who must have countersigned the ledger")
	if err := cmd.MarkFlagRequired("trust"); err != nil {
		panic(err) // the flag was defined above
	}
	return cmd
}

// readTrust reads what --trust, --policy and --seen name.
func readTrust(cmd *cobra.Command) (evidence.Trust, error) {
	path, _ := cmd.Flags().GetString("trust")
	raw, err := readInput(cmd, path)
	if err != nil {
		return evidence.Trust{}, err
	}
	trust, err := evidence.ParseTrust(raw)
	if err != nil {
		return trust, fmt.Errorf("%s: %w", path, err)
	}
	policy, _ := cmd.Flags().GetString("policy")
	if trust.Cosigners, err = readPolicy(policy); err != nil {
		return trust, err
	}
	seen, _ := cmd.Flags().GetStringSlice("seen") // none of verify fork
	for _, path := range seen {
		if raw, err = readInput(cmd, path); err != nil {
			return trust, err
		}
		trust.Seen = append(trust.Seen, raw)
	}
	return trust, trust.Validate()
}

type verification func(ctx context.Context, source evidence.Source, trust evidence.Trust, chain string) (evidence.Report, error)

// verifyQuestion runs a verification of the question whose id begins with prefix.
func verifyQuestion(cmd *cobra.Command, prefix string,
	check func(ctx context.Context, source evidence.Source, trust evidence.Trust, chain string, id query.ID) (evidence.Report, error),
) error {
	return verify(cmd, func(ctx context.Context, source evidence.Source, trust evidence.Trust, chain string) (evidence.Report, error) {
		id, err := evidence.FindQuestion(ctx, source, trust, prefix)
		if errors.Is(err, evidence.ErrPrefix) {
			return evidence.Report{}, usageError{err}
		}
		if err != nil {
			return evidence.Report{}, err
		}
		return check(ctx, source, trust, chain, id)
	})
}

// verify runs a verification and prints its checks.
func verify(cmd *cobra.Command, check verification) error {
	trust, err := readTrust(cmd)
	if err != nil {
		return err
	}
	source, closeSource, err := openSource(cmd)
	if err != nil {
		return err
	}
	defer closeSource()
	chain, _ := cmd.Flags().GetString("chain")
	report, err := check(cmd.Context(), source, trust, chain)
	if err != nil {
		return err
	}
	if path, _ := cmd.Flags().GetString("fork"); path != "" && report.Fork != nil {
		if err := os.WriteFile(path, report.Fork, 0o644); err != nil { //nolint:gosec // public evidence
			return err
		}
	}
	return printChecks(cmd, report)
}

// printChecks prints the checks and fails if one did.
func printChecks(cmd *cobra.Command, report evidence.Report) error {
	failed := report.Failed()
	if wantsJSON(cmd) {
		if err := printJSON(cmd, report); err != nil {
			return err
		}
	} else {
		for _, c := range report.Checks {
			fmt.Fprintln(cmd.OutOrStdout(), c)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%d checks, %d failed\n", len(report.Checks), len(failed))
	}
	if len(failed) > 0 {
		return fmt.Errorf("verification failed: %s %s", failed[0].Name, failed[0].Subject)
	}
	return nil
}

// openSource opens what --from names.
func openSource(cmd *cobra.Command) (evidence.Source, func(), error) {
	from, _ := cmd.Flags().GetString("from")
	if !strings.HasPrefix(from, "https://") {
		info, err := os.Stat(from)
		if err != nil {
			return nil, nil, err
		}
		if !info.IsDir() {
			return nil, nil, usageError{errors.New("--from: an https URL or a folder")}
		}
		return evidence.NewDir(os.DirFS(from)), func() {}, nil
	}
	cfg := client.Config{URL: from}
	if root, _ := cmd.Flags().GetString("root"); root != "" {
		var err error
		if cfg.Root, err = readInput(cmd, root); err != nil {
			return nil, nil, err
		}
	}
	c, err := client.New(cfg)
	if err != nil {
		return nil, nil, usageError{err}
	}
	source, err := evidence.NewRemote(c.Origin(), c.HTTP())
	return source, c.Close, err
}
