package outbox

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

// TestMessagesReachTheEHR: one of each type, once, under an identifier of the node's.
func TestMessagesReachTheEHR(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		e := newEHR(t)
		s := newSite(t, db, e)
		o, run := s.open()
		sent := s.send(o, bundle)
		require.Len(t, sent, 5)
		run()
		for _, m := range sent {
			got := s.until(o, m.ID, Delivered)
			require.Equal(t, 1, got.Attempts)
			require.Empty(t, got.Error)
			require.False(t, got.Ended.IsZero())
			list := e.holds(m.Type)
			require.Len(t, list, 1)
			require.Equal(t, got.Reference, m.Type+"/"+list[0]["id"].(string))
			require.NotEqual(t, "x", list[0]["id"])
			require.Contains(t, list[0]["identifier"], map[string]any{"system": system, "value": m.Identifier})
		}
		require.Len(t, e.holds("ServiceRequest")[0]["identifier"], 2, "its own is kept")
		require.Equal(t, "5 < 6", e.holds("Communication")[0]["payload"].([]any)[0].(map[string]any)["contentString"])

		again := s.send(o, bundle)
		for i := range again {
			require.Equal(t, sent[i].ID, again[i].ID)
			require.Equal(t, Delivered, again[i].State)
		}
		require.Len(t, e.requests(), 5)
		require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
			var kept int
			err := tx.QueryRow(t.Context(), `SELECT COUNT(*) FROM outbox_message WHERE content IS NOT NULL`).Scan(&kept)
			require.Zero(t, kept, "content is dropped when the EHR has it")
			return err
		}))
	})
}

// TestAnswerThatIsLost: what the server has is not sent again, or not kept again.
func TestAnswerThatIsLost(t *testing.T) {
	t.Parallel()
	for name, plain := range map[string]bool{"conditional create": false, "search": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEHR(t)
			e.plain = plain
			e.breaks(lost)
			s := newSite(t, sqltest.SQLite(t), e)
			o, run := s.open()
			m := s.send(o, task)[0]
			run()
			m = s.until(o, m.ID, Delivered)
			require.Len(t, e.holds("Task"), 1)
			require.Equal(t, 2, m.Attempts)
			require.NotEmpty(t, m.Reference)
			want := []string{"POST /fhir/Task", "GET /fhir/metadata", "POST /fhir/Task"}
			if plain {
				want[2] = "GET /fhir/Task"
			}
			require.Equal(t, want, e.requests())
		})
	}
}

func TestServerInTrouble(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]fault{
		"busy":       outcome(http.StatusServiceUnavailable, "transient"),
		"stumbles":   outcome(http.StatusInternalServerError, "exception"),
		"locked":     outcome(http.StatusConflict, "lock-error"),
		"turns away": outcome(http.StatusForbidden, "forbidden"),
		"elsewhere":  outcome(http.StatusFound, "processing", "Location", "/fhir/Task"),
		"strange":    outcome(http.StatusAccepted, "processing"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEHR(t)
			e.breaks(f, f)
			s := newSite(t, sqltest.SQLite(t), e)
			o, run := s.open()
			m := s.send(o, task)[0]
			run()
			m = s.until(o, m.ID, Delivered)
			require.Equal(t, 3, m.Attempts)
			require.Empty(t, m.Error)
			require.Len(t, e.holds("Task"), 1)
		})
	}
}

// TestServerThatAsksToWait rests, for this message and for others, until the site says now.
func TestServerThatAsksToWait(t *testing.T) {
	t.Parallel()
	e := newEHR(t)
	e.breaks(outcome(http.StatusTooManyRequests, "throttled", "Retry-After", "1200"))
	s := newSite(t, sqltest.SQLite(t), e)
	o, run := s.open(s.byClock)
	first := s.send(o, task)[0]
	run()
	first = s.awaits(o, first.ID, func(m Message) bool { return m.Error != "" })
	require.Equal(t, Waiting, first.State)
	require.Equal(t, "create of a Task: the server answered with status 429 (throttled) at Task.intent", first.Error)
	require.Equal(t, s.Now().Add(20*time.Minute), first.Next)
	require.Positive(t, o.rests.begin("ehr", s.Now()))

	s.retry(o, first.ID)
	s.until(o, first.ID, Delivered)
}

