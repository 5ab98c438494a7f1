package columns_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/dataset"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/columns"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

const (
	trialID = trial.ID("glucose-1")
	size    = 4 // of a shard
)

var now = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// places are those of participants in a consent tree of two shards.
type places map[omop.PersonID]int

func (p places) Slots(context.Context, *sqldb.Tx, trial.ID) (map[omop.PersonID]int, int, error) {
	if len(p) == 0 {
		return nil, 0, nil
	}
	return p, 2, nil
}

// desk is a site with five persons, of whom the last takes no part.
type desk struct {
	*columns.Book
	cfg     columns.Config
	persons []omop.PersonID
	places  places
}

func newDesk(t *testing.T, db *sqldb.DB) *desk {
	t.Helper()
	ctx := t.Context()
	people, err := omop.Open(ctx, db)
	require.NoError(t, err)
	sets, err := dataset.Open(ctx, db)
	require.NoError(t, err)
	trail, err := audit.Open(ctx, db, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	key, err := identity.Generate(rand.Reader)
	require.NoError(t, err)
	d := &desk{places: places{}}
	require.NoError(t, db.Write(ctx, func(tx *sqldb.Tx) error {
		batch := omop.Batch{Raw: [32]byte{1}, Mapper: "test/1", At: now}
		for i := range 5 {
			batch.Persons = append(batch.Persons, omop.Person{Key: omop.NewKey(fmt.Sprint(i)), Pointer: "p", YearOfBirth: 1950})
		}
		_, err := people.Put(ctx, tx, batch)
		return err
	}))
	require.NoError(t, db.Read(ctx, func(tx *sqldb.Tx) error {
		for p, err := range people.Persons(ctx, tx) {
			require.NoError(t, err)
			d.persons = append(d.persons, p.ID)
		}
		return nil
	}))
	for i, slot := range []int{2, 0, 5, 7} {
		d.places[d.persons[i]] = slot
	}
	d.cfg = columns.Config{
		DB: db, Key: key, Trail: trail, Consents: d.places, Datasets: sets, Secret: [32]byte{7},
		Shape: circuits.Shape{ShardSize: size, Shards: 2, Slots: 1},
	}
	d.Book, err = columns.Open(ctx, d.cfg)
	require.NoError(t, err)
	return d
}

func schema() dataset.Schema {
	return dataset.Schema{
		Name: "outcomes", Version: "1", Person: dataset.Person{Column: "pid", System: dataset.FHIR},
		Columns: []dataset.Column{
			{Name: "arm", Kind: "factor", Domain: "Person", Levels: []string{"a", "b"}},
			{Name: "days", Kind: "numeric", Domain: "Person", Low: -10.5, High: 1000},
		},
	}
}

// load gives person i the i-th row.
func (d *desk) load(t *testing.T, rows ...[]float64) {
	t.Helper()
	require.NoError(t, d.cfg.DB.Write(t.Context(), func(tx *sqldb.Tx) error {
		return d.cfg.Datasets.Replace(t.Context(), tx, schema(), now, func(yield func(dataset.Row) bool) {
			for i, values := range rows {
				if !yield(dataset.Row{Person: d.persons[i], Values: values}) {
					return
				}
			}
		})
	}))
}

// record puts what is to be recorded at a place on the ledger.
func (d *desk) record(t *testing.T, index int64) {
	t.Helper()
	drafts, err := d.Drafts(t.Context(), now)
	require.NoError(t, err)
	for _, draft := range drafts {
		require.NoError(t, d.Recorded(t.Context(), draft, index, now))
	}
}

// stands returns whether the last commitment before a place is of the data as it is.
func (d *desk) stands(t *testing.T, index int64) (c columns.Committed, err error) {
	t.Helper()
	err = d.cfg.DB.Read(t.Context(), func(tx *sqldb.Tx) error {
		if c, err = d.Settled(t.Context(), tx, trialID, "outcomes", index); err != nil {
			return err
		}
		return c.Stands(t.Context(), tx)
	})
	return c, err
}

func (d *desk) defects(t *testing.T) (list []columns.Defect) {
	t.Helper()
	require.NoError(t, d.cfg.DB.Read(t.Context(), func(tx *sqldb.Tx) (err error) {
		list, err = columns.Check(t.Context(), tx, d.cfg)
		return err
	}))
	return list
}

func TestColumnsAreLaidOutByConsentSlot(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		d := newDesk(t, db)
		d.load(t, []float64{1, 30}, []float64{0, math.NaN()}, []float64{math.NaN(), -10}, []float64{1, 7}, []float64{0, 1})
		c, err := d.Commit(t.Context(), trialID, "outcomes", nil, now)
		require.NoError(t, err)
		require.Len(t, c.Shards, 2)
		_, err = d.stands(t, 100)
		require.ErrorIs(t, err, columns.ErrUnlocked, "it may be on the ledger, or not yet")
		_, err = d.Commit(t.Context(), trialID, "outcomes", nil, now)
		require.ErrorIs(t, err, columns.ErrPending)
		d.record(t, 5)
		_, err = d.stands(t, 5)
		require.ErrorIs(t, err, columns.ErrUnlocked, "the question came first")
		kept, err := d.stands(t, 6)
		require.NoError(t, err)

		tables, err := kept.Tables()
		require.NoError(t, err)
		known := func(v uint32) circuits.Cell {
			cell, err := circuits.Known(v)
			require.NoError(t, err)
			return cell
		}
		require.Equal(t, []circuits.Cell{known(0), 0, known(0), 0}, tables[0].Columns[0].Cells, "who has a row")
		require.Equal(t, []circuits.Cell{known(0), 0, known(1), 0}, tables[0].Columns[1].Cells)
		require.Equal(t, []circuits.Cell{0, 0, known(40), 0}, tables[0].Columns[2].Cells, "from -10 on")
		require.Equal(t, []circuits.Cell{0, known(0), 0, known(17)}, tables[1].Columns[2].Cells)
		for i, table := range tables {
			root, err := circuits.DataRoot(size, table)
			require.NoError(t, err)
			require.Equal(t, c.Shards[i], root)
		}
		require.NotEqual(t, tables[0].Columns[0].Salt, tables[1].Columns[0].Salt)
	})
}

