package node

import (
	"crypto/rand"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/dataset"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/series"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/consent"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// TestMergesMoveTheRowsOfDatasets: the survivor has the row of who goes, and two who have a
// row each in one set stay apart.
func TestMergesMoveTheRowsOfDatasets(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		n, now := &Node{db: db}, time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
		var err error
		n.people, err = omop.Open(t.Context(), db)
		require.NoError(t, err)
		n.series, err = series.Open(t.Context(), db, series.Config{})
		require.NoError(t, err)
		n.datasets, err = dataset.Open(t.Context(), db)
		require.NoError(t, err)
		trail, err := audit.Open(t.Context(), db, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		key, err := identity.Generate(rand.Reader)
		require.NoError(t, err)
		n.consents, err = consent.Open(t.Context(), consent.Config{DB: db, Key: key, Trail: trail, Secret: [32]byte{1}, Shape: circuits.Development, Window: time.Hour})
		require.NoError(t, err)
		put := func(b omop.Batch) (refused int) {
			b.Raw, b.Mapper, b.At, b.MayMerge = [32]byte{1}, "test/1", now, n.mayMerge
			require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
				result, err := n.people.Put(t.Context(), tx, b)
				refused = len(result.Refused)
				return err
			}))
			return refused
		}
		keys := []omop.Key{omop.NewKey("a"), omop.NewKey("b"), omop.NewKey("c")}
		for _, key := range keys {
			require.Zero(t, put(omop.Batch{Persons: []omop.Person{{Key: key, Pointer: "p", YearOfBirth: 1950}}}))
		}
		set := dataset.Schema{
			Name: "registry", Version: "1", Person: dataset.Person{Column: "id", System: dataset.FHIR},
			Columns: []dataset.Column{{Name: "age", Kind: "numeric", Domain: "Person", High: 130}},
		}
		rows := make(map[omop.PersonID]float64)
		read := func(tx *sqldb.Tx) error {
			clear(rows)
			for row, err := range n.datasets.Values(t.Context(), tx, set, []int{0}) {
				if err != nil {
					return err
				}
				rows[row.Person] = row.Values[0]
			}
			return nil
		}
		var known map[omop.Key]omop.Demographics
		require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
			if known, err = n.people.PersonsByKey(t.Context(), tx, keys); err != nil {
				return err
			}
			return n.datasets.Replace(t.Context(), tx, set, now, func(yield func(dataset.Row) bool) {
				_ = yield(dataset.Row{Person: known[keys[0]].ID, Values: []float64{50}}) && yield(dataset.Row{Person: known[keys[1]].ID, Values: []float64{60}})
			})
		}))
		require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
			held, err := n.concerned(t.Context(), tx, []omop.PersonID{known[keys[0]].ID, known[keys[2]].ID})
			require.Equal(t, []omop.PersonID{known[keys[0]].ID}, held, "who has a row is not removed")
			return err
		}))

		require.Equal(t, 1, put(omop.Batch{Merges: []omop.Merge{{Survivor: keys[0], Retired: keys[1], Pointer: "m"}}}))
		require.NoError(t, db.Read(t.Context(), read))
		require.Equal(t, map[omop.PersonID]float64{known[keys[0]].ID: 50, known[keys[1]].ID: 60}, rows)
		require.Zero(t, put(omop.Batch{Merges: []omop.Merge{{Survivor: keys[2], Retired: keys[1], Pointer: "m"}}}))
		require.NoError(t, db.Read(t.Context(), read))
		require.Equal(t, map[omop.PersonID]float64{known[keys[0]].ID: 50, known[keys[2]].ID: 60}, rows)
	})
}
