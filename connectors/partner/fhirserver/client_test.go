package fhirserver

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/partner/fhirserver/servertest"
)

// clock is time that passes only by waiting.
type clock struct {
	mu     sync.Mutex
	now    time.Time
	waited []time.Duration
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Wait(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now, c.waited = c.now.Add(d), append(c.waited, d)
	return ctx.Err()
}

const clientID = "https://bili-monitor.example.com"

// specKey is a key pair of the specification.
func specKey(t testing.TB, algorithm string) (Key, []byte) {
	t.Helper()
	private, err := os.ReadFile(filepath.Join("testdata", "smart", algorithm+".private.json"))
	require.NoError(t, err)
	key, err := ParseKey(private)
	require.NoError(t, err)
	public, err := os.ReadFile(filepath.Join("testdata", "smart", algorithm+".public.json"))
	require.NoError(t, err)
	return key, public
}

// pair starts a server and a client that it knows, by the specification's ES384 key.
func pair(t *testing.T, server servertest.Config, adjust ...func(*Config)) (*servertest.Server, *Client, *clock) {
	t.Helper()
	c := newClock()
	key, public := specKey(t, ES384)
	server.Keys, server.Client, server.Now = public, clientID, c.Now
	s := servertest.New(t, server)
	cfg := Config{Base: s.Base, Client: clientID, Key: key, Roots: s.Roots(), Now: c.Now, Wait: c.Wait}
	for _, f := range adjust {
		f(&cfg)
	}
	client, err := New(cfg)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return s, client, c
}

// export runs an export to its manifest.
func export(t *testing.T, client *Client, c *clock, r Request) (string, Manifest) {
	t.Helper()
	status, err := client.Start(t.Context(), r)
	require.NoError(t, err)
	for asked := 1; ; asked++ {
		state, err := client.Status(t.Context(), status, asked)
		require.NoError(t, err)
		if state.Manifest != nil {
			return status, *state.Manifest
		}
		require.NoError(t, c.Wait(t.Context(), state.Again))
	}
}

func read(t *testing.T, client *Client, f File) (string, error) {
	t.Helper()
	body := client.Open(t.Context(), f, true)
	defer func() { require.NoError(t, body.Close()) }()
	text, err := io.ReadAll(body)
	return string(text), err
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	key, _ := specKey(t, ES384)
	for name, c := range map[string]struct {
		cfg  Config
		want string
	}{
		"no base":          {Config{}, "base: want https"},
		"in the clear":     {Config{Base: "http://fhir.example/r4"}, "in the clear"},
		"a password":       {Config{Base: "https://me:secret@fhir.example"}, "without a user"},
		"a query":          {Config{Base: "https://fhir.example?x=1"}, "a query"},
		"origin with path": {Config{Base: "https://fhir.example", Origins: []string{"https://files.example/x"}}, "origins"},
		"token in clear":   {Config{Base: "https://fhir.example", TokenURL: "http://auth.example"}, "token url"},
		"no key":           {Config{Base: "https://fhir.example", Client: "a"}, "needs a key"},
		"no client":        {Config{Base: "https://fhir.example", Key: key}, "client id"},
		"tries":            {Config{Base: "https://fhir.example", Tries: 101}, "tries"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := New(c.cfg)
			require.ErrorContains(t, err, c.want)
		})
	}
	_, err := New(Config{Base: "http://127.0.0.1:8080/fhir"})
	require.NoError(t, err, "on this machine nobody listens in")
}

func TestServerWithAnotherCertificateIsNotAsked(t *testing.T) {
	t.Parallel()
	s, client, c := pair(t, servertest.Config{}, func(cfg *Config) { cfg.Roots = nil })
	_, err := client.Start(t.Context(), Request{})
	require.ErrorContains(t, err, "certificate")
	require.False(t, Passing(err))
	require.Empty(t, s.Asked(servertest.Discovery))
	require.Empty(t, c.waited, "it would be the same in a while")
}

// stranger is a server that must not be asked.
func stranger(t *testing.T) (url string) {
	t.Helper()
	other := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a stranger was asked, token: %t", r.Header.Get("Authorization") != "")
	}))
	t.Cleanup(other.Close)
	return other.URL
}

func TestOtherServersAreNotAsked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind  string
		fault func(to string) servertest.Fault
	}{
		"redirect of the kick-off": {servertest.Kickoff, servertest.Redirect},
		"redirect of the status":   {servertest.Status, servertest.Redirect},
		"redirect of a file":       {servertest.Content, servertest.Redirect},
		"redirect of the end":      {servertest.End, servertest.Redirect},
		"token elsewhere": {servertest.Discovery, func(to string) servertest.Fault {
			return servertest.Text(fmt.Sprintf(`{"token_endpoint":"%s/token"}`, to))
		}},
		"status elsewhere": {servertest.Kickoff, func(to string) servertest.Fault {
			return func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
				w.Header().Set("Content-Location", to+"/status")
				w.WriteHeader(http.StatusAccepted)
			}
		}},
		"file elsewhere": {servertest.Status, func(to string) servertest.Fault {
			return servertest.Text(fmt.Sprintf(`{"transactionTime":"2026-01-01T00:00:00Z","requiresAccessToken":false,"output":[{"type":"Patient","url":"%s/f"}]}`, to))
		}},
		"next page elsewhere": {servertest.Status, func(to string) servertest.Fault {
			return servertest.Text(fmt.Sprintf(`{"transactionTime":"2026-01-01T00:00:00Z","requiresAccessToken":false,"output":[],"link":[{"relation":"next","url":"%s/f"}]}`, to))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, client, _ := pair(t, servertest.Config{Output: []servertest.File{{Type: "Patient", Content: []byte("{}\n")}}})
			other := stranger(t)
			s.Once(c.kind, c.fault(other))
			status, err := client.Start(t.Context(), Request{})
			var state State
			if err == nil {
				state, err = client.Status(t.Context(), status, 1)
			}
			if err == nil {
				_, err = read(t, client, state.Manifest.Output[0])
			}
			if err == nil {
				err = client.Delete(t.Context(), status)
			}
			var elsewhere *OriginError
			require.ErrorAs(t, err, &elsewhere)
			require.Equal(t, other, elsewhere.Origin)
			require.ErrorContains(t, err, "origins")
			require.False(t, Passing(err))
		})
	}
}

func TestKnownOriginIsAsked(t *testing.T) {
	t.Parallel()
	var files *servertest.Server
	s, client, _ := pair(t, servertest.Config{}, func(cfg *Config) {
		files = servertest.New(t, servertest.Config{Output: []servertest.File{{Type: "Patient", Content: []byte("{}\n")}}})
		cfg.Origins = []string{strings.TrimSuffix(files.Base, "/r4")}
		cfg.Roots.AddCert(files.Certificate())
	})
	s.Once(servertest.Status, servertest.Text(fmt.Sprintf(
		`{"transactionTime":"2026-01-01T00:00:00Z","requiresAccessToken":false,"output":[{"type":"Patient","url":"%s/files/output/0"}]}`, files.Base)))
	_, m := export(t, client, newClock(), Request{})
	text, err := read(t, client, m.Output[0])
	require.NoError(t, err)
	require.Equal(t, "{}\n", text)
}