func TestWhatWasCommittedStays(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		d := newDesk(t, db)
		d.load(t, []float64{1, 30}, []float64{0, 4})
		first, err := d.Commit(t.Context(), trialID, "outcomes", nil, now)
		require.NoError(t, err)
		d.record(t, 5)
		d.load(t, []float64{1, 31}, []float64{0, 4})
		_, err = d.stands(t, 9)
		require.ErrorIs(t, err, columns.ErrChanged)
		second, err := d.Commit(t.Context(), trialID, "outcomes", []string{"days"}, now)
		require.NoError(t, err)
		digest, err := first.Digest()
		require.NoError(t, err)
		require.Equal(t, digest, second.Revises)
		d.record(t, 10)
		c, err := d.stands(t, 11)
		require.NoError(t, err)
		require.Equal(t, second, c.Commitment)
		require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
			c, err := d.Before(t.Context(), tx, trialID, "outcomes", 10)
			require.Equal(t, first, c.Commitment, "a question from before is proved over the first")
			return err
		}))
		d.places[d.persons[4]] = 3
		d.load(t, []float64{1, 31}, []float64{0, 4}, []float64{0, 1}, []float64{0, 1}, []float64{0, 1})
		_, err = d.stands(t, 11)
		require.ErrorIs(t, err, columns.ErrChanged, "somebody joined")

		require.Empty(t, d.defects(t))
		require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.Exec(t.Context(), `UPDATE columns_shard SET cells = (SELECT cells FROM columns_shard WHERE digest = ? AND shard = 1) WHERE digest = ? AND shard = 0`,
				digest.String(), digest.String())
			return err
		}))
		require.Equal(t, []columns.Defect{{Trial: trialID, Dataset: "outcomes", Number: 1}}, d.defects(t))
		require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.Exec(t.Context(), `DELETE FROM columns_shard`)
			return err
		}))
		require.Len(t, d.defects(t), 2)
	})
}

func TestCommitRefuses(t *testing.T) {
	t.Parallel()
	d := newDesk(t, sqltest.SQLite(t))
	commit := func(names ...string) error {
		_, err := d.Commit(t.Context(), trialID, "outcomes", names, now)
		return err
	}
	require.ErrorIs(t, commit(), dataset.ErrUnknown)
	d.load(t, []float64{1, 1.5})
	require.ErrorContains(t, commit(), `column "days": not all of its values are whole numbers`)
	require.ErrorContains(t, commit("dose"), `no column "dose"`)
	require.Empty(t, d.defects(t), "nothing is left of a commitment that failed")
	require.NoError(t, commit("arm"))
	clear(d.places)
	_, err := d.Commit(t.Context(), "another-1", "outcomes", []string{"arm"}, now)
	require.ErrorIs(t, err, columns.ErrNobody)
}

func TestWhatOpensColumnsNeitherPrintsNorMarshals(t *testing.T) {
	t.Parallel()
	require.Equal(t, "committed columns:redacted committed columns:redacted", fmt.Sprintf("%v %+v", columns.Committed{}, &columns.Committed{}))
	_, err := json.Marshal(columns.Committed{})
	require.ErrorContains(t, err, "must not leave the node")
}
