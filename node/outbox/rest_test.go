package outbox

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEndpointInTroubleIsProbed(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	pause := func(n int) time.Duration { return time.Duration(n) * time.Minute }
	r := newRests(30 * time.Second)
	require.Zero(t, r.begin("ehr", now))
	require.Zero(t, r.begin("ehr", now), "an endpoint that answers takes several at once")

	require.Equal(t, time.Minute, r.trouble("ehr", now, 0, pause))
	require.Equal(t, 2*time.Minute, r.trouble("ehr", now, 0, pause), "it rests longer each time")
	require.Equal(t, time.Hour, r.trouble("ehr", now, time.Hour, pause), "or for as long as it asks")
	require.Equal(t, time.Hour, r.begin("ehr", now))
	require.Zero(t, r.begin("lab", now), "others do not rest with it")

	now = now.Add(time.Hour)
	require.Zero(t, r.begin("ehr", now), "then one is tried")
	require.Equal(t, firstPause, r.begin("ehr", now), "and the others wait for it")
	require.Zero(t, r.begin("ehr", now.Add(30*time.Second)), "but no longer than an attempt takes")
	r.over("ehr")
	require.Zero(t, r.begin("ehr", now))
	require.Equal(t, time.Minute, r.trouble("ehr", now, 0, pause), "what is over counts no more")
}

func TestPauseGrows(t *testing.T) {
	t.Parallel()
	for attempt, want := range map[int]time.Duration{1: firstPause, 2: 15 * time.Second, 4: 135 * time.Second, 7: maxPause, 1000: maxPause} {
		d := pause(attempt)
		require.GreaterOrEqual(t, d, want-want/4)
		require.Less(t, d, want+want/4)
	}
}
