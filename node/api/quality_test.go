package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/node/report"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// quality keeps a report in memory.
type quality struct {
	mu   sync.Mutex
	last *report.Report
	err  error
}

func (q *quality) Last(context.Context) (report.Report, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.last == nil {
		return report.Report{}, report.ErrNone
	}
	return *q.last, q.err
}

func (q *quality) Run(context.Context) (report.Report, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return report.Report{}, q.err
	}
	q.last = &report.Report{
		Notice: report.Notice, Context: "verification", Started: start, Ended: start, Passed: true,
		Rows: []report.TableRows{{Table: "person", Rows: 12}}, Summary: []report.Sum{{Category: report.Conformance, Passed: 1}},
		Checks:    []report.Check{{ID: "person.gender-concept", Category: report.Conformance, Subcategory: report.Value, Table: "person", Denominator: 12, Severity: report.Flag, Passed: true}},
		Variables: []report.Distribution{},
	}
	return *q.last, nil
}

func TestAQualityReportIsMadeAndShown(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	status, _, body := s.send(http.MethodGet, "/v1/quality", "", nil)
	require.Equal(t, http.StatusNotFound, status)
	require.Contains(t, body, "node quality run")
	_, _, body = s.sendAs("", http.MethodGet, "/quality", "", nil)
	require.Contains(t, body, "No report was made yet")

	status, _, body = s.send(http.MethodPost, "/v1/quality/runs", "", nil)
	require.Equal(t, http.StatusOK, status, body)
	made := decode[report.Report](t, body)
	require.Equal(t, "person.gender-concept", made.Checks[0].ID)
	_, _, body = s.send(http.MethodGet, "/v1/quality", "", nil)
	require.Equal(t, made, decode[report.Report](t, body))

	status, header, body := s.sendAs("", http.MethodGet, "/quality", "", nil)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "text/html; charset=utf-8", header.Get("Content-Type"))
	require.Contains(t, body, "Data quality of st-anna")
	require.Regexp(t, `<th scope="row">7</th>`, body, "the latest load")
	require.NotContains(t, body, "st-anna.json", "the name of a file may be a patient's")
	require.NotContains(t, body, "style=", "the security policy forbids it")
	status, header, _ = s.sendAs("", http.MethodGet, report.StylePath, "", nil)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "text/css; charset=utf-8", header.Get("Content-Type"))

	for _, path := range []string{"GET /v1/quality", "POST /v1/quality/runs", "GET /v1/ingest/jobs/7/report"} {
		method, path, _ := strings.Cut(path, " ")
		status, _, _ = s.sendAs("", method, path, "", nil)
		require.Equal(t, http.StatusUnauthorized, status, path)
	}
}

func TestARunThatCannotBeSaysWhy(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *Config) { c.Quality = &quality{err: report.ErrRunning} })
	status, _, body := s.send(http.MethodPost, "/v1/quality/runs", "", nil)
	require.Equal(t, http.StatusConflict, status, body)
	s = newSite(t, func(c *Config) { c.Quality = &quality{err: fmt.Errorf("bug with %s", thePatient)} })
	status, _, body = s.send(http.MethodPost, "/v1/quality/runs", "", nil)
	require.Equal(t, http.StatusInternalServerError, status)
	require.NotContains(t, body, thePatient)
}

func TestALoadHasAReport(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	status, _, body := s.send(http.MethodGet, "/v1/ingest/jobs/7/report", "", nil)
	require.Equal(t, http.StatusOK, status, body)
	l := decode[report.Load](t, body)
	require.Equal(t, "7", l.JobID)
	require.Len(t, l.Categories, 3)
	require.NotEmpty(t, l.Rules)
	var unmapped int64
	for _, r := range l.Rules {
		if r.Outcome == report.Unmapped {
			unmapped += r.Count
		}
	}
	require.EqualValues(t, 4, unmapped)
	status, _, body = s.send(http.MethodGet, "/v1/ingest/jobs/8/report", "", nil)
	require.Equal(t, http.StatusNotFound, status)
	require.Equal(t, "urn:trialmesh:problem:"+string(problem.NotFound), decode[problem.Document](t, body).Type)
	status, _, _ = s.send(http.MethodGet, "/v1/ingest/jobs/x/report", "", nil)
	require.Equal(t, http.StatusUnprocessableEntity, status)
}
