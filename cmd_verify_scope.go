package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/hub/evidence"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

func newVerifyTrial() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trial ID",
		Short: "Check all that the ledger has about a trial",
		Long: `Check the design and approvals of the trial with the given id, its nodes and the consents they published,
who is enrolled (each person once, unidentified), its studies and schedules, and every question about it with its answer, refusals and proofs. A question
that has no result yet is listed as skipped.` + verifyLong,
		Example: `  trialmesh verify trial bp-2026 --from https://hub.example:7420 --root root.pem --trust trust.json
  trialmesh verify trial bp-2026 --from bp-2026.zip --trust trust.json --json`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			id := trial.ID(args[0])
			if !id.Valid() {
				return usageError{errTrialID}
			}
			return verifyScope(cmd, evidence.Scope{Trial: id})
		},
	}
	return addSource(cmd)
}

var errTrialID = errors.New("a trial's id is 3 to 64 lower-case letters, digits and dashes, and begins with a letter")

func newVerifyNode() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "node NODE",
		Short: "Check all that the ledger has about a node",
		Long: `Check the enrollment of NODE (a did:key), that its entries are of the time since, the consents that it
published, each list of changes and each epoch with its proofs, and its part in every answer with its
access proof.` + verifyLong,
		Example: `  trialmesh verify node did:key:z6Mk… --from https://hub.example:7420 --root root.pem --trust trust.json`,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			node, err := identity.ParseDID(args[0])
			if err != nil {
				return usageError{err}
			}
			return verifyScope(cmd, evidence.Scope{Node: node})
		},
	}
	return addSource(cmd)
}

func verifyScope(cmd *cobra.Command, scope evidence.Scope) error {
	return verify(cmd, func(ctx context.Context, source evidence.Source, trust evidence.Trust, chain string) (evidence.Report, error) {
		return evidence.Verify(ctx, source, trust, chain, scope)
	})
}

func newVerifyExport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export ID TO",
		Short: "Copy everything public about an answer, a trial or a node, to verify it offline",
		Long: `Write the ledger and the documents that ID rests on to TO, and check them. ID is a question's id or
its first eight or more hex digits, a node's did:key, or a trial's id; trial:ID names a trial whose id
is hex digits only. TO is a folder, which must be absent or empty, or a new file that ends in .zip,
which the page for browsers reads as well.` + verifyLong,
		Example: `  trialmesh verify export 3f9a…c4 evidence/ --from https://hub.example:7420 --root root.pem --trust trust.json
  trialmesh verify export bp-2026 bp-2026.zip --from https://hub.example:7420 --root root.pem --trust trust.json`,
		Args: args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return verify(cmd, func(ctx context.Context, source evidence.Source, trust evidence.Trust, _ string) (evidence.Report, error) {
				scope, err := findScope(ctx, source, trust, args[0])
				if err != nil {
					return evidence.Report{}, err
				}
				if strings.HasSuffix(args[1], ".zip") {
					return exportArchive(ctx, source, trust, scope, args[1])
				}
				return evidence.Export(ctx, source, trust, scope, args[1])
			})
		},
	}
	return addSource(cmd)
}

// findScope returns what an id names.
func findScope(ctx context.Context, source evidence.Source, trust evidence.Trust, id string) (evidence.Scope, error) {
	if node, err := identity.ParseDID(id); err == nil {
		return evidence.Scope{Node: node}, nil
	}
	name, isTrial := strings.CutPrefix(id, "trial:")
	question, err := evidence.FindQuestion(ctx, source, trust, id)
	switch {
	case !isTrial && !errors.Is(err, evidence.ErrPrefix):
		return evidence.Scope{Question: question}, err
	case trial.ID(name).Valid():
		return evidence.Scope{Trial: trial.ID(name)}, nil
	case isTrial:
		return evidence.Scope{}, usageError{errTrialID}
	}
	return evidence.Scope{}, usageError{fmt.Errorf("%w; or name a trial, or a node by its did:key", err)}
}

// exportArchive is an export into one file.
func exportArchive(ctx context.Context, source evidence.Source, trust evidence.Trust, scope evidence.Scope, path string) (report evidence.Report, err error) {
	if _, err := os.Lstat(path); err == nil {
		return report, usageError{fmt.Errorf("%s is there already: name a new file", path)}
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".evidence-*")
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	folder := filepath.Join(dir, "copy")
	if report, err = evidence.Export(ctx, source, trust, scope, folder); err != nil {
		return report, err
	}
	file, err := os.OpenFile(filepath.Join(dir, "zip"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644) //nolint:gosec // public data
	if err != nil {
		return report, err
	}
	if err := errors.Join(evidence.WriteArchive(file, os.DirFS(folder)), file.Sync(), file.Close()); err != nil {
		return report, err
	}
	return report, os.Rename(file.Name(), path)
}
