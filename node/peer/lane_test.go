package peer

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestProofsAreMadeBetweenQuestions one after the other, and none is kept waiting for ever.
func TestProofsAreMadeBetweenQuestions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLane()
		made := make(chan func(), 3)
		enter := func(ctx context.Context) {
			if leave, err := l.enter(ctx); err == nil {
				made <- leave
			}
		}
		end := l.step()
		go enter(t.Context())
		time.Sleep(longestYield / 2)
		require.Empty(t, made, "it competes with a step")
		end()
		time.Sleep(quiet / 2)
		end = l.step()
		time.Sleep(quiet)
		require.Empty(t, made, "it came between two steps")
		end()
		leave := <-made
		leave()
		begun := time.Now()
		go enter(t.Context())
		leave = <-made
		require.Zero(t, time.Since(begun), "it has been quiet for long enough")

		go enter(t.Context())
		time.Sleep(time.Hour)
		require.Empty(t, made, "two at once")
		end = l.step()
		leave()
		begun = time.Now()
		leave = <-made
		require.Equal(t, longestYield, time.Since(begun), "a node that is always asked makes no proof")
		end()

		for range 2 { // behind another proof, and behind a step
			gone, cancel := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() { enter(gone); close(ended) }()
			synctest.Wait()
			cancel()
			<-ended
			require.Empty(t, made)
			leave()
			leave = l.step()
		}
		leave()
		go enter(t.Context())
		(<-made)()
	})
}
