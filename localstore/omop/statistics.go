package omop

import (
	"context"
	"fmt"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// minPages is the size in pages of 8 KiB from which on statistics matter.
const minPages = 64

// Refresh takes PostgreSQL's statistics of the tables that have grown by more than a tenth
// since it last did. Autovacuum comes minutes after a large load; until then questions are
// planned as if the tables were all but empty, and take many times as long. It is cheap
// where nothing has grown, and nothing on SQLite, whose plans do not depend on it.
func (s *Store) Refresh(ctx context.Context) error {
	if s.db.Dialect() != sqldb.Postgres {
		return nil
	}
	names := []string{"lineage", "quality", "observation_period"}
	for _, t := range tables {
		if t != PeriodTable {
			names = append(names, specs[t].name)
		}
	}
	var grown []string
	if err := s.db.Read(ctx, func(tx *sqldb.Tx) error {
		for name, err := range scanAll(ctx, tx, `SELECT name FROM unnest(?::text[]) AS name JOIN pg_class c ON c.oid = to_regclass(name)
			WHERE pg_relation_size(c.oid) / current_setting('block_size')::bigint > greatest(?::bigint, c.relpages + c.relpages / 10)`,
			[]any{names, minPages}, func(rows *sqldb.Rows) (name string, err error) {
				err = rows.Scan(&name)
				return name, err
			}) {
			if err != nil {
				return err
			}
			grown = append(grown, name)
		}
		return nil
	}); err != nil {
		return fmt.Errorf("omop: statistics: %w", err)
	}
	for _, name := range grown { // each by itself: it locks the table against others that do so
		if err := s.db.Write(ctx, func(tx *sqldb.Tx) error {
			_, err := tx.Exec(ctx, "ANALYZE "+name)
			return err
		}); err != nil {
			return fmt.Errorf("omop: statistics of %s: %w", name, err)
		}
	}
	return nil
}
