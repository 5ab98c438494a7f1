package peer_test

import (
	"context"
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/cosign"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/peer/peertest"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// subjects returns what the trail's records of an event are about, oldest first.
func subjects(t *testing.T, s *peertest.Site, event string) (list []string) {
	t.Helper()
	require.NoError(t, s.DB.Read(t.Context(), func(tx *sqldb.Tx) error {
		rows, err := tx.Query(t.Context(), `SELECT subject FROM audit WHERE event = ? ORDER BY id`, event)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var subject string
			if err := rows.Scan(&subject); err != nil {
				return err
			}
			list = append(list, subject)
		}
		return rows.Err()
	}))
	return list
}

// TestMadeUpTasksDoNotFillTheTrail: whatever the hub makes up, the trail grows by
// so much a minute.
func TestMadeUpTasksDoNotFillTheTrail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newField(t, 3)
		s := f.sites[0]
		flood := func(step query.Step, body any, rule string, n int) {
			for i := range n {
				id := query.ID{1}
				binary.BigEndian.PutUint32(id[1:], uint32(i))
				requireRule(t, rule, bring(t, s, id, step, body))
			}
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Peer.Run(ctx) }()
		flood(query.StepMask, query.Round{}, "peer.unasked", 300)
		flood(query.StepAsk, 7, "peer.task", 50)
		require.Empty(t, subjects(t, s, "question refused"))
		require.Empty(t, subjects(t, s, "tasks refused"))
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, []string{"350 tasks"}, subjects(t, s, "tasks refused"))
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Len(t, subjects(t, s, "tasks refused"), 1, "nothing came")

		flood(query.StepAsk, query.Ask{}, "message.version", 300) // what names a rule of its own
		a := f.ask(t)
		a.Trial.Approvals = nil
		requireRule(t, "trial.unapproved", bring(t, s, a.Request.Digest(), query.StepAsk, a))
		require.Len(t, subjects(t, s, "question refused"), 100)
		time.Sleep(time.Minute + time.Second)
		requireRule(t, "trial.unapproved", bring(t, s, a.Request.Digest(), query.StepAsk, a))
		require.Len(t, subjects(t, s, "question refused"), 101)
		flood(query.StepMask, query.Round{}, "peer.unasked", 5)
		stop()
		require.NoError(t, <-done)
		require.Equal(t, []string{"350 tasks", "201 tasks", "5 tasks"}, subjects(t, s, "tasks refused"))
	})
}

// TestForkedHubIsNotAnswered: who has evidence of two histories takes no question, and
// says why.
func TestForkedHubIsNotAnswered(t *testing.T) {
	t.Parallel()
	f := newField(t, 3)
	s := f.sites[0]
	known, fresh := f.ask(t), f.ask(t)
	require.Nil(t, bring(t, s, known.Request.Digest(), query.StepAsk, known).Refusal)
	s.Doubt = cosign.ErrForked
	requireRule(t, "ledger.forked", bring(t, s, fresh.Request.Digest(), query.StepAsk, fresh))
	require.Nil(t, bring(t, s, known.Request.Digest(), query.StepAsk, known).Refusal, "what it took before it finishes")
}
