package series

import (
	"context"
	"errors"
	"fmt"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// SourceID names a source inside one store. 0 is none.
type SourceID int32

// Source returns the number of the source with that name, giving it one if there
// is none. A name is a kind of device, an interface or a file format, for example
// "fitbit"; it is nothing that identifies a person. Callers may remember the
// number once tx is committed.
func (s *Store) Source(ctx context.Context, tx *sqldb.Tx, name string) (SourceID, error) {
	if name == "" {
		return 0, errors.New("series: source without a name")
	}
	var id SourceID
	err := tx.QueryRow(ctx, "SELECT source_id FROM series_source WHERE name = ?", name).Scan(&id)
	if errors.Is(err, sqldb.ErrNoRows) {
		err = tx.QueryRow(ctx, `INSERT INTO series_source (name) VALUES (?)
			ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING source_id`, name).Scan(&id)
	}
	if err != nil {
		return 0, fmt.Errorf("series: source %s: %w", name, err)
	}
	return id, nil
}

// Sources returns the names of all sources.
func (s *Store) Sources(ctx context.Context, tx *sqldb.Tx) (map[SourceID]string, error) {
	all := map[SourceID]string{}
	err := tx.Each(ctx, "SELECT source_id, name FROM series_source", nil, func(rows *sqldb.Rows) error {
		var id SourceID
		var name string
		err := rows.Scan(&id, &name)
		all[id] = name
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("series: sources: %w", err)
	}
	return all, nil
}
