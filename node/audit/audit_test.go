package audit_test

import (
	"bytes"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/audit"
)

func TestTrail(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		var log bytes.Buffer
		trail, err := audit.Open(t.Context(), db, slog.New(slog.NewTextHandler(&log, nil)))
		require.NoError(t, err)
		empty, err := trail.Latest(t.Context(), 10)
		require.NoError(t, err)
		require.Empty(t, empty)
		at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
		first := audit.Record{At: at, Event: audit.QuestionRefused, Actor: "did:key:zR", Subject: "q1", Rule: "trial.closed"}
		second := audit.Record{At: at.Add(-time.Hour), Event: audit.EpochPublished, Subject: "glucose-1"}
		for _, r := range []audit.Record{first, second} {
			require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error { return trail.Add(t.Context(), tx, r) }))
		}
		undone := errors.New("the decision did not hold")
		require.ErrorIs(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
			return errors.Join(trail.Add(t.Context(), tx, first), undone)
		}), undone)

		again, err := audit.Open(t.Context(), db, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		list, err := again.Latest(t.Context(), 10)
		require.NoError(t, err)
		require.Equal(t, []audit.Record{second, first}, list, "newest entry first, whatever the clock said")
		list, err = again.Latest(t.Context(), 1)
		require.NoError(t, err)
		require.Equal(t, []audit.Record{second}, list)
		require.Contains(t, log.String(), "trial.closed")
		require.NotContains(t, log.String(), "job=")
		load := audit.Record{At: at, Event: audit.JobFinished, Subject: "f1", Rule: "completed", Job: 17}
		require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error { return trail.Add(t.Context(), tx, load) }))
		require.Contains(t, log.String(), `msg="load finished" actor="" subject=f1 rule=completed job=17`)
	})
}

// TestDecisionFailsWithItsRecord: what cannot be remembered must not happen.
func TestDecisionFailsWithItsRecord(t *testing.T) {
	t.Parallel()
	db := sqltest.SQLite(t)
	trail, err := audit.Open(t.Context(), db, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(t.Context(), `DROP TABLE audit`)
		return err
	}))
	require.ErrorContains(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
		return trail.Add(t.Context(), tx, audit.Record{Event: audit.NumbersReleased})
	}), "audit numbers released")
}
