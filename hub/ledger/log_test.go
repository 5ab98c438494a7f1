package ledger_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/merkle/testonly"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/federation/cosign"
	"github.com/trialmesh/trialmesh/hub/ledger"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// The reference is the in-memory tree of transparency-dev/merkle, which shares no
// code with golang.org/x/mod/sumdb/tlog.
func TestTreeAgreesWithReference(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		db := openDB(t)
		reference := testonly.New(rfc6962.DefaultHasher)
		size := int64(0)
		for range rapid.IntRange(1, 5).Draw(rt, "batches") {
			batch := make([][]byte, rapid.SampledFrom([]int{0, 1, 2, 100, 255, 256, 257, 600}).Draw(rt, "batch"))
			for i := range batch {
				batch[i] = entry(size + int64(i))
			}
			write(t, db, func(tx *sqldb.Tx) {
				first, err := ledger.Append(t.Context(), tx, batch)
				require.NoError(rt, err)
				require.Equal(rt, size, first)
			})
			reference.AppendData(batch...)
			size += int64(len(batch))
		}
		write(t, db, func(tx *sqldb.Tx) {
			got, err := ledger.Size(t.Context(), tx)
			require.NoError(rt, err)
			require.Equal(rt, size, got)
			for range 10 {
				at := rapid.Int64Range(0, size).Draw(rt, "size")
				root, err := ledger.Root(t.Context(), tx, at)
				require.NoError(rt, err)
				require.Equal(rt, reference.HashAt(uint64(at)), root[:], "root at size %d", at)
				if at == 0 {
					continue
				}
				i := rapid.Int64Range(0, at-1).Draw(rt, "entry")
				inclusion, err := ledger.ProveInclusion(t.Context(), tx, i, at)
				require.NoError(rt, err)
				require.NoError(rt, proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(i), uint64(at),
					rfc6962.DefaultHasher.HashLeaf(entry(i)), raw(inclusion), root[:]))

				old := rapid.Int64Range(1, at).Draw(rt, "old")
				consistency, err := ledger.ProveConsistency(t.Context(), tx, old, at)
				require.NoError(rt, err)
				require.NoError(rt, proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(old), uint64(at),
					raw(consistency), reference.HashAt(uint64(old)), root[:]))

				body, err := ledger.Entry(t.Context(), tx, i)
				require.NoError(rt, err)
				require.Equal(rt, entry(i), body)
			}
		})
	})
}

func raw(hashes []tlog.Hash) [][]byte {
	out := make([][]byte, len(hashes))
	for i := range hashes {
		out[i] = hashes[i][:]
	}
	return out
}

// How entries are grouped into transactions must not show, or replicas that apply
// the same commands in different batches would differ.
func TestBatchesLeaveSameTables(t *testing.T) {
	t.Parallel()
	one, many := openDB(t), openDB(t)
	grow(t, one, 700)
	for _, size := range []int64{1, 2, 255, 256, 511, 513, 700} {
		grow(t, many, size)
	}
	require.Equal(t, tiles(t, one), tiles(t, many))
}

func tiles(t *testing.T, db *sqldb.DB) (all [][]byte) {
	t.Helper()
	write(t, db, func(tx *sqldb.Tx) {
		rows, err := tx.Query(t.Context(), "SELECT hashes FROM ledger_tile ORDER BY level, n")
		require.NoError(t, err)
		defer rows.Close()
		for rows.Next() {
			var hashes []byte
			require.NoError(t, rows.Scan(&hashes))
			all = append(all, hashes)
		}
		require.NoError(t, rows.Err())
	})
	return all
}

func TestAppendRefuses(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string][]byte{
		"an empty entry":          {},
		"an entry over the limit": make([]byte, ledger.MaxEntry+1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := openDB(t)
			err := db.Write(t.Context(), func(tx *sqldb.Tx) error {
				_, err := ledger.Append(t.Context(), tx, [][]byte{entry(0), bad})
				return err
			})
			require.ErrorContains(t, err, "entry 1 of 2")
			write(t, db, func(tx *sqldb.Tx) {
				size, err := ledger.Size(t.Context(), tx)
				require.NoError(t, err)
				require.Zero(t, size)
			})
		})
	}
}

func TestAppendTakesLargestEntry(t *testing.T) {
	t.Parallel()
	db := openDB(t)
	largest := bytes.Repeat([]byte{7}, ledger.MaxEntry)
	write(t, db, func(tx *sqldb.Tx) {
		_, err := ledger.Append(t.Context(), tx, [][]byte{largest})
		require.NoError(t, err)
	})
	publish(t, db)
	view, err := ledger.Open(t.Context(), ledger.NewPublished(db), trusting(t, 2))
	require.NoError(t, err)
	got, err := view.Entry(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, largest, got)
}

