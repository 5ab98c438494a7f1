package dispatch_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/timetable"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/schedule"
)

// TestEveryOccurrenceIsAnswered by the nodes when it is due, and not by the answer from
// before; one of them has started anew meanwhile.
func TestEveryOccurrenceIsAnswered(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, alike(3)...)
		digest := w.schedule(t, time.Now().UTC().Add(time.Second))
		keeper, err := timetable.New(timetable.Config{Registry: w.reader, Log: w.log})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- keeper.Run(ctx) }()
		t.Cleanup(func() { cancel(); require.NoError(t, <-done) })
		w.runPatiently(t)
		var heard ear
		heard.at(w, 2)
		seen := make(map[query.ID]bool)
		for i, o := range w.occurrences(t, digest) {
			require.Equal(t, schedule.State("pending"), o.State)
			time.Sleep(time.Until(o.Due.Add(time.Minute)))
			o = w.occurrences(t, digest)[i]
			require.Equal(t, schedule.State("asked"), o.State)
			r := w.result(t, o.Query)
			requireComplete(t, r)
			require.Len(t, r.Answered, 3)
			require.Nil(t, r.Repeats)
			require.EqualValues(t, 45, r.Cells[0].N)
			require.WithinDuration(t, o.Due, r.Finished, time.Minute)
			w.proofs(t, o.Query, 3)
			seen[o.Query] = true
			require.Equal(t, len(seen), heard.count(query.StepAsk))
			w.sites[1].Reopen(t)
			w.ends[1].HandleCall(query.TaskProtocol, w.sites[1].Peer.Take)
		}
		require.Len(t, seen, 2)
		w.replay(t)
	})
}
