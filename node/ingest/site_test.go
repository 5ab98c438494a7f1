package ingest_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/jobs"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/series"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/ingest"
	"github.com/trialmesh/trialmesh/simulations/testdata"
)

// site is a node as far as loads go.
type site struct {
	*ingest.Service
	db     *sqldb.DB
	store  *omop.Store
	series *series.Store
	words  *vocab.Store
	queue  *jobs.Queue
}

// vocabulary extracts the vocabulary of the test data once for all tests.
var vocabulary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "trialmesh-vocabulary-")
	if err != nil {
		return "", err
	}
	return dir, testdata.ExtractVocabulary(dir)
})

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := child(context.Background(), dir, os.Getenv(childDSN)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	if dir, err := vocabulary(); err == nil {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// openSite puts a site together over db; raw copies go to dir.
func openSite(ctx context.Context, db *sqldb.DB, dir string, adjust ...func(*ingest.Config, *jobs.Config)) (*site, error) {
	keyFile := filepath.Join(dir, "raw.key")
	if _, err := os.Stat(keyFile); os.IsNotExist(err) {
		if err := raw.CreateKey(keyFile); err != nil {
			return nil, err
		}
	}
	files, err := raw.Open(raw.Config{Dir: filepath.Join(dir, "raw"), KeyFile: keyFile})
	if err != nil {
		return nil, err
	}
	if err := jobs.Migrate(ctx, db); err != nil {
		return nil, err
	}
	s := &site{db: db}
	if s.store, err = omop.Open(ctx, db); err != nil {
		return nil, err
	}
	if s.series, err = series.Open(ctx, db, series.Config{}); err != nil {
		return nil, err
	}
	words, err := vocab.Open(ctx, db)
	if err != nil {
		return nil, err
	}
	if version, err := words.Version(ctx); err != nil {
		return nil, err
	} else if version == "" {
		from, err := vocabulary()
		if err != nil {
			return nil, err
		}
		if _, err := words.Load(ctx, os.DirFS(from)); err != nil {
			return nil, err
		}
	}
	s.words = words
	cfg := ingest.Config{DB: db, Store: s.store, Series: s.series, Raw: files, Vocabulary: words}
	queue := jobs.Config{DB: db, Backoff: func(int) time.Duration { return 10 * time.Millisecond }}
	for _, f := range adjust {
		f(&cfg, &queue)
	}
	if s.queue, err = jobs.New(queue); err != nil {
		return nil, err
	}
	cfg.Jobs = s.queue
	s.Service, err = ingest.Open(ctx, cfg)
	return s, err
}

func newSite(t testing.TB, db *sqldb.DB, adjust ...func(*ingest.Config, *jobs.Config)) *site {
	t.Helper()
	s, err := openSite(t.Context(), db, t.TempDir(), adjust...)
	require.NoError(t, err)
	return s
}

// run does jobs until the test ends.
func (s *site) run(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
}

func (s *site) accept(t testing.TB, name string, data []byte) ingest.JobID {
	t.Helper()
	_, id, err := s.Accept(t.Context(), name, bytes.NewReader(data))
	require.NoError(t, err)
	return id
}

// ended waits for the end of a job.
func (s *site) ended(t testing.TB, id ingest.JobID) ingest.Job {
	t.Helper()
	var job ingest.Job
	require.Eventually(t, func() bool {
		var err error
		job, err = s.Job(t.Context(), id)
		require.NoError(t, err)
		return job.State.Ended()
	}, time.Minute, 5*time.Millisecond)
	return job
}

// load accepts data and waits for the end of its job.
func (s *site) load(t testing.TB, name string, data []byte) ingest.Job {
	t.Helper()
	return s.ended(t, s.accept(t, name, data))
}

func (s *site) counts(t testing.TB) map[omop.Table]int64 {
	t.Helper()
	var n map[omop.Table]int64
	require.NoError(t, s.db.Read(t.Context(), func(tx *sqldb.Tx) (err error) {
		n, err = s.store.Counts(t.Context(), tx)
		return err
	}))
	return n
}

// bundles returns the first n patient bundles of a hospital.
func bundles(t testing.TB, n int) []testdata.File {
	t.Helper()
	var list []testdata.File
	for f, err := range testdata.Hospitals()[0].Files(t.Context()) {
		require.NoError(t, err)
		if !f.Infrastructure() {
			list = append(list, f)
		}
		if len(list) == n {
			break
		}
	}
	return list
}
