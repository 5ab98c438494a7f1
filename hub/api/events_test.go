package api

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/membership"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// event is one server-sent event, or a comment.
type event struct{ id, kind, data, comment string }

// listener reads one stream of events.
type listener struct {
	t       *testing.T
	resp    *http.Response
	scanner *bufio.Scanner
}

// listen opens the stream of a question, as a client that saw an event last.
func (h *hub) listen(id, last string) *listener {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	h.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url+"/v1/queries/"+id+"/events", nil)
	require.NoError(h.t, err)
	req.Header.Set("Last-Event-ID", last)
	resp, err := h.client.Do(req)
	require.NoError(h.t, err)
	h.t.Cleanup(func() { _ = resp.Body.Close() })
	return &listener{h.t, resp, bufio.NewScanner(resp.Body)}
}

// next returns the next event or comment, io.EOF at the end of the stream.
func (l *listener) next() (event, error) {
	var e event
	for l.scanner.Scan() {
		field, value, _ := strings.Cut(l.scanner.Text(), ": ")
		switch {
		case l.scanner.Text() == "" && e != event{}:
			return e, nil
		case field == "":
			e.comment = value
		case field == "id":
			e.id = value
		case field == "event":
			e.kind = value
		case field == "data":
			e.data = value
		}
	}
	if l.scanner.Err() != nil {
		return e, l.scanner.Err()
	}
	return e, io.EOF
}

// progress returns the next progress and its event's id.
func (l *listener) progress() (query.Progress, string) {
	l.t.Helper()
	e, err := l.next()
	require.NoError(l.t, err)
	require.Equal(l.t, "progress", e.kind)
	return decode[query.Progress](l.t, e.data), e.id
}

func (l *listener) ended() {
	l.t.Helper()
	_, err := l.next()
	require.ErrorIs(l.t, err, io.EOF)
}

// A stream tells of each change until the question is over, and is resumed where it broke.
func TestEventsTellHowFarAQuestionIs(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	id, epoch := h.asked()
	l := h.listen(id.String()[:8], "")
	require.Equal(t, "text/event-stream", l.resp.Header.Get("Content-Type"))
	require.Equal(t, "no-store", l.resp.Header.Get("Cache-Control"))
	p, seen := l.progress()
	require.Equal(t, query.Open, p.State)
	require.Equal(t, query.StepAsk, p.Step)
	require.Equal(t, []query.NodeProgress{{Node: h.node.DID(), State: query.NodeAway}}, p.Nodes)
	require.Nil(t, p.WaitsUntil)

	h.set(func() { h.present = []membership.Member{{DID: h.node.DID(), State: membership.Alive, Since: start}} })
	h.must(registry.RecordAnswer{Envelope: h.seal(h.node, query.KindAnswer, query.Answer{Query: id, Step: query.StepWait})})
	p, _ = l.progress()
	if p.Nodes[0].State == query.NodeWorking { // that it is there was noticed first
		p, _ = l.progress()
	}
	require.Equal(t, []query.NodeProgress{{Node: h.node.DID(), State: query.NodeWaiting}}, p.Nodes)
	require.Equal(t, start.Add(30*time.Second), *p.WaitsUntil, "half of a minute")
	_ = l.resp.Body.Close()

	l = h.listen(id.String(), seen)
	missed, waiting := l.progress()
	require.Equal(t, p, missed, "what it did not see")
	refusal := problem.From(problem.Refusal("trial.closed", "the trial is over"))
	h.must(registry.RecordAnswer{Envelope: h.seal(h.node, query.KindAnswer, query.Answer{Query: id, Step: query.StepAsk, Refusal: &refusal})})
	p, _ = l.progress()
	require.Equal(t, []query.NodeProgress{{Node: h.node.DID(), State: query.NodeRefused, Step: query.StepAsk, Rule: "trial.closed"}}, p.Nodes)

	other := h.listen(id.String(), waiting)
	other.progress()
	h.answer(id, epoch)
	for _, each := range []*listener{l, other} {
		p, seen = each.progress()
		require.Equal(t, query.Complete, p.State)
		require.Empty(t, p.Step)
		each.ended()
	}
	over := h.listen(id.String(), seen)
	require.Equal(t, http.StatusNoContent, over.resp.StatusCode, "which tells a browser not to come back")
	again := h.listen(id.String(), "")
	require.Equal(t, http.StatusOK, again.resp.StatusCode)
	again.progress()
	again.ended()
}

// A quiet stream shows that it is alive, and ends after its time.
func TestEventStreamsAreBounded(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(c *Config) { c.beatTime, c.streamLife = time.Millisecond, time.Second })
	id, _ := h.asked()
	l := h.listen(id.String(), "")
	l.progress()
	beats := 0
	for {
		e, err := l.next()
		if err != nil {
			require.ErrorIs(t, err, io.EOF)
			break
		}
		require.Equal(t, event{comment: "beat"}, e)
		beats++
	}
	require.Positive(t, beats)
}

// One client has so many streams at once; another place is free when one ends.
func TestAClientHasSoManyStreams(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	id, epoch := h.asked()
	var open []*listener
	for range maxOfAClient {
		l := h.listen(id.String(), "")
		require.Equal(t, http.StatusOK, l.resp.StatusCode)
		l.progress()
		open = append(open, l)
	}
	require.Equal(t, http.StatusTooManyRequests, h.listen(id.String(), "").resp.StatusCode)
	h.answer(id, epoch)
	for _, l := range open {
		l.progress()
		l.ended()
	}
	l := h.listen(id.String(), "")
	require.Equal(t, http.StatusOK, l.resp.StatusCode)
	require.Equal(t, http.StatusNotFound, h.listen("0123456789", "").resp.StatusCode)
	require.Equal(t, http.StatusUnprocessableEntity, h.listen("xyz", "").resp.StatusCode)
}