func TestRefusedMessage(t *testing.T) {
	t.Parallel()
	e := newEHR(t)
	e.breaks(outcome(http.StatusUnprocessableEntity, "invariant"), outcome(http.StatusUnprocessableEntity, "invariant"))
	s := newSite(t, sqltest.SQLite(t), e)
	o, run := s.open()
	m := s.send(o, task)[0]
	run()
	m = s.until(o, m.ID, Failed)
	require.Equal(t, "create of a Task: the server answered with status 422 (invariant) at Task.intent", m.Error)
	dead, err := o.Messages(t.Context(), 0, 10, Failed)
	require.NoError(t, err)
	require.Equal(t, []Message{m}, dead)

	_, err = o.Retry(t.Context(), m.ID)
	require.NoError(t, err)
	m = s.awaits(o, m.ID, func(m Message) bool { return m.Attempts == 2 && m.State == Failed })
	require.Equal(t, m.ID, s.send(o, task)[0].ID, "sending it again is a way to try it again")
	m = s.until(o, m.ID, Delivered)
	require.Equal(t, 3, m.Attempts)
	_, err = o.Retry(t.Context(), m.ID)
	require.ErrorIs(t, err, errOver)
	_, err = o.Cancel(t.Context(), m.ID)
	require.ErrorIs(t, err, errEnded)
}

func TestPatienceEnds(t *testing.T) {
	t.Parallel()
	e := newEHR(t)
	s := newSite(t, sqltest.SQLite(t), e)
	e.breaks(func(w http.ResponseWriter, _ func() *httptest.ResponseRecorder) {
		s.pass(8 * 24 * time.Hour)
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	o, run := s.open(s.byClock)
	m := s.send(o, task)[0]
	run()
	m = s.until(o, m.ID, Failed)
	require.Contains(t, m.Error, "status 503")
	require.Equal(t, 1, m.Attempts)
}

func TestCancelledMessageIsNotSent(t *testing.T) {
	t.Parallel()
	e := newEHR(t)
	s := newSite(t, sqltest.SQLite(t), e)
	o, run := s.open()
	gone, next := s.send(o, task)[0], s.send(o, `{"resourceType":"ResearchStudy","status":"active"}`)[0]
	_, err := o.Cancel(t.Context(), gone.ID)
	require.NoError(t, err)
	run()
	s.until(o, next.ID, Delivered)
	require.Equal(t, []string{"POST /fhir/ResearchStudy"}, e.requests())
	_, err = o.Retry(t.Context(), gone.ID)
	require.ErrorIs(t, err, errOver)
	require.Equal(t, gone.ID, s.send(o, task)[0].ID)
	s.until(o, gone.ID, Delivered)
}

// TestMessageThatIsCancelledTooLate is delivered, as the EHR has it.
func TestMessageThatIsCancelledTooLate(t *testing.T) {
	t.Parallel()
	e := newEHR(t)
	s := newSite(t, sqltest.SQLite(t), e)
	o, run := s.open()
	m := s.send(o, task)[0]
	e.breaks(func(w http.ResponseWriter, serve func() *httptest.ResponseRecorder) {
		answer := serve()
		_, err := o.Cancel(t.Context(), m.ID)
		require.NoError(t, err)
		w.WriteHeader(answer.Code)
	})
	run()
	s.until(o, m.ID, Delivered)
}

func TestHeldNodeSendsNothing(t *testing.T) {
	t.Parallel()
	e := newEHR(t)
	s := newSite(t, sqltest.SQLite(t), e)
	o, run := s.open(func(cfg *Config) { cfg.Held = true })
	m := s.send(o, task)[0]
	stop := run()
	require.Eventually(t, func() bool { return attempts(t, o) > 0 }, time.Minute, 10*time.Millisecond)
	stop()
	require.Empty(t, e.requests())
	next, run := s.open()
	run()
	s.retry(next, m.ID)
	s.until(next, m.ID, Delivered)
}

// TestEndpointThatIsRegisteredNoMore gets nothing until it is again.
func TestEndpointThatIsRegisteredNoMore(t *testing.T) {
	t.Parallel()
	e := newEHR(t)
	s := newSite(t, sqltest.SQLite(t), e)
	o, run := s.open()
	m := s.send(o, task)[0]
	s.settings("types: [ResearchStudy]", "url: "+e.http.URL+"/fhir")
	run()
	m = s.awaits(o, m.ID, func(m Message) bool { return m.Error != "" })
	require.Contains(t, m.Error, "not registered for Task any more")
	require.Zero(t, m.Attempts)
	require.Empty(t, e.requests())
	s.settings("url: " + e.http.URL + "/fhir")
	s.until(o, m.ID, Delivered)
}

// attempts is how many attempts at jobs of the queue of o came to an end.
func attempts(t *testing.T, o *Outbox) (n float64) {
	t.Helper()
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(o.cfg.Jobs.Collectors()...)
	families, err := metrics.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			n += m.GetCounter().GetValue()
		}
	}
	return n
}
