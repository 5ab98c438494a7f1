//go:build !js

package ledger

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"iter"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/trialmesh/trialmesh/federation/cosign"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Migrations holds the tables of the log, for sqldb.Migrate with the component
// name "ledger". They are for SQLite: a hub replica has no other store.
//
//go:embed sqlite/*.sql
var Migrations embed.FS

// ErrInconsistent reports tables that contradict each other. The replica must
// stop: nothing it could append or sign would be right.
var ErrInconsistent = errors.New("tables of the ledger contradict each other")

// InclusionProof is an RFC 6962 audit path, from the leaf's sibling upwards.
type InclusionProof = tlog.RecordProof

// ConsistencyProof is an RFC 6962 consistency proof.
type ConsistencyProof = tlog.TreeProof

// Append adds entries to the end of the log and returns the index of the first.
// Each has 1 to [MaxEntry] bytes. The log is unchanged unless tx commits; after
// an error the caller rolls back.
func Append(ctx context.Context, tx *sqldb.Tx, entries [][]byte) (int64, error) {
	first, err := Size(ctx, tx)
	if err != nil {
		return 0, err
	}
	for i, entry := range entries {
		if len(entry) == 0 || len(entry) > MaxEntry {
			return 0, fmt.Errorf("ledger: append entry %d of %d: %d bytes, want 1 to %d", i, len(entries), len(entry), MaxEntry)
		}
	}
	edge := edge{tx: tx, size: first}
	for _, entry := range entries {
		if err := edge.push(ctx, 0, tlog.RecordHash(entry)); err != nil {
			return 0, err
		}
	}
	if err := edge.flush(ctx); err != nil {
		return 0, err
	}
	if _, err := tx.Insert(ctx, "ledger_entry", []string{"entry_index", "body"}, rows(first, entries)); err != nil {
		return 0, fmt.Errorf("ledger: append %d entries at %d: %w", len(entries), first, err)
	}
	return first, nil
}

func rows(first int64, entries [][]byte) iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		for i, entry := range entries {
			if !yield([]any{first + int64(i), entry}) {
				return
			}
		}
	}
}

// Size returns the number of entries, 0 for a new log.
func Size(ctx context.Context, tx *sqldb.Tx) (int64, error) {
	var size int64
	err := tx.QueryRow(ctx, "SELECT coalesce(max(entry_index), -1) + 1 FROM ledger_entry").Scan(&size)
	if err != nil {
		return 0, fmt.Errorf("ledger: size: %w", err)
	}
	return size, nil
}

// Root returns the root hash over the first size entries, 0 <= size <= [Size].
func Root(ctx context.Context, tx *sqldb.Tx, size int64) (Hash, error) {
	if err := covers(ctx, tx, size); err != nil {
		return Hash{}, err
	}
	root, err := tlog.TreeHash(size, hashReader(ctx, tx))
	if err != nil {
		return Hash{}, fmt.Errorf("ledger: root at size %d: %w", size, err)
	}
	return root, nil
}

// Head returns the unsigned checkpoint of the whole log as it is now.
func Head(ctx context.Context, tx *sqldb.Tx, origin string) (cosign.Checkpoint, error) {
	size, err := Size(ctx, tx)
	if err != nil {
		return cosign.Checkpoint{}, err
	}
	root, err := Root(ctx, tx, size)
	if err != nil {
		return cosign.Checkpoint{}, err
	}
	return cosign.Checkpoint{Origin: origin, Size: size, Root: root}, nil
}

// Entry returns entry i. It fails with [ErrNotFound] if the log has no such entry.
func Entry(ctx context.Context, tx *sqldb.Tx, i int64) ([]byte, error) {
	var body []byte
	err := tx.QueryRow(ctx, "SELECT body FROM ledger_entry WHERE entry_index = ?", i).Scan(&body)
	if errors.Is(err, sqldb.ErrNoRows) {
		return nil, fmt.Errorf("ledger: entry %d: %w", i, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("ledger: entry %d: %w", i, err)
	}
	return body, nil
}

// ProveInclusion returns the proof that the log of the given size holds its entry
// i, 0 <= i < size <= [Size].
func ProveInclusion(ctx context.Context, tx *sqldb.Tx, i, size int64) (InclusionProof, error) {
	if err := covers(ctx, tx, size); err != nil {
		return nil, err
	}
	if i < 0 || i >= size {
		return nil, fmt.Errorf("ledger: prove entry %d of %d: %w", i, size, ErrNotFound)
	}
	proof, err := tlog.ProveRecord(size, i, hashReader(ctx, tx))
	if err != nil {
		return nil, fmt.Errorf("ledger: prove entry %d of %d: %w", i, size, err)
	}
	return proof, nil
}

// ProveConsistency returns the proof that the log of the larger size begins with
// the log of the smaller size, 1 <= smaller <= larger <= [Size].
func ProveConsistency(ctx context.Context, tx *sqldb.Tx, smaller, larger int64) (ConsistencyProof, error) {
	if err := covers(ctx, tx, larger); err != nil {
		return nil, err
	}
	if smaller < 1 || smaller > larger {
		return nil, fmt.Errorf("ledger: prove size %d from %d: %w", larger, smaller, ErrNotFound)
	}
	proof, err := tlog.ProveTree(larger, smaller, hashReader(ctx, tx))
	if err != nil {
		return nil, fmt.Errorf("ledger: prove size %d from %d: %w", larger, smaller, err)
	}
	return proof, nil
}

// covers fails with ErrNotFound unless the log has at least size entries.
func covers(ctx context.Context, tx *sqldb.Tx, size int64) error {
	have, err := Size(ctx, tx)
	if err != nil {
		return err
	}
	if size < 0 || size > have {
		return fmt.Errorf("ledger: size %d of a log of %d: %w", size, have, ErrNotFound)
	}
	return nil
}
