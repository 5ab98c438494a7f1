package dataset_test

import (
	"context"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/localstore/dataset"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

var now = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

// lung is a set of two columns.
func lung() dataset.Schema {
	return dataset.Schema{
		Name: "lung", Version: "1", Person: dataset.Person{Column: "id", System: dataset.FHIR},
		Columns: []dataset.Column{
			{Name: "age", Kind: "numeric", Domain: "Person", High: 130},
			{Name: "sex", Kind: "factor", Domain: "Person", Levels: []string{"male", "female"}},
		},
	}
}

// site is a store with n persons.
type site struct {
	*dataset.Store
	db      *sqldb.DB
	persons []omop.PersonID
}

func newSite(t *testing.T, db *sqldb.DB, n int) site {
	t.Helper()
	people, err := omop.Open(t.Context(), db)
	require.NoError(t, err)
	store, err := dataset.Open(t.Context(), db)
	require.NoError(t, err)
	s := site{Store: store, db: db}
	s.write(t, func(tx *sqldb.Tx) error {
		batch := omop.Batch{Raw: [32]byte{1}, Mapper: "test/1", At: now}
		for i := range n {
			batch.Persons = append(batch.Persons, omop.Person{Key: omop.NewKey(fmt.Sprint(i)), Pointer: "p", YearOfBirth: 1950})
		}
		_, err := people.Put(t.Context(), tx, batch)
		return err
	})
	require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
		for p, err := range people.Persons(t.Context(), tx) {
			require.NoError(t, err)
			s.persons = append(s.persons, p.ID)
		}
		return nil
	}))
	require.Len(t, s.persons, n)
	return s
}

func (s site) write(t *testing.T, do func(tx *sqldb.Tx) error) {
	t.Helper()
	require.NoError(t, s.db.Write(t.Context(), do))
}

// replace stores one row a person.
func (s site) replace(ctx context.Context, schema dataset.Schema, values ...[]float64) error {
	return s.db.Write(ctx, func(tx *sqldb.Tx) error {
		return s.Replace(ctx, tx, schema, now, func(yield func(dataset.Row) bool) {
			for i, v := range values {
				if v != nil && !yield(dataset.Row{Person: s.persons[i], Values: v}) {
					return
				}
			}
		})
	})
}

// read returns what is stored of some columns, by the place of the person.
func (s site) read(t testing.TB, schema dataset.Schema, columns ...int) map[int][]float64 {
	t.Helper()
	out := make(map[int][]float64)
	require.NoError(t, s.db.Read(context.Background(), func(tx *sqldb.Tx) error {
		for row, err := range s.Values(context.Background(), tx, schema, columns) {
			if err != nil {
				return err
			}
			out[slices.Index(s.persons, row.Person)] = slices.Clone(row.Values)
		}
		return nil
	}))
	return out
}

func (s site) sets(t *testing.T) (list []dataset.Set) {
	t.Helper()
	require.NoError(t, s.db.Read(t.Context(), func(tx *sqldb.Tx) (err error) {
		list, err = s.List(t.Context(), tx)
		return err
	}))
	return list
}

func TestASetIsReplacedAsAWhole(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db, 3)
		require.Empty(t, s.sets(t))
		require.NoError(t, s.replace(t.Context(), lung(), []float64{74, 0}, []float64{math.NaN(), 1}, []float64{56, 0}))
		require.Equal(t, []dataset.Set{{Schema: lung(), Loaded: now, Rows: 3, Missing: []int64{1, 0}}}, utc(s.sets(t)))

		next := lung()
		next.Version, next.Columns = "2", next.Columns[1:]
		require.NoError(t, s.replace(t.Context(), next, nil, []float64{1}))
		require.Equal(t, map[int][]float64{1: {1}}, s.read(t, next, 0))
		require.Equal(t, []dataset.Set{{Schema: next, Loaded: now, Rows: 1, Missing: []int64{0}}}, utc(s.sets(t)))

		require.Error(t, s.replace(t.Context(), lung(), []float64{1, 1}, []float64{1}), "a row of another width")
		twice := s
		twice.persons = []omop.PersonID{s.persons[0], s.persons[0]}
		require.ErrorIs(t, twice.replace(t.Context(), lung(), []float64{1, 1}, []float64{2, 1}), sqldb.ErrConflict)
		require.Equal(t, map[int][]float64{1: {1}}, s.read(t, next, 0), "a fault changes nothing")

		s.write(t, func(tx *sqldb.Tx) error { return s.Drop(t.Context(), tx, "lung") })
		require.Empty(t, s.sets(t))
		require.Empty(t, s.read(t, lung(), 0))
		require.ErrorIs(t, db.Write(t.Context(), func(tx *sqldb.Tx) error { return s.Drop(t.Context(), tx, "lung") }), dataset.ErrUnknown)
		require.ErrorIs(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
			_, err := s.Set(t.Context(), tx, "lung")
			return err
		}), dataset.ErrUnknown)
	})
}

