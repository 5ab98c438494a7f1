package audit_test

import (
	"bytes"
	"context"
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
		require.NoError(t, trail.Add(t.Context(), first))

		gone, cancel := context.WithCancel(t.Context())
		cancel()
		require.NoError(t, trail.Add(gone, second), "the request is over, the decision was made")

		again, err := audit.Open(t.Context(), db, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		list, err := again.Latest(t.Context(), 10)
		require.NoError(t, err)
		require.Equal(t, []audit.Record{second, first}, list, "newest entry first, whatever the clock said")
		list, err = again.Latest(t.Context(), 1)
		require.NoError(t, err)
		require.Equal(t, []audit.Record{second}, list)
		require.Contains(t, log.String(), "trial.closed")
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
	require.ErrorContains(t, trail.Add(t.Context(), audit.Record{Event: audit.NumbersReleased}), "audit numbers released")
}
