package sqldb_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

func TestCopiedTablesAreTheSame(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	from := migrated(t, sqltest.Postgres(t))
	require.NoError(t, from.Write(ctx, func(tx *sqldb.Tx) error {
		for _, statement := range []string{
			"CREATE TABLE kind (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, twice BIGINT GENERATED ALWAYS AS (2 * x) STORED, x BIGINT, \"odd name\" TEXT)",
			"CREATE UNLOGGED TABLE passing (x BIGINT)", "INSERT INTO kind (x, \"odd name\") VALUES (7, E'a\\tb\\\\\\nc'), (8, NULL)",
		} {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, "INSERT INTO note (id, body, at, day, x, raw) VALUES (1, 'ö', ?, ?, 0.1, ?), (2, NULL, NULL, NULL, 'NaN', NULL)",
			time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC), sqldb.Day(2026, time.May, 4), []byte{0, 1, 255})
		return err
	}))
	copies := map[string]*bytes.Buffer{}
	var tables []sqldb.Table
	var sequences []sqldb.Sequence
	require.NoError(t, from.Snapshot(ctx, func(tx *sqldb.Tx, list []sqldb.Table) (err error) {
		require.NoError(t, from.Write(ctx, func(tx *sqldb.Tx) error { return insertNote(ctx, tx, 3) }), "it holds up no writer")
		tables = list
		for _, table := range list {
			copies[table.Name] = new(bytes.Buffer)
			if _, err := tx.CopyOut(ctx, table, copies[table.Name]); err != nil {
				return err
			}
		}
		sequences, err = tx.Sequences(ctx)
		return err
	}))
	require.Equal(t, []string{"kind", "note", "schema_version_note"}, []string{tables[0].Name, tables[1].Name, tables[2].Name})
	require.Equal(t, []string{"id", "x", "odd name"}, tables[0].Columns)
	require.Equal(t, 2, strings.Count(copies["note"].String(), "\n"), "what was committed later is not in the snapshot")
	require.Contains(t, sequences, sqldb.Sequence{Name: "kind_id_seq", Last: 2})

	to := migrated(t, sqltest.Postgres(t))
	require.NoError(t, to.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, "CREATE TABLE kind (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, twice BIGINT GENERATED ALWAYS AS (2 * x) STORED, x BIGINT, \"odd name\" TEXT)")
		if err != nil {
			return err
		}
		require.NoError(t, insertNote(ctx, tx, 99), "goes")
		for _, table := range tables {
			if _, err := tx.CopyIn(ctx, table, bytes.NewReader(copies[table.Name].Bytes())); err != nil {
				return err
			}
		}
		for _, s := range sequences {
			if err := tx.SetSequence(ctx, s); err != nil {
				return err
			}
		}
		return nil
	}))
	require.NoError(t, to.Write(ctx, func(tx *sqldb.Tx) error {
		for _, table := range tables {
			var again bytes.Buffer
			n, err := tx.CopyOut(ctx, table, &again)
			require.NoError(t, err)
			require.EqualValues(t, strings.Count(again.String(), "\n"), n)
			require.Equal(t, copies[table.Name].String(), again.String(), table.Name)
		}
		var id int64
		require.NoError(t, tx.QueryRow(ctx, "INSERT INTO kind (x) VALUES (1) RETURNING id").Scan(&id))
		require.EqualValues(t, 3, id)
		return nil
	}))
}

func TestACopyThatFailsSaysWhy(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db := migrated(t, sqltest.Postgres(t))
	note := sqldb.Table{Name: "note", Columns: []string{"id", "body"}}
	broken := errors.New("the archive ends here")
	require.ErrorIs(t, db.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.CopyIn(ctx, note, io.MultiReader(strings.NewReader("1\tb\n"), iotest.ErrReader(broken)))
		return err
	}), broken)
	err := db.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.CopyIn(ctx, note, strings.NewReader("a-value\tb\n"))
		return err
	})
	require.ErrorContains(t, err, "copy note")
	require.NotContains(t, err.Error(), "a-value")
	require.Zero(t, countNotes(t, db))
}

// TestASnapshotKeepsItsTables: a table that another process puts in the place of one
// of the snapshot would be empty in it.
func TestASnapshotKeepsItsTables(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	dsn := sqltest.PostgresDSN(t)
	db := migrated(t, sqltest.Open(t, dsn))
	other, err := sqldb.Open(ctx, sqldb.Config{DSN: dsn, LockWait: time.Millisecond})
	require.NoError(t, err)
	defer other.Close()
	replace := func() error {
		return other.Write(ctx, func(tx *sqldb.Tx) error {
			_, err := tx.Exec(ctx, "ALTER TABLE note RENAME TO gone")
			return err
		})
	}
	require.NoError(t, db.Snapshot(ctx, func(*sqldb.Tx, []sqldb.Table) error {
		require.ErrorIs(t, replace(), sqldb.ErrLocked)
		return nil
	}))
	require.NoError(t, replace())
	require.Error(t, migrated(t, sqltest.SQLite(t)).Snapshot(ctx, nil), "SQLite has DB.Backup")
}
