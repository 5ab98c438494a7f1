package pull

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/partner/fhirserver/servertest"
	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

// TestExportIsLoaded: a published export of a group, from the request to the rows, and again
// after a month, when nothing has changed.
func TestExportIsLoaded(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newWholeSite(t, db)
		server := s.server(servertest.Config{Output: bulk(t), Polls: 2})
		s.settings(server, "kind: bulk", "group: heart-trial", "types: [Patient, Encounter, Condition]")
		p := s.open()
		s.run(p)
		r := s.fetch(p)
		require.Empty(t, r.Error)
		require.Equal(t, bulkRecords, s.records(r))
		require.Equal(t, int64(13), s.persons())
		require.Equal(t, "Patient", r.Files[0].Type)
		require.Equal(t, "Encounter", r.Files[1].Type)
		require.True(t, r.Since.IsZero())
		require.Eventually(t, func() bool { return server.Deleted() == 1 }, time.Minute, time.Millisecond)
		require.Contains(t, server.Asked(servertest.Kickoff)[0], "GET Group/heart-trial/$export?")
		require.NotContains(t, server.Asked(servertest.Kickoff)[0], "_since")

		s.clock.pass(30 * 24 * time.Hour)
		again := s.fetch(p)
		require.Equal(t, r.Until, again.Since)
		require.Contains(t, server.Asked(servertest.Kickoff)[1], "_since="+strings.ReplaceAll(r.Until.Format("2006-01-02T15:04:05.000Z"), ":", "%3A"))
		require.Equal(t, int64(13), s.persons())
		require.Equal(t, r.Files[0].Job, again.Files[0].Job, "patients without a problem are not loaded twice")
	})
}

func TestSinceIsOfTheSameQuestion(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t))
	server := s.server(servertest.Config{Output: []servertest.File{{Type: "Patient", Content: []byte(patients(1))}}})
	p := s.open()
	s.run(p)
	var first Run
	for i, c := range []struct {
		lines []string
		since func() time.Time
	}{
		{[]string{"types: [Patient]"}, func() time.Time { return time.Time{} }},
		{[]string{"types: [Patient]", "schedule: \"0 3 * * *\""}, func() time.Time { return first.Until }},
		{[]string{"types: [Patient, Observation]"}, func() time.Time { return time.Time{} }}, // of observations nothing is known yet
		{[]string{"types: [Patient]", "whole: true"}, func() time.Time { return time.Time{} }},
		{[]string{"types: [Patient]", "since: 2020-01-01"}, func() time.Time { return time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC) }},
	} {
		s.settings(server, append(c.lines, "kind: bulk")...)
		want := c.since()
		r := s.fetch(p)
		require.Equal(t, want, r.Since, c.lines)
		if i == 0 {
			first = r
		}
	}
}

// TestRunOfAProcessThatDied goes on with the same export in the next process, and fetches no
// file again that the loads have.
func TestRunOfAProcessThatDied(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		server := s.server(servertest.Config{Output: bulk(t)})
		s.settings(server, "kind: bulk")
		var stop func()
		die := func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
			go stop()
			<-r.Context().Done()
		}
		p := s.open()
		stop = s.run(p)
		server.Once(servertest.Status, die) // while the server works on it
		_, err := p.Start(t.Context(), "heart")
		require.NoError(t, err)
		require.Eventually(t, func() bool { return len(server.Asked(servertest.Status)) == 1 }, time.Minute, time.Millisecond)
		stop()
		require.Equal(t, Exporting, s.latest(p).State)

		next := s.open()
		for range 3 {
			server.Once(servertest.Content, func(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc) { serve(w, r) })
		}
		server.Once(servertest.Content, die) // in the middle of the files
		stop = s.run(next)
		require.Eventually(t, func() bool { return len(server.Asked(servertest.Content)) == 4 }, time.Minute, time.Millisecond)
		stop()
		require.Equal(t, Fetching, s.latest(next).State)

		last := s.open()
		s.run(last)
		r := s.ended(last)
		require.Equal(t, Completed, r.State, r.Error)
		require.Equal(t, bulkRecords, s.records(r))
		require.Len(t, server.Asked(servertest.Kickoff), 1)
		require.Len(t, server.Asked(servertest.Content), len(r.Files)+1, "one was broken off")
		require.Eventually(t, func() bool { return server.Deleted() == 1 }, time.Minute, time.Millisecond)
	})
}

