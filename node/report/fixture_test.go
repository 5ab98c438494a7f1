package report_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/series"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/report"
)

var now = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

// TestMain lets laws over whole reports be tried a few times only; -rapid.checks on the
// command line goes before.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "10"); err != nil {
		panic(err) // rapid is imported
	}
	os.Exit(m.Run())
}

// site is a store with the service over it.
type site struct {
	*report.Service
	t        testing.TB
	db       *sqldb.DB
	store    *omop.Store
	settings string
	position int64
}

func newSite(t testing.TB, db *sqldb.DB) *site {
	t.Helper()
	s := &site{t: t, db: db, settings: filepath.Join(t.TempDir(), report.SettingsFile)}
	var err error
	s.store, err = omop.Open(t.Context(), db)
	require.NoError(t, err)
	points, err := series.Open(t.Context(), db, series.Config{})
	require.NoError(t, err)
	words, err := vocab.Open(t.Context(), db)
	require.NoError(t, err)
	s.Service, err = report.Open(t.Context(), report.Config{
		DB: db, Store: s.store, Series: points, Vocabulary: words, Settings: s.settings, Now: func() time.Time { return now },
	})
	require.NoError(t, err)
	return s
}

// put stores a batch as a file of its own.
func (s *site) put(b omop.Batch) {
	s.t.Helper()
	s.position++
	b.Mapper, b.At, b.Position = "test", now, s.position
	require.NoError(s.t, s.db.Write(s.t.Context(), func(tx *sqldb.Tx) error {
		r, err := s.store.Put(s.t.Context(), tx, b)
		require.Empty(s.t, r.Refused)
		return err
	}))
}

func (s *site) report() report.Report {
	s.t.Helper()
	r, err := s.Run(s.t.Context())
	require.NoError(s.t, err)
	return r
}

// find returns the check with an ID.
func find(t testing.TB, r report.Report, id string) report.Check {
	t.Helper()
	for _, c := range r.Checks {
		if c.ID == id {
			return c
		}
	}
	t.Fatalf("there is no check %s", id)
	return report.Check{}
}

// scalar is the only value of a statement.
func (s *site) scalar(query string) (n int64) {
	s.t.Helper()
	require.NoError(s.t, s.db.Read(s.t.Context(), func(tx *sqldb.Tx) error { return tx.QueryRow(s.t.Context(), query).Scan(&n) }))
	return n
}
