package pull

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/partner/fhirserver/servertest"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

// TestScheduleIsKept: a pull runs when it falls due, and once for all the times that it was
// due while the node was off.
func TestScheduleIsKept(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t))
	server := s.server(servertest.Config{Output: []servertest.File{{Type: "Patient", Content: []byte(patients(1))}}})
	s.settings(server, "kind: bulk", `schedule: "30 2 * * *"`, "zone: Europe/Berlin")
	p := s.open() // at 08:00 UTC
	stop := s.run(p)
	listed, err := p.List(t.Context())
	require.NoError(t, err)
	require.Len(t, listed, 1)
	require.Nil(t, listed[0].Last)
	require.Equal(t, "2026-11-23T01:30:00Z", listed[0].Next.UTC().Format(time.RFC3339))
	s.clock.pass(17*time.Hour + 29*time.Minute)
	time.Sleep(50 * time.Millisecond) // some ticks
	runs, err := p.Runs(t.Context(), "heart", 10)
	require.NoError(t, err)
	require.Empty(t, runs)
	s.clock.pass(time.Minute)
	require.Eventually(t, func() bool { listed, err = p.List(t.Context()); return err == nil && listed[0].Last != nil }, time.Minute, time.Millisecond)
	require.Equal(t, Completed, s.ended(p).State)
	stop()

	s.clock.pass(5 * 24 * time.Hour)
	p = s.open()
	s.run(p)
	require.Eventually(t, func() bool {
		runs, err := p.Runs(t.Context(), "heart", 10)
		return err == nil && len(runs) == 2 && !runs[0].Ended.IsZero()
	}, time.Minute, time.Millisecond)
	time.Sleep(50 * time.Millisecond) // some ticks
	require.Len(t, server.Asked(servertest.Kickoff), 2)
}
