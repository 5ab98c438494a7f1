package hub

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestQueue(t *testing.T) {
	t.Parallel()
	require.Equal(t, Queue{64, 8, 10_000, 1000}, Queue{}.withDefaults())
	require.Equal(t, Queue{4, 4, 20, 20}, Queue{Running: 4, Open: 20}.withDefaults(), "what is for each fits into what is in all")
	require.NoError(t, Queue{}.withDefaults().validate())
	for name, q := range map[string]Queue{
		"less than none":           {Running: -1},
		"too many at once":         {Running: 1001},
		"more for each than there": {Running: 4, RunningEach: 5},
		"too many open":            {Open: 100_001},
		"none open":                {Open: -1},
		"more open for each":       {Open: 9, OpenEach: 10},
	} {
		require.ErrorContains(t, q.withDefaults().validate(), "queue", name)
	}
}
