package evidence

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/message"
)

// A log that is shorter than what the chain holds was read before that was anchored, unless it
// has entries of a later time.
func TestALogThatLostEntriesIsTold(t *testing.T) {
	t.Parallel()
	anchored := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for after, want := range map[time.Duration]bool{-time.Hour: false, 0: false, message.Skew: false, message.Skew + time.Second: true, 24 * time.Hour: true} {
		require.Equal(t, want, grewAfter(anchored, anchored.Add(after)), after)
	}
}