func utc(list []dataset.Set) []dataset.Set {
	for i := range list {
		list[i].Loaded = list[i].Loaded.UTC()
	}
	return list
}

func TestPersonsKeepTheirRows(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db, 3)
		require.NoError(t, s.replace(t.Context(), lung(), []float64{74, 0}, []float64{56, 1}))
		s.write(t, func(tx *sqldb.Tx) error {
			named, err := s.Concerned(t.Context(), tx, s.persons)
			require.NoError(t, err)
			require.Equal(t, s.persons[:2], named)
			both, err := s.Shared(t.Context(), tx, s.persons[0], s.persons[1])
			require.NoError(t, err)
			require.True(t, both, "each has a row of one set")
			both, err = s.Shared(t.Context(), tx, s.persons[2], s.persons[1])
			require.NoError(t, err)
			require.False(t, both)
			return s.Move(t.Context(), tx, s.persons[2], s.persons[1])
		})
		require.Equal(t, map[int][]float64{0: {74, 0}, 2: {56, 1}}, s.read(t, lung(), 0, 1))
	})
}

// TestValuesComeBackBitForBit: whatever is stored is what is read, in any choice of columns.
func TestValuesComeBackBitForBit(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t), 4)
	rapid.Check(t, func(rt *rapid.T) {
		schema := lung()
		value := rapid.Custom(func(t *rapid.T) float64 { return math.Float64frombits(rapid.Uint64().Draw(t, "bits")) })
		var rows [][]float64
		for range rapid.IntRange(0, 4).Draw(rt, "rows") {
			rows = append(rows, []float64{value.Draw(rt, "a"), value.Draw(rt, "b")})
		}
		require.NoError(rt, s.replace(context.Background(), schema, rows...))
		columns := rapid.Permutation([]int{0, 1}).Draw(rt, "columns")[:rapid.IntRange(0, 2).Draw(rt, "some")]
		got := s.read(t, schema, columns...)
		require.Len(rt, got, len(rows))
		for i, row := range rows {
			for k, c := range columns {
				require.Equal(rt, math.Float64bits(row[c]), math.Float64bits(got[i][k]))
			}
		}
	})
}

func TestRowsNeitherPrintNorMarshal(t *testing.T) {
	t.Parallel()
	r := dataset.Row{Values: []float64{4711}}
	require.Equal(t, "dataset:redacted dataset:redacted", fmt.Sprintf("%v %+v", r, r))
	require.Equal(t, "dataset:redacted", r.LogValue().String())
	_, err := json.Marshal(r)
	require.Error(t, err)
	require.Error(t, gob.NewEncoder(io.Discard).Encode(r))
}

func TestADamagedRowIsAnError(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t), 1)
	require.NoError(t, s.replace(t.Context(), lung(), []float64{74, 0}))
	s.write(t, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(t.Context(), "UPDATE dataset_row SET body = x'00'")
		return err
	})
	require.ErrorContains(t, s.db.Read(t.Context(), func(tx *sqldb.Tx) error {
		for _, err := range s.Values(t.Context(), tx, lung(), []int{0}) {
			return err
		}
		return errors.New("no row")
	}), "a stored row is damaged")
}
