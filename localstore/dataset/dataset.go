// Package dataset holds named tables of a site, one row a person, such as a biobank's or a
// registry's, whose columns questions may name.
//
// Start from [Store]. A [Schema] says what a set holds; [Store.Replace] puts a whole set
// in the place of the one that had its name, in the caller's transaction, and
// [Store.Values] reads some columns of it. What a file says is made into rows by
// node/dataset.
//
// A value is a float64: a number, the place of a factor's level among those of the schema,
// or 0 and 1; NaN is a missing one. Values come back bit for bit, but for which NaN it is.
// Rows name persons, so whoever merges or removes persons asks [Store.Shared],
// [Store.Move] and [Store.Concerned] first, in that transaction.
package dataset

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

//go:embed migrations
var migrations embed.FS

// ErrUnknown says that there is no data set of a name.
var ErrUnknown = problem.New(problem.NotFound, "there is no data set of that name")

// Store reads and writes data sets. It is safe for concurrent use, also by several
// processes on one database.
type Store struct{}

// Open brings the tables of db up to date and returns a Store over them.
func Open(ctx context.Context, db *sqldb.DB) (*Store, error) {
	own, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	if err := sqldb.Migrate(ctx, db, "dataset", own); err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	return &Store{}, nil
}

// Set describes a data set. It says nothing of a person.
type Set struct {
	Schema Schema
	Loaded time.Time
	Rows   int64

	// Missing is how many rows had no value when the set was loaded, by column.
	Missing []int64
}

// List returns all sets by name.
func (s *Store) List(ctx context.Context, tx *sqldb.Tx) ([]Set, error) {
	list, err := sets(ctx, tx, " ORDER BY name")
	if err != nil {
		return nil, fmt.Errorf("dataset: list: %w", err)
	}
	return list, nil
}

// Set returns the set of a name, or [ErrUnknown].
func (s *Store) Set(ctx context.Context, tx *sqldb.Tx, name string) (Set, error) {
	list, err := sets(ctx, tx, " WHERE name = ?", name)
	if err != nil {
		return Set{}, fmt.Errorf("dataset: %w", err)
	}
	if len(list) == 0 {
		return Set{}, ErrUnknown
	}
	return list[0], nil
}

func sets(ctx context.Context, tx *sqldb.Tx, which string, args ...any) ([]Set, error) {
	var list []Set
	err := tx.Each(ctx, `SELECT schema, missing, loaded_at, (SELECT count(*) FROM dataset_row r WHERE r.dataset_id = d.dataset_id)
		FROM dataset d`+which, args, func(rows *sqldb.Rows) error {
		var set Set
		var schema, missing string
		if err := rows.Scan(&schema, &missing, &set.Loaded, &set.Rows); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(schema), &set.Schema); err != nil {
			return errors.New("a stored schema is damaged")
		}
		if err := json.Unmarshal([]byte(missing), &set.Missing); err != nil || len(set.Missing) != len(set.Schema.Columns) {
			return errors.New("the stored counts of missing values are damaged")
		}
		list = append(list, set)
		return nil
	})
	return list, err
}

// Drop removes a set with all of its rows, or returns [ErrUnknown].
func (s *Store) Drop(ctx context.Context, tx *sqldb.Tx, name string) error {
	if err := lock(ctx, tx); err != nil {
		return err
	}
	if err := clearRows(ctx, tx, name); err != nil {
		return fmt.Errorf("dataset: drop: %w", err)
	}
	n, err := tx.Exec(ctx, "DELETE FROM dataset WHERE name = ?", name)
	switch {
	case err != nil:
		return fmt.Errorf("dataset: drop: %w", err)
	case n == 0:
		return ErrUnknown
	}
	return nil
}

func clearRows(ctx context.Context, tx *sqldb.Tx, name string) error {
	_, err := tx.Exec(ctx, "DELETE FROM dataset_row WHERE dataset_id IN (SELECT dataset_id FROM dataset WHERE name = ?)", name)
	return err
}