func TestWhatTheServerSaysIsGoneIsCounted(t *testing.T) {
	t.Parallel()
	s := newWholeSite(t, sqltest.SQLite(t))
	gone := `{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"DELETE","url":"Observation/1"}},{"request":{"method":"DELETE","url":"Observation/2"}}]}` + "\n" +
		`{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"DELETE","url":"Patient/p1"}}]}`
	server := s.server(servertest.Config{
		Output:  []servertest.File{{Type: "Patient", Content: zipped(t, patients(1, 2))}, {Type: "Device"}},
		Deleted: []servertest.File{{Content: []byte(gone)}},
		Errors: []servertest.File{{Type: "OperationOutcome", Content: []byte(
			`{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"processing","diagnostics":"Erika Mustermann"},{"severity":"warning","code":"Erika"}]}` + "\n" + `junk`)}},
	})
	s.settings(server, "kind: bulk", "patients: true")
	p := s.open()
	s.run(p)
	r := s.fetch(p)
	require.Equal(t, WithProblems, r.State)
	require.Equal(t, map[string]int64{"deleted Observation": 2, "deleted Patient": 1, "server: error processing": 1, "server: malformed": 2}, r.Findings)
	require.Equal(t, int64(2), s.persons(), "the site decides what becomes of a patient")
	require.Len(t, r.Files, 4)
	require.Equal(t, File{Kind: Output, Type: "Device", Fetched: true}, File{Kind: r.Files[1].Kind, Type: r.Files[1].Type, Fetched: r.Files[1].Fetched, Job: r.Files[1].Job}, "an empty file has no load")
	list := r.Files[2]
	require.Equal(t, Deleted, list.Kind)
	digest, err := raw.ParseDigest(list.Digest)
	require.NoError(t, err)
	require.NoError(t, s.raw.Verify(t.Context(), digest), "the list is kept")
	problems, err := s.service.Problems(t.Context(), list.Job, 0, 10)
	require.NoError(t, err)
	require.Len(t, problems, 3, "each with its place")
}

func TestTroubleOfAServer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind   string
		fault  servertest.Fault
		times  int
		state  State
		reason string
		over   int // exports that were ended
	}{
		"busy for a while":       {servertest.Kickoff, servertest.Busy(503, ""), 20, Completed, "", 1},
		"files break off":        {servertest.Content, servertest.Cut(10), 20, Completed, "", 1},
		"busy for longer":        {servertest.Status, servertest.Busy(503, ""), 1000, Failed, "status 503", 1},
		"export fails":           {servertest.Status, servertest.Outcome(500, "exception"), 1, Failed, "status 500 (exception)", 1},
		"export is forgotten":    {servertest.Status, servertest.Outcome(404, "not-found"), 1, Failed, "status 404 (not-found)", 1},
		"refused":                {servertest.Kickoff, servertest.Outcome(403, "forbidden"), 1, Failed, "status 403 (forbidden)", 0},
		"key is not registered":  {servertest.Token, servertest.Outcome(400, "invalid_client"), 1, Failed, "(invalid_client)", 0},
		"files are elsewhere":    {servertest.Content, servertest.Redirect("https://elsewhere.example/f"), 1, Failed, "origins", 1},
		"end of it is not taken": {servertest.End, servertest.Busy(500, ""), 1, Completed, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, sqltest.SQLite(t))
			server := s.server(servertest.Config{Output: []servertest.File{{Type: "Patient", Content: []byte(patients(1, 2, 3))}}})
			s.settings(server, "kind: bulk")
			for range c.times {
				server.Once(c.kind, c.fault)
			}
			p := s.open(func(cfg *Config) { cfg.Patience = 2 * time.Hour })
			s.run(p)
			r := s.fetch(p)
			require.Equal(t, c.state, r.State, r.Error)
			require.Contains(t, r.Error, c.reason)
			require.NotContains(t, r.Error, "Erika")
			require.Eventually(t, func() bool { return server.Deleted() == c.over }, time.Minute, time.Millisecond)
			if c.state == Completed {
				require.Empty(t, r.Error)
				require.Equal(t, map[string]int64{"Patient": 3}, s.records(r))
			}
		})
	}
}

func TestCancelledRunEndsAtTheServer(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t))
	server := s.server(servertest.Config{Polls: 1 << 30})
	s.settings(server, "kind: bulk")
	p := s.open()
	s.run(p)
	_, err := p.Cancel(t.Context(), "heart")
	require.ErrorIs(t, err, errNoRun)
	_, err = p.Start(t.Context(), "heart")
	require.NoError(t, err)
	_, err = p.Start(t.Context(), "heart")
	require.ErrorIs(t, err, errUnderWay)
	require.Eventually(t, func() bool { return s.latest(p).Progress != "" }, time.Minute, time.Millisecond)
	r, err := p.Cancel(t.Context(), "heart")
	require.NoError(t, err)
	require.Equal(t, Cancelled, r.State)
	require.Eventually(t, func() bool { return server.Deleted() == 1 }, time.Minute, time.Millisecond)
	require.Equal(t, Cancelled, s.latest(p).State)
	_, err = p.Start(t.Context(), "heart")
	require.NoError(t, err)
}
