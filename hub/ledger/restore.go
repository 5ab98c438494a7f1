//go:build !js

package ledger

import (
	"context"
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Tables are the tables that [CatchUp] brings up to date: whoever replaces a state
// leaves them to it.
var Tables = []string{"ledger_entry", "ledger_tile"}

// copied is how many entries CatchUp holds in memory.
const copied = 4096

// CatchUp appends to the log in to what the log in from has more. Nothing is taken
// over unseen: to must be the beginning of from, its tiles are computed from the entries,
// and its root at the end must be that of from. It fails with [ErrMismatch] if they are
// two histories, and with [ErrInconsistent] if the entries of from do not lead to
// its own tiles.
func CatchUp(ctx context.Context, to, from *sqldb.Tx) error {
	have, err := Size(ctx, to)
	if err != nil {
		return err
	}
	ours, err := Root(ctx, to, have)
	if err != nil {
		return err
	}
	head, err := Head(ctx, from, "")
	if err != nil {
		return err
	}
	if have > head.Size {
		return fmt.Errorf("ledger: catch up with %d entries from %d: %w", head.Size, have, ErrMismatch)
	}
	theirs, err := Root(ctx, from, have)
	if err != nil {
		return err
	}
	if theirs != ours {
		return fmt.Errorf("ledger: catch up from size %d: %w: root %s, here %s", have, ErrMismatch, theirs, ours)
	}
	for at := have; at < head.Size; at += copied {
		entries, err := entriesOf(ctx, from, at, min(at+copied, head.Size))
		if err != nil {
			return err
		}
		if _, err := Append(ctx, to, entries); err != nil {
			return err
		}
	}
	root, err := Root(ctx, to, head.Size)
	if err == nil && root != head.Root {
		err = fmt.Errorf("ledger: catch up with size %d: the entries lead to another root than the tiles: %w", head.Size, ErrInconsistent)
	}
	return err
}

// entriesOf returns the entries from first up to, not including, end.
func entriesOf(ctx context.Context, tx *sqldb.Tx, first, end int64) ([][]byte, error) {
	rows, err := tx.Query(ctx, "SELECT body FROM ledger_entry WHERE entry_index >= ? AND entry_index < ? ORDER BY entry_index", first, end)
	if err != nil {
		return nil, fmt.Errorf("ledger: entries %d to %d: %w", first, end, err)
	}
	defer rows.Close()
	var entries [][]byte
	for rows.Next() {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			return nil, fmt.Errorf("ledger: entries %d to %d: %w", first, end, err)
		}
		entries = append(entries, slices.Clone(body))
	}
	return entries, rows.Err()
}
