//go:build !js

package ledger

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/trialmesh/trialmesh/federation/cosign"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// ErrMismatch reports a checkpoint that is well signed but not of this log: it is
// longer, or has another root. The key signs for two logs, or this replica is wrong.
var ErrMismatch = errors.New("checkpoint does not describe this log")

// AddCheckpoint stores a signed checkpoint and so publishes the entries it covers.
// It is checked against trust and against the tree. Signatures of keys that trust
// does not name are dropped; those of an earlier call for the same size are kept,
// so cosignatures may arrive one by one.
//
// It fails with [cosign.ErrUntrusted] or [ErrMismatch] and then stores nothing.
func AddCheckpoint(ctx context.Context, tx *sqldb.Tx, trust cosign.Trust, signed []byte) (cosign.Signed, error) {
	s, opened, err := trust.OpenNote(signed)
	if err != nil {
		return cosign.Signed{}, err
	}
	root, err := Root(ctx, tx, s.Size)
	if errors.Is(err, ErrNotFound) {
		return cosign.Signed{}, fmt.Errorf("ledger: add checkpoint: %w: %w", ErrMismatch, err)
	}
	if err != nil {
		return cosign.Signed{}, err
	}
	if root != s.Root {
		return cosign.Signed{}, fmt.Errorf("ledger: add checkpoint of size %d: %w: its root is %s, the log's %s", s.Size, ErrMismatch, s.Root, root)
	}
	kept, err := signaturesAt(ctx, tx, s.Size)
	if err != nil {
		return cosign.Signed{}, err
	}
	for _, sig := range kept {
		if !holds(opened.Sigs, sig) {
			opened.Sigs = append(opened.Sigs, sig)
		}
	}
	s.Note, err = note.Sign(&note.Note{Text: opened.Text, Sigs: opened.Sigs})
	if err != nil {
		return cosign.Signed{}, fmt.Errorf("ledger: add checkpoint of size %d: %w", s.Size, err)
	}
	_, err = tx.Exec(ctx, `INSERT INTO ledger_checkpoint (size, note) VALUES (?, ?)
		ON CONFLICT (size) DO UPDATE SET note = excluded.note`, s.Size, s.Note)
	if err != nil {
		return cosign.Signed{}, fmt.Errorf("ledger: add checkpoint of size %d: %w", s.Size, err)
	}
	return s, nil
}

// signaturesAt returns the signatures stored for a size, none if there is no
// checkpoint of that size.
func signaturesAt(ctx context.Context, tx *sqldb.Tx, size int64) ([]note.Signature, error) {
	var stored []byte
	err := tx.QueryRow(ctx, "SELECT note FROM ledger_checkpoint WHERE size = ?", size).Scan(&stored)
	if errors.Is(err, sqldb.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ledger: checkpoint of size %d: %w", size, err)
	}
	var unverified *note.UnverifiedNoteError
	if _, err := note.Open(stored, nil); !errors.As(err, &unverified) {
		return nil, fmt.Errorf("ledger: checkpoint of size %d: %w: %w", size, ErrInconsistent, err)
	}
	return unverified.Note.UnverifiedSigs, nil
}

func holds(sigs []note.Signature, sig note.Signature) bool {
	for _, s := range sigs {
		if s.Name == sig.Name && s.Hash == sig.Hash {
			return true
		}
	}
	return false
}

// Latest returns the signed checkpoint of the largest published size, or
// [ErrNotFound] if none was published.
func Latest(ctx context.Context, tx *sqldb.Tx) ([]byte, error) {
	var signed []byte
	err := tx.QueryRow(ctx, "SELECT note FROM ledger_checkpoint ORDER BY size DESC LIMIT 1").Scan(&signed)
	if errors.Is(err, sqldb.ErrNoRows) {
		return nil, fmt.Errorf("ledger: checkpoint: %w", ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("ledger: checkpoint: %w", err)
	}
	return signed, nil
}

// Published is the public face of the log in a database: what its latest
// checkpoint covers, and no more.
type Published struct {
	db *sqldb.DB
}

// NewPublished returns the public face of the log in db.
func NewPublished(db *sqldb.DB) Published { return Published{db} }

// Read implements [Source]. It serves partial tiles of every size up to the
// published one.
func (p Published) Read(ctx context.Context, path string) ([]byte, error) {
	var data []byte
	err := p.db.Read(ctx, func(tx *sqldb.Tx) error {
		signed, err := Latest(ctx, tx)
		if err != nil {
			return err
		}
		if path == checkpointPath {
			data = signed
			return nil
		}
		t, err := parseTilePath(path)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrNotFound, err)
		}
		c, err := cosign.Claim(signed)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrInconsistent, err)
		}
		if widthIn(c.Size, t.L, t.N) < t.W {
			return fmt.Errorf("ledger: %s: %w", path, ErrNotFound)
		}
		data, err = readPublished(ctx, tx, t)
		return err
	})
	if err != nil {
		return nil, err
	}
	return data, nil
}

// readPublished returns a tile or bundle that the tables must hold.
func readPublished(ctx context.Context, tx *sqldb.Tx, t tlog.Tile) ([]byte, error) {
	if t.L == bundleLevel {
		return readBundle(ctx, tx, t)
	}
	hashes, err := readTile(ctx, tx, t.L, t.N)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInconsistent, err)
	}
	if len(hashes) < t.W*tlog.HashSize {
		return nil, fmt.Errorf("ledger: %s: %w: %d bytes stored", tilePath(t), ErrInconsistent, len(hashes))
	}
	return hashes[:t.W*tlog.HashSize], nil
}

func readBundle(ctx context.Context, tx *sqldb.Tx, t tlog.Tile) ([]byte, error) {
	first := t.N * tileWidth
	rows, err := tx.Query(ctx, "SELECT body FROM ledger_entry WHERE entry_index >= ? AND entry_index < ? ORDER BY entry_index",
		first, first+int64(t.W))
	if err != nil {
		return nil, fmt.Errorf("ledger: %s: %w", tilePath(t), err)
	}
	defer rows.Close()
	var bundle []byte
	count := 0
	for rows.Next() {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			return nil, fmt.Errorf("ledger: %s: %w", tilePath(t), err)
		}
		bundle = appendEntry(bundle, body)
		count++
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("ledger: %s: %w", tilePath(t), err)
	}
	if count != t.W {
		return nil, fmt.Errorf("ledger: %s: %w: %d of %d entries", tilePath(t), ErrInconsistent, count, t.W)
	}
	return bundle, nil
}
