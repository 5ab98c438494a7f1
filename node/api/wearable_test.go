package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/node/wearable"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// wearables is one connection.
type wearables struct{ acts []string }

var errState = problem.New(problem.Refused, "the redirect is not the answer that is waited for")

func (w *wearables) one() wearable.Connection {
	return wearable.Connection{ID: 3, Maker: "oura", Patient: "p1", State: wearable.Over, Connected: start, Asked: start, Began: start, Error: "the authorization is over"}
}

func (w *wearables) List(context.Context) ([]wearable.Connection, error) {
	return []wearable.Connection{w.one()}, nil
}

func (w *wearables) Begin(_ context.Context, maker, patient, timezone string) (wearable.Authorization, error) {
	w.acts = append(w.acts, fmt.Sprintf("begin %s %s %s", maker, patient, timezone))
	return wearable.Authorization{URL: "https://maker.example/?state=s", Redirect: "http://127.0.0.1:1/", Expires: start}, nil
}

func (w *wearables) Complete(_ context.Context, redirected string) (wearable.Connection, error) {
	w.acts = append(w.acts, "complete "+redirected)
	return wearable.Connection{}, errState
}

func (w *wearables) Pull(_ context.Context, id int64, since time.Time) (wearable.Connection, error) {
	w.acts = append(w.acts, fmt.Sprintf("pull %d since %s", id, since.Format(time.DateOnly)))
	return w.one(), nil
}

func (w *wearables) Disconnect(_ context.Context, id int64) (bool, error) {
	w.acts = append(w.acts, fmt.Sprintf("disconnect %d", id))
	return true, nil
}

func TestWearables(t *testing.T) {
	t.Parallel()
	w := new(wearables)
	s := newSite(t, func(c *Config) { c.Wearables = w })
	const connections = "/v1/wearables/connections"
	status, _, body := s.send(http.MethodGet, connections, "", nil)
	require.Equal(t, http.StatusOK, status)
	list := decode[WearablesList](t, body).Connections
	require.Len(t, list, 1)
	require.Equal(t, Wearable{
		ID: "3", Maker: "oura", Patient: "p1", State: "needs connecting again", Connected: start, Asked: start, Began: &start, Error: "the authorization is over",
	}, list[0])

	for _, c := range []struct {
		path, body string
		status     int
	}{
		{"/v1/wearables/authorizations", `{"maker":"oura","patient":"p1","timezone":"UTC"}`, http.StatusOK},
		{"/v1/wearables/authorizations", `{"maker":"oura"}`, http.StatusUnprocessableEntity},
		{connections, `{"redirected":"http://127.0.0.1:1/?code=a-code&state=s"}`, http.StatusForbidden},
		{connections + "/3/pull", `{}`, http.StatusOK},
		{connections + "/3/pull", `{"since":"2026-01-01T00:00:00Z"}`, http.StatusOK},
		{connections + "/heart/pull", `{}`, http.StatusUnprocessableEntity},
		{connections + "/3/disconnect", "", http.StatusOK},
	} {
		status, _, body := s.send(http.MethodPost, c.path, "application/json", strings.NewReader(c.body))
		require.Equal(t, c.status, status, "%s %s", c.path, body)
		require.NotContains(t, body, "a-code")
		status, _, _ = s.sendAs("", http.MethodPost, c.path, "application/json", strings.NewReader(c.body))
		require.Equal(t, http.StatusUnauthorized, status, c.path)
	}
	require.Equal(t, []string{
		"begin oura p1 UTC", "complete http://127.0.0.1:1/?code=a-code&state=s", "pull 3 since 0001-01-01", "pull 3 since 2026-01-01", "disconnect 3",
	}, w.acts)
}

func TestNodeThatAsksNoMaker(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	status, _, body := s.send(http.MethodGet, "/v1/wearables/connections", "", nil)
	require.Equal(t, http.StatusOK, status)
	require.Empty(t, decode[WearablesList](t, body).Connections)
	status, _, _ = s.send(http.MethodPost, "/v1/wearables/connections/3/disconnect", "", nil)
	require.Equal(t, http.StatusNotFound, status)
}
