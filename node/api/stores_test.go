package api

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/jobs"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/series"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/ingest"
)

// newStoredSite is [newSite] with loads and trail of a running node over db.
func newStoredSite(t *testing.T, db *sqldb.DB) *site {
	t.Helper()
	ctx, dir := t.Context(), t.TempDir()
	require.NoError(t, raw.CreateKey(filepath.Join(dir, "raw.key")))
	files, err := raw.Open(raw.Config{Dir: filepath.Join(dir, "raw"), KeyFile: filepath.Join(dir, "raw.key")})
	require.NoError(t, err)
	people, err := omop.Open(ctx, db)
	require.NoError(t, err)
	points, err := series.Open(ctx, db, series.Config{})
	require.NoError(t, err)
	words, err := vocab.Open(ctx, db)
	require.NoError(t, err)
	trail, err := audit.Open(ctx, db, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.NoError(t, jobs.Migrate(ctx, db))
	queue, err := jobs.New(jobs.Config{DB: db})
	require.NoError(t, err)
	loads, err := ingest.Open(ctx, ingest.Config{DB: db, Store: people, Series: points, Raw: files, Vocabulary: words, Jobs: queue, Trail: trail})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- loads.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	return newSite(t, func(c *Config) { c.Loads, c.Trail = loads, trail })
}

// TestLoadsOnBothEngines brings files to a node's real stores.
func TestLoadsOnBothEngines(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newStoredSite(t, db)
		var form bytes.Buffer
		w := multipart.NewWriter(&form)
		_, err := w.CreateFormFile("file", "empty.json")
		require.NoError(t, err)
		require.NoError(t, w.Close())
		for name, c := range map[string]struct {
			query, mediaType, want string
			body                   io.Reader
		}{
			"no byte":              {"?name=a.json", "application/json", "the file is empty", http.NoBody},
			"no byte, unannounced": {"?name=a.json", "application/json", "the file is empty", io.MultiReader()},
			"no byte in a form":    {"", w.FormDataContentType(), "the file is empty", &form},
			"a name of 256 bytes":  {"?name=" + strings.Repeat("n", 256), "application/json", "over 255 bytes", strings.NewReader("{}")},
		} {
			status, _, answer := s.send(http.MethodPost, filesPath+c.query, c.mediaType, c.body)
			require.Equal(t, http.StatusUnprocessableEntity, status, name)
			require.Contains(t, answer, c.want, name)
		}
		_, _, body := s.send(http.MethodGet, "/v1/ingest/jobs", "", nil)
		require.Empty(t, decode[Jobs](t, body).Jobs)

		for name, c := range map[string]struct {
			content, state string
			problems       []Problem
		}{
			"good.ndjson":  {`{"resourceType":"Patient","id":"p1","gender":"female","birthDate":"1970-02-03"}`, "completed", []Problem{}},
			"blank.ndjson": {" \n", "completed with problems", []Problem{{File: "blank.ndjson", Rule: "no-record", Detail: "the file holds no record"}}},
		} {
			status, header, body := s.send(http.MethodPost, filesPath+"?name="+name, "application/json", strings.NewReader(c.content))
			require.Equal(t, http.StatusAccepted, status, body)
			var job Job
			require.Eventually(t, func() bool {
				_, _, body = s.send(http.MethodGet, header.Get("Location"), "", nil)
				job = decode[Job](t, body)
				return job.Ended != nil
			}, time.Minute, 10*time.Millisecond, name)
			require.Equal(t, c.state, job.State, name)
			require.Equal(t, c.problems, job.Problems, name)
		}
		_, _, body = s.send(http.MethodGet, "/v1/audit", "", nil)
		require.Len(t, decode[Decisions](t, body).Decisions, 2)
	})
}
