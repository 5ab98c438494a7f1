package ingest_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/jobs"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/ingest"
)

// patients are n of them as NDJSON.
func patients(n int) []byte {
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, `{"resourceType":"Patient","id":"p%d","gender":"female","birthDate":"1970-01-01"}`+"\n", i)
	}
	return []byte(lines.String())
}

func TestCancelledJobStoresNothingMore(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		const all, batch = 1000, 10
		stand, goOn := make(chan struct{}), make(chan struct{})
		var commits int
		var mu sync.Mutex
		s := newSite(t, db, func(c *ingest.Config, _ *jobs.Config) {
			c.BatchRows = batch
			c.Now = func() time.Time { // is asked before each commit
				mu.Lock()
				commits++
				midway := commits == 30
				mu.Unlock()
				if midway {
					close(stand)
					<-goOn
				}
				return time.Now()
			}
		})
		s.run(t)
		id := s.accept(t, "patients.ndjson", patients(all))
		<-stand
		require.NoError(t, s.Cancel(t.Context(), id))
		before := s.counts(t)[omop.PersonTable]
		require.Positive(t, before)
		require.ErrorContains(t, s.Retry(t.Context(), id), "still ending")
		close(goOn)

		require.Eventually(t, func() bool {
			counts, err := s.queue.Counts(t.Context())
			require.NoError(t, err)
			return counts.Running == 0
		}, time.Minute, 5*time.Millisecond)
		job, err := s.Job(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, ingest.Cancelled, job.State)
		require.False(t, job.Ended.IsZero())
		require.Equal(t, before, s.counts(t)[omop.PersonTable])
		require.ErrorContains(t, s.Cancel(t.Context(), id), "over")

		require.NoError(t, s.Retry(t.Context(), id), "it goes on where it was")
		job = s.ended(t, id)
		require.Equal(t, ingest.Completed, job.State, job.Error)
		require.EqualValues(t, all, job.Counts.Stored)
		require.EqualValues(t, all, s.counts(t)[omop.PersonTable])
	})
}

func TestQueuedJobIsCancelled(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t))
	id := s.accept(t, "patients.ndjson", patients(3))
	require.NoError(t, s.Cancel(t.Context(), id))
	again := s.accept(t, "patients.ndjson", patients(3))
	require.NotEqual(t, id, again, "the content that was cancelled can be sent again")
	s.run(t)
	require.Equal(t, ingest.Completed, s.ended(t, again).State)
	job, err := s.Job(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, ingest.Cancelled, job.State)
	require.Zero(t, job.Counts.Stored)
}

// TestACancelledJobOfLongAgoIsLoadedAgain: the queue keeps what is over for a day.
func TestACancelledJobOfLongAgoIsLoadedAgain(t *testing.T) {
	t.Parallel()
	db := sqltest.SQLite(t)
	s := newSite(t, db)
	id := s.accept(t, "patients.ndjson", patients(3))
	require.NoError(t, s.Cancel(t.Context(), id))
	require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(t.Context(), "DELETE FROM river_job WHERE id = ?", int64(id))
		return err
	}))
	require.ErrorContains(t, s.Retry(t.Context(), id), "load the file again")
	job, err := s.Job(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, ingest.Cancelled, job.State)
}

func TestCancelOfNoJob(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t))
	require.ErrorIs(t, s.Cancel(t.Context(), 7), ingest.ErrJob)
}
