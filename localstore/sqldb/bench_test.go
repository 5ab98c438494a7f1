package sqldb_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

// BenchmarkInsert stores 10,000 rows a transaction into a table without a
// secondary index. PostgreSQL runs without fsync in tests.
func BenchmarkInsert(b *testing.B) {
	for name, open := range map[string]func(testing.TB) *sqldb.DB{"sqlite": sqltest.SQLite, "postgres": sqltest.Postgres} {
		b.Run(name, func(b *testing.B) {
			const rows = 10_000
			ctx, db := b.Context(), open(b)
			require.NoError(b, sqldb.Migrate(ctx, db, "note", schema))
			next := int64(0)
			for b.Loop() {
				require.NoError(b, db.Write(ctx, func(tx *sqldb.Tx) error {
					_, err := tx.Insert(ctx, "note", []string{"id", "body", "day"}, notes(next, rows))
					return err
				}))
				next += rows
			}
			b.ReportMetric(float64(next)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
