package consent_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// benchShards is how many shards of 1,024 participants the tree has that is measured.
const benchShards = 64

// BenchmarkConsentTree measures, on each engine, a shard that comes into use, one
// withdrawal in the full tree with its decoys and the opening of its shard, and the check of all of it: CPU-seconds of
// this process, for the withdrawal the memory that it allocates, and for a leaf its disk.
func BenchmarkConsentTree(b *testing.B) {
	for name, open := range map[string]func(testing.TB) *sqldb.DB{"sqlite": sqltest.SQLite, "postgres": sqltest.Postgres} {
		b.Run(name, func(b *testing.B) {
			d := &desk{node: key(b), db: open(b), now: start, shape: circuits.Shape{ShardSize: 1024, Shards: benchShards, Slots: 2}, prover: new(counting)}
			d.reopen(b)
			d.synthesize(b)
			began, size := cpu(), d.size(b)
			for range b.N {
				d.publishUnproven(b)
			}
			b.ReportMetric((cpu()-began).Seconds()/benchShards, "cpu-s/shard")
			b.ReportMetric(float64(d.size(b)-size)/benchShards/1024, "bytes/leaf")

			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began = cpu()
			const withdrawals = 50
			for i := range withdrawals {
				d.exec(b, fmt.Sprintf(`UPDATE consent_slot SET status = 2, said = '%064x' WHERE slot = %d`, i+1, i*1024))
				d.exec(b, fmt.Sprintf(`INSERT INTO consent_pending (trial, slot) VALUES ('glucose-1', %d)`, i*1024))
				require.Equal(b, 1, d.publishUnproven(b))
			}
			b.ReportMetric((cpu()-began).Seconds()*1000/withdrawals, "cpu-ms/withdrawal")
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/withdrawals/(1<<20), "MiB/withdrawal")

			began = cpu()
			require.Empty(b, d.defects(b))
			b.ReportMetric((cpu()-began).Seconds()*1e6/benchShards/1024, "cpu-µs/leaf-checked")
		})
	}
}

// unproven is a prover that does nothing.
type unproven struct{}

var errUnproven = errors.New("unproven")

func (unproven) Epoch(context.Context, circuits.EpochWitness) (circuits.EpochProof, error) {
	return circuits.EpochProof{}, errUnproven
}

// publishUnproven brings changes to a ledger until a shard has to be proven, which it opens,
// and returns how many lists there were.
func (d *desk) publishUnproven(b *testing.B) (n int) {
	for ; ; n++ {
		draft, err := d.book.Draft(b.Context(), "glucose-1", message.Digest{5}, unproven{}, d.now)
		if errors.Is(err, errUnproven) {
			return n
		}
		require.NoError(b, err)
		require.NoError(b, d.book.Recorded(b.Context(), *draft, int64(n), d.now))
	}
}

// size is how many bytes the database has on disk.
func (d *desk) size(b *testing.B) (n int64) {
	ask := `SELECT page_count * page_size FROM pragma_page_count, pragma_page_size`
	if d.db.Dialect() == sqldb.Postgres {
		ask = `SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'`
	}
	require.NoError(b, d.db.Read(b.Context(), func(tx *sqldb.Tx) error { return tx.QueryRow(b.Context(), ask).Scan(&n) }))
	return n
}

// synthesize puts a participant into every slot.
func (d *desk) synthesize(b *testing.B) {
	require.NoError(b, d.db.Write(b.Context(), func(tx *sqldb.Tx) error {
		rows := func(row func(slot int) []any) iter.Seq[[]any] {
			return func(yield func([]any) bool) {
				for slot := range benchShards * 1024 {
					if !yield(row(slot)) {
						return
					}
				}
			}
		}
		_, err := tx.Insert(b.Context(), "consent_slot",
			[]string{"trial", "slot", "person_id", "participant", "grant_digest", "said", "scopes", "status", "from_at", "to_at"},
			rows(func(slot int) []any {
				digest := fmt.Sprintf("%064x", slot+1)
				return []any{"glucose-1", slot, slot + 1, fmt.Sprintf("did:key:z%d", slot), digest, digest, int64(need), 1, start.Unix(), start.Add(1000 * time.Hour).Unix()}
			}))
		if err != nil {
			return err
		}
		_, err = tx.Insert(b.Context(), "consent_pending", []string{"trial", "slot"}, rows(func(slot int) []any { return []any{"glucose-1", slot} }))
		return err
	}))
}

// cpu is what this process has used.
func cpu() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
