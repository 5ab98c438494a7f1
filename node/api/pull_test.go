package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/node/pull"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// pulls is one pull that runs, and one whose settings are wrong.
type pulls struct{ acts []string }

var errBusy = problem.New(problem.Conflict, "a run of this pull is under way")

func (p *pulls) run() pull.Run {
	return pull.Run{
		ID: 3, Pull: "heart", State: pull.Fetching, Asked: start, Since: start.Add(-time.Hour), Findings: map[string]int64{"deleted Observation": 2},
		Files: []pull.File{{Kind: pull.Output, Type: "Patient", Fetched: true, Digest: "00ff", Job: 7}, {Kind: pull.Deleted}},
	}
}

func (p *pulls) List(context.Context) ([]pull.Listed, error) {
	last := p.run()
	last.Files = nil
	return []pull.Listed{
		{Entry: pull.Entry{Settings: pull.Settings{Name: "heart", URL: "https://fhir.example", Kind: pull.Bulk, Cron: "0 3 * * *", Zone: "UTC"}}, Next: start, Last: &last},
		{Entry: pull.Entry{Settings: pull.Settings{Name: "lung"}, Err: errors.New("kind: want bulk or search")}},
	}, nil
}

func (p *pulls) Start(_ context.Context, name string) (pull.Run, error) {
	p.acts = append(p.acts, "start "+name)
	return pull.Run{}, errBusy
}

func (p *pulls) Cancel(_ context.Context, name string) (pull.Run, error) {
	p.acts = append(p.acts, "cancel "+name)
	return p.run(), nil
}

func (p *pulls) Runs(_ context.Context, name string, limit int) ([]pull.Run, error) {
	p.acts = append(p.acts, fmt.Sprintf("%d of %s", limit, name))
	return []pull.Run{p.run()}, nil
}

func TestPulls(t *testing.T) {
	t.Parallel()
	p := new(pulls)
	s := newSite(t, func(c *Config) { c.Pulls = p })
	status, _, body := s.send(http.MethodGet, "/v1/ingest/pulls", "", nil)
	require.Equal(t, http.StatusOK, status)
	list := decode[PullsList](t, body).Pulls
	require.Len(t, list, 2)
	require.Equal(t, "3", list[0].Last.ID)
	require.Equal(t, start, *list[0].Next)
	require.Equal(t, Pull{Name: "lung", Error: "kind: want bulk or search"}, list[1])

	status, _, body = s.send(http.MethodGet, "/v1/ingest/pulls/heart/runs?limit=1", "", nil)
	require.Equal(t, http.StatusOK, status)
	run := decode[PullRuns](t, body).Runs[0]
	require.Equal(t, []PullFile{{Kind: "output", Type: "Patient", Fetched: true, FileID: "00ff", JobID: "7"}, {Kind: "deleted"}}, run.Files)
	require.Equal(t, map[string]int64{"deleted Observation": 2}, run.Findings)
	require.Nil(t, run.Ended)

	status, _, body = s.send(http.MethodPost, "/v1/ingest/pulls/heart/runs", "", nil)
	require.Equal(t, http.StatusConflict, status)
	require.Contains(t, body, errBusy.Public)
	status, _, body = s.send(http.MethodPost, "/v1/ingest/pulls/heart/cancel", "", nil)
	require.Equal(t, http.StatusOK, status, body)
	require.Equal(t, []string{"1 of heart", "start heart", "cancel heart"}, p.acts)

	for _, path := range []string{"/v1/ingest/pulls", "/v1/ingest/pulls/heart/runs"} {
		status, _, _ = s.sendAs("", http.MethodGet, path, "", nil)
		require.Equal(t, http.StatusUnauthorized, status, path)
	}
}

func TestNodeThatFetchesFromNowhere(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	status, _, body := s.send(http.MethodGet, "/v1/ingest/pulls", "", nil)
	require.Equal(t, http.StatusOK, status)
	require.Empty(t, decode[PullsList](t, body).Pulls)
	status, _, _ = s.send(http.MethodPost, "/v1/ingest/pulls/heart/runs", "", nil)
	require.Equal(t, http.StatusNotFound, status)
}
