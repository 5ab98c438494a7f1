package api

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

func TestEverythingNeedsTheTokenButHealth(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	protected := map[string]string{
		filesPath: http.MethodPost, consentsPath: http.MethodPost, "/v1/consents?": http.MethodGet, "/v1/ingest/jobs": http.MethodGet,
		"/v1/ingest/jobs/7": http.MethodGet, "/v1/ingest/jobs/7/retry": http.MethodPost, "/v1/ingest/jobs/7/cancel": http.MethodPost,
		"/v1/variables": http.MethodGet, "/v1/variables/versions": http.MethodGet, "/v1/units": http.MethodGet, codesPath: http.MethodGet,
		codesPath + "/versions": http.MethodGet, codesPath + "/unmapped": http.MethodGet, codesPath + "/export": http.MethodGet, "/v1/series": http.MethodGet,
		"/v1/status": http.MethodGet, "/v1/audit": http.MethodGet, "/metrics": http.MethodGet,
	}
	for path, method := range protected {
		for _, authorization := range []string{
			"", "Bearer", "Bearer ", "Bearer x", "Bearer " + token + "x", "Bearer " + token[:len(token)-1], "Basic " + token, token,
		} {
			status, header, body := s.sendAs(authorization, method, path, "", strings.NewReader(""))
			require.Equal(t, http.StatusUnauthorized, status, "%s with %q", path, authorization)
			challenge := "Bearer"
			if scheme, text, _ := strings.Cut(authorization, " "); scheme == "Bearer" && text != "" {
				challenge = `Bearer error="invalid_token"`
			}
			require.Equal(t, challenge, header.Get("WWW-Authenticate"))
			require.Equal(t, "urn:trialmesh:problem:unauthorized", decode[problem.Document](t, body).Type)
		}
		status, _, body := s.sendAs("bearer "+token, method, path, "", strings.NewReader(""))
		require.Less(t, status, 300, "%s: %s", path, body)
	}
	for _, path := range []string{"/healthz", "/readyz", "/openapi.json", "/style.css"} {
		status, _, _ := s.sendAs("", http.MethodGet, path, "", nil)
		require.Equal(t, http.StatusOK, status, path)
	}
	require.NotContains(t, s.logged.String(), token)
}

func TestATokenMustBeLong(t *testing.T) {
	t.Parallel()
	s := new(site)
	_, err := New(Config{Token: "short", Loads: s, Consents: s})
	require.ErrorContains(t, err, "at least 32 characters")
}

// The page is for whoever sits at the machine, and holds no record.
func TestTheStatusPageIsShownOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for name, c := range map[string]struct {
		remote, host string
		want         bool
	}{
		"here":                          {"127.0.0.1:5000", "127.0.0.1:7421", true},
		"here by name":                  {"127.0.0.1:5000", "localhost:7421", true},
		"here by IPv6":                  {"[::1]:5000", "[::1]:7421", true},
		"here without a port":           {"127.0.0.1:5000", "127.0.0.1", true},
		"another machine":               {"192.0.2.1:5000", "127.0.0.1:7421", false},
		"another name for this machine": {"127.0.0.1:5000", "rebound.example:7421", false},
		"another address":               {"127.0.0.1:5000", "192.0.2.1:7421", false},
		"no address":                    {"", "127.0.0.1", false},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.RemoteAddr, r.Host = c.remote, c.host
		require.Equal(t, c.want, onLoopback(r), name)
	}
	status, _, _ := s.sendAs("", http.MethodGet, "/", "", nil)
	require.Equal(t, http.StatusOK, status)
}

var external = regexp.MustCompile(`(?i)(https?:)?//[a-z]|<script|javascript:| on[a-z]+=|style=`)

func TestTheStatusPage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.decide(audit.Record{At: start, Event: audit.QuestionRefused, Subject: "<b>", Rule: "trial.closed"})
	status, header, body := s.sendAs("", http.MethodGet, "/", "", nil)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, header.Get("Content-Security-Policy"), "default-src 'none'; style-src 'self'")
	for _, want := range []string{"<title>Trialmesh node st-anna</title>", "connected", "person", "1234", "bp-trial", "refused by release.cell-threshold", "5.4 GB", "trial.closed", "&lt;b&gt;"} {
		require.Contains(t, body, want)
	}
	require.NotContains(t, body, "st-anna.json", "the name of a file may name a patient")
	require.False(t, external.MatchString(body), external.FindString(body))
	require.NotContains(t, body, "<no value>")
}

func TestTheStateIsTold(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, _, body := s.send(http.MethodGet, "/v1/status", "", nil)
	require.Equal(t, s.status, decode[Status](t, body))
	_, _, body = s.send(http.MethodGet, consentsPath, "", nil)
	require.Equal(t, s.status.Consents, decode[AllConsents](t, body).Consents)
	s.decide(audit.Record{At: start, Event: audit.EpochPublished, Subject: "bp-trial"})
	_, _, body = s.send(http.MethodGet, "/v1/audit", "", nil)
	require.Equal(t, []Decision{{At: start, Event: string(audit.EpochPublished), Subject: "bp-trial"}}, decode[Decisions](t, body).Decisions)
	s.fail(problem.New(problem.Unavailable, "busy"))
	for _, path := range []string{"/v1/status", "/readyz", "/"} {
		status, _, _ := s.send(http.MethodGet, path, "", nil)
		require.Equal(t, http.StatusServiceUnavailable, status, path)
	}
}