func TestRolledBackAppendLeavesNothing(t *testing.T) {
	t.Parallel()
	db := openDB(t)
	grow(t, db, 300)
	before := tiles(t, db)
	stop := errors.New("the command failed later on")
	require.ErrorIs(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
		if _, err := ledger.Append(t.Context(), tx, [][]byte{entry(300), entry(301)}); err != nil {
			return err
		}
		return stop
	}), stop)
	require.Equal(t, before, tiles(t, db))
	grow(t, db, 301) // and the index is free again
}

func TestOutOfRange(t *testing.T) {
	t.Parallel()
	db := openDB(t)
	grow(t, db, 5)
	write(t, db, func(tx *sqldb.Tx) {
		ctx := t.Context()
		for _, size := range []int64{-1, 6} {
			_, err := ledger.Root(ctx, tx, size)
			require.ErrorIs(t, err, ledger.ErrNotFound)
		}
		for _, i := range []int64{-1, 5} {
			_, err := ledger.Entry(ctx, tx, i)
			require.ErrorIs(t, err, ledger.ErrNotFound)
			_, err = ledger.ProveInclusion(ctx, tx, i, 5)
			require.ErrorIs(t, err, ledger.ErrNotFound)
		}
		for _, sizes := range [][2]int64{{0, 5}, {3, 2}, {3, 6}, {-1, 5}} {
			_, err := ledger.ProveConsistency(ctx, tx, sizes[0], sizes[1])
			require.ErrorIs(t, err, ledger.ErrNotFound)
		}
	})
}

// A mistake in other code of the hub must not be able to rewrite history.
func TestTablesRefuseRewriting(t *testing.T) {
	t.Parallel()
	db := openDB(t)
	grow(t, db, 3)
	for name, statement := range map[string]string{
		"update": "UPDATE ledger_entry SET body = x'00' WHERE entry_index = 1",
		"delete": "DELETE FROM ledger_entry WHERE entry_index = 2",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Error(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
				_, err := tx.Exec(t.Context(), statement)
				return err
			}))
		})
	}
}

func TestAppendStopsOnContradictingTables(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{
		"tile missing":   "DELETE FROM ledger_tile WHERE level = 0 AND n = 1",
		"tile too short": "UPDATE ledger_tile SET hashes = x'00' WHERE level = 0 AND n = 1",
		"level missing":  "DELETE FROM ledger_tile WHERE level = 1",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := openDB(t)
			grow(t, db, 300)
			write(t, db, func(tx *sqldb.Tx) {
				_, err := tx.Exec(t.Context(), statement)
				require.NoError(t, err)
			})
			err := db.Write(t.Context(), func(tx *sqldb.Tx) error {
				batch := make([][]byte, 256) // fills the tile, so that the level above is read too
				for i := range batch {
					batch[i] = entry(int64(300 + i))
				}
				_, err := ledger.Append(t.Context(), tx, batch)
				return err
			})
			require.ErrorIs(t, err, ledger.ErrInconsistent)
			write(t, db, func(tx *sqldb.Tx) {
				_, err := ledger.Root(t.Context(), tx, 300)
				require.ErrorIs(t, err, ledger.ErrInconsistent)
			})
		})
	}
}

func TestCatchUp(t *testing.T) {
	t.Parallel()
	source := openDB(t)
	grow(t, source, 5000)
	want := func() (head cosign.Checkpoint) {
		write(t, source, func(tx *sqldb.Tx) {
			var err error
			head, err = ledger.Head(t.Context(), tx, origin)
			require.NoError(t, err)
		})
		return head
	}()
	catchUp := func(db *sqldb.DB) error {
		return source.Read(t.Context(), func(from *sqldb.Tx) error {
			return db.Write(t.Context(), func(to *sqldb.Tx) error { return ledger.CatchUp(t.Context(), to, from) })
		})
	}
	for _, size := range []int64{0, 1, 256, 300, 4999, 5000} {
		db := openDB(t)
		grow(t, db, size)
		require.NoError(t, catchUp(db), "from %d", size)
		write(t, db, func(tx *sqldb.Tx) {
			head, err := ledger.Head(t.Context(), tx, origin)
			require.NoError(t, err)
			require.Equal(t, want, head)
		})
	}
	longer := openDB(t)
	grow(t, longer, 5001)
	require.ErrorIs(t, catchUp(longer), ledger.ErrMismatch)
	other := openDB(t)
	write(t, other, func(tx *sqldb.Tx) {
		_, err := ledger.Append(t.Context(), tx, [][]byte{[]byte("of another history")})
		require.NoError(t, err)
	})
	require.ErrorIs(t, catchUp(other), ledger.ErrMismatch)

	write(t, source, func(tx *sqldb.Tx) { // a bit of a tile that no proof of the beginning needs
		var hashes []byte
		require.NoError(t, tx.QueryRow(t.Context(), `SELECT hashes FROM ledger_tile WHERE level = 0 AND n = 19`).Scan(&hashes))
		hashes[3] ^= 1
		_, err := tx.Exec(t.Context(), `UPDATE ledger_tile SET hashes = ? WHERE level = 0 AND n = 19`, hashes)
		require.NoError(t, err)
	})
	require.ErrorIs(t, catchUp(openDB(t)), ledger.ErrInconsistent)
}
