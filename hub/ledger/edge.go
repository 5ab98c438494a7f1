//go:build !js

package ledger

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// edge is the right edge of the tree while entries are appended: the last tile
// of each level, read when first needed and written once at the end or when full.
type edge struct {
	tx    *sqldb.Tx
	size  int64 // entries before this append
	tiles []edgeTile
}

type edgeTile struct {
	n      int64
	hashes []byte
}

// push adds a hash to the end of a level; a tile that it fills is written and its
// hash pushed to the level above.
func (e *edge) push(ctx context.Context, level int, h Hash) error {
	if level == len(e.tiles) {
		t, err := e.load(ctx, level)
		if err != nil {
			return err
		}
		e.tiles = append(e.tiles, t)
	}
	t := &e.tiles[level]
	t.hashes = append(t.hashes, h[:]...)
	if len(t.hashes) < tileWidth*tlog.HashSize {
		return nil
	}
	if err := writeTile(ctx, e.tx, level, *t); err != nil {
		return err
	}
	hashes, err := hashesOf(t.hashes, tileWidth)
	if err != nil {
		return err
	}
	*t = edgeTile{n: t.n + 1}
	return e.push(ctx, level+1, fold(hashes))
}

// load reads the last tile of a level as it was before this append.
func (e *edge) load(ctx context.Context, level int) (edgeTile, error) {
	n := e.size >> (level * tileHeight) >> tileHeight
	width := widthIn(e.size, level, n)
	t := edgeTile{n: n, hashes: make([]byte, 0, tileWidth*tlog.HashSize)}
	stored, err := readTile(ctx, e.tx, level, n)
	switch {
	case errors.Is(err, ErrNotFound) && width == 0:
		return t, nil
	case err != nil && !errors.Is(err, ErrNotFound):
		return edgeTile{}, err
	case len(stored) != width*tlog.HashSize:
		return edgeTile{}, fmt.Errorf("ledger: tile %d of level %d: %d bytes for %d entries: %w", n, level, len(stored), e.size, ErrInconsistent)
	}
	t.hashes = append(t.hashes, stored...)
	return t, nil
}

// flush writes the tiles that are not full.
func (e *edge) flush(ctx context.Context) error {
	for level, t := range e.tiles {
		if len(t.hashes) == 0 {
			continue
		}
		if err := writeTile(ctx, e.tx, level, t); err != nil {
			return err
		}
	}
	return nil
}

func writeTile(ctx context.Context, tx *sqldb.Tx, level int, t edgeTile) error {
	_, err := tx.Exec(ctx, `INSERT INTO ledger_tile (level, n, hashes) VALUES (?, ?, ?)
		ON CONFLICT (level, n) DO UPDATE SET hashes = excluded.hashes`, level, t.n, t.hashes)
	if err != nil {
		return fmt.Errorf("ledger: write tile %d of level %d: %w", t.n, level, err)
	}
	return nil
}

// readTile returns the hashes that a tile has so far, or ErrNotFound.
func readTile(ctx context.Context, tx *sqldb.Tx, level int, n int64) ([]byte, error) {
	var hashes []byte
	err := tx.QueryRow(ctx, "SELECT hashes FROM ledger_tile WHERE level = ? AND n = ?", level, n).Scan(&hashes)
	if errors.Is(err, sqldb.ErrNoRows) {
		return nil, fmt.Errorf("ledger: tile %d of level %d: %w", n, level, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("ledger: tile %d of level %d: %w", n, level, err)
	}
	return hashes, nil
}

// hashReader returns any hash of the tree from the stored tiles, each read once.
// The tiles are this replica's own and are not checked again.
func hashReader(ctx context.Context, tx *sqldb.Tx) tlog.HashReader {
	type place struct {
		level int
		n     int64
	}
	read := make(map[place][]byte)
	return tlog.HashReaderFunc(func(indexes []int64) ([]Hash, error) {
		hashes := make([]Hash, len(indexes))
		for i, index := range indexes {
			t := tlog.TileForIndex(tileHeight, index)
			data, ok := read[place{t.L, t.N}]
			if !ok {
				var err error
				if data, err = readTile(ctx, tx, t.L, t.N); err != nil {
					return nil, fmt.Errorf("%w: %w", ErrInconsistent, err)
				}
				read[place{t.L, t.N}] = data
			}
			h, err := tlog.HashFromTile(t, data, index)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrInconsistent, err)
			}
			hashes[i] = h
		}
		return hashes, nil
	})
}
