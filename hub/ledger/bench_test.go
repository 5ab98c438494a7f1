package ledger_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/ledger"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// BenchmarkAppend measures durable appends of 512-byte entries by the number of
// entries in a transaction.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1, 16, 64, 512, 4096} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			db := openDB(b)
			batch := make([][]byte, size)
			for i := range batch {
				batch[i] = bytes.Repeat(fmt.Appendf(nil, "%08d", i), 64)
			}
			for b.Loop() {
				require.NoError(b, db.Write(b.Context(), func(tx *sqldb.Tx) error {
					_, err := ledger.Append(b.Context(), tx, batch)
					return err
				}))
			}
			b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

// BenchmarkVerify measures the check of a whole log from files in memory.
func BenchmarkVerify(b *testing.B) {
	src, trust := ledger.Dir(large(b)), trusting(b, 2)
	b.ResetTimer()
	for b.Loop() {
		_, err := ledger.Verify(b.Context(), src, trust)
		require.NoError(b, err)
	}
	b.ReportMetric(float64(b.N*largeSize)/b.Elapsed().Seconds(), "entries/s")
}

// BenchmarkProveInclusion measures a proof from the tables.
func BenchmarkProveInclusion(b *testing.B) {
	db := openDB(b)
	grow(b, db, largeSize)
	i := int64(0)
	for b.Loop() {
		i = (i*31 + 7) % largeSize
		require.NoError(b, db.Read(b.Context(), func(tx *sqldb.Tx) error {
			_, err := ledger.ProveInclusion(b.Context(), tx, i, largeSize)
			return err
		}))
	}
}
