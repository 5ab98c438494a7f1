package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/node/outbox"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// letters is an outbox with one message, that failed.
type letters struct{ acts []string }

var errDelivered = problem.New(problem.Conflict, "the message was delivered")

func (l *letters) message() outbox.Message {
	return outbox.Message{ID: 7, Endpoint: "ehr", Type: "Task", Identifier: "00ff", State: outbox.Failed, Asked: start, Tried: start, Ended: start, Attempts: 2, Error: "status 422"}
}

func (l *letters) Send(_ context.Context, endpoint string, r io.Reader) ([]outbox.Message, error) {
	text, err := io.ReadAll(r)
	l.acts = append(l.acts, "send to "+endpoint+" "+strconv.Itoa(len(text)))
	return []outbox.Message{l.message()}, err
}

func (l *letters) Message(context.Context, outbox.ID) (outbox.Message, error) {
	return l.message(), nil
}

func (l *letters) Messages(_ context.Context, before outbox.ID, limit int, state outbox.State) ([]outbox.Message, error) {
	l.acts = append(l.acts, strconv.Itoa(limit)+" "+string(state)+" before "+strconv.Itoa(int(before)))
	return []outbox.Message{l.message()}, nil
}

func (l *letters) Retry(_ context.Context, id outbox.ID) (outbox.Message, error) {
	l.acts = append(l.acts, "retry "+strconv.Itoa(int(id)))
	return l.message(), nil
}

func (*letters) Cancel(context.Context, outbox.ID) (outbox.Message, error) {
	return outbox.Message{}, errDelivered
}

func (*letters) Endpoints() ([]outbox.Entry, error) {
	return []outbox.Entry{
		{Endpoint: outbox.Endpoint{Name: "ehr", URL: "https://ehr.example", Types: []string{"Task"}}},
		{Endpoint: outbox.Endpoint{Name: "lab"}, Err: errors.New("url: required")},
	}, nil
}

func TestWriteback(t *testing.T) {
	t.Parallel()
	l := new(letters)
	s := newSite(t, func(c *Config) { c.Outbox = l })
	status, _, body := s.send(http.MethodPost, "/v1/writeback?to=ehr", "application/fhir+json", strings.NewReader("{}"))
	require.Equal(t, http.StatusAccepted, status, body)
	m := decode[Messages](t, body).Messages[0]
	require.Equal(t, "7", m.ID)
	require.Equal(t, start, *m.Ended)
	require.Nil(t, m.Next)

	status, _, body = s.send(http.MethodGet, "/v1/writeback?state=failed&before=9&limit=2", "", nil)
	require.Equal(t, http.StatusOK, status, body)
	require.Equal(t, []Message{m}, decode[Messages](t, body).Messages)
	status, _, body = s.send(http.MethodGet, "/v1/writeback/7", "", nil)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, m, decode[Message](t, body))
	status, _, _ = s.send(http.MethodPost, "/v1/writeback/7/retry", "", nil)
	require.Equal(t, http.StatusOK, status)
	status, _, body = s.send(http.MethodPost, "/v1/writeback/7/cancel", "", nil)
	require.Equal(t, http.StatusConflict, status)
	require.Contains(t, body, errDelivered.Public)
	status, _, body = s.send(http.MethodGet, "/v1/writeback/endpoints", "", nil)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, []Endpoint{{Name: "ehr", URL: "https://ehr.example", Types: []string{"Task"}}, {Name: "lab", Types: []string{}, Error: "url: required"}}, decode[Endpoints](t, body).Endpoints)
	require.Equal(t, []string{"send to ehr 2", "2 failed before 9", "retry 7"}, l.acts)

	status, _, _ = s.send(http.MethodPost, "/v1/writeback?to=ehr", "application/fhir+json", strings.NewReader(strings.Repeat(" ", outbox.MaxDocument+1)))
	require.Equal(t, http.StatusRequestEntityTooLarge, status)
	for _, path := range []string{"/v1/writeback?state=lost", "/v1/writeback/0", "/v1/writeback/x"} {
		status, _, _ = s.send(http.MethodGet, path, "", nil)
		require.Equal(t, http.StatusUnprocessableEntity, status, path)
	}
	for _, path := range []string{"/v1/writeback", "/v1/writeback/7", "/v1/writeback/endpoints"} {
		status, _, _ = s.sendAs("", http.MethodGet, path, "", nil)
		require.Equal(t, http.StatusUnauthorized, status, path)
	}
	status, _, _ = s.sendAs("", http.MethodPost, "/v1/writeback?to=ehr", "", nil)
	require.Equal(t, http.StatusUnauthorized, status)
}

func TestNodeThatWritesNowhere(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	status, _, body := s.send(http.MethodGet, "/v1/writeback", "", nil)
	require.Equal(t, http.StatusOK, status)
	require.Empty(t, decode[Messages](t, body).Messages)
	for _, path := range []string{"/v1/writeback?to=ehr", "/v1/writeback/1/retry", "/v1/writeback/1/cancel"} {
		status, _, _ = s.send(http.MethodPost, path, "", nil)
		require.Equal(t, http.StatusNotFound, status, path)
	}
}
