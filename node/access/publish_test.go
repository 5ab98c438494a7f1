package access_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/node/access"
)

// publisher is where a client publishes its keys.
type publisher struct {
	asked  atomic.Int64
	answer atomic.Pointer[http.HandlerFunc]
}

func (p *publisher) answers(h http.HandlerFunc) { p.answer.Store(&h) }

// publishes makes a client with a URL, and where that leads.
func publishes(t *testing.T, wait ...time.Duration) (*site, *publisher) {
	t.Helper()
	p := &publisher{}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.asked.Add(1)
		(*p.answer.Load())(w, r)
	}))
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	s := newSQLite(t, func(c *access.Config) {
		c.Keys.Transport = &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
			},
		}
		c.Keys.Wait = append(wait, time.Minute)[0] // a minute on a machine that is busy
	})
	_, err := s.Add(t.Context(), access.Registration{ID: "app", Scopes: "ingest", Keys: access.Keys{URL: "https://example.com/jwks.json"}}, s.now)
	require.NoError(t, err)
	return s, p
}

// keys answers with key sets.
func keys(text []byte, control string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if control != "" {
			w.Header().Set("Cache-Control", control)
		}
		_, _ = w.Write(text)
	}
}

func (s *site) ask(k key) error {
	s.t.Helper()
	_, err := s.Issue(s.t.Context(), asks("ingest", k.signed(s.t, claimed("app", s.now))), s.now)
	return err
}

func TestKeysThatAClientPublishesAreFollowed(t *testing.T) {
	t.Parallel()
	s, p := publishes(t)
	first, second := newKey(t, "k1"), newKey(t, "k2")
	p.answers(keys(set(t, first), ""))
	for range 3 {
		require.NoError(t, s.ask(first))
	}
	require.EqualValues(t, 1, p.asked.Load())

	// A kid that is not known yet is looked for, if not at once again.
	p.answers(keys(set(t, first, second), ""))
	refused(t, s.ask(second), access.InvalidClient, "not signed")
	s.now = s.now.Add(10 * time.Second)
	require.NoError(t, s.ask(second))
	require.EqualValues(t, 2, p.asked.Load())

	// A key that is gone there is gone here when the answer is old.
	p.answers(keys(set(t, second), "max-age=60"))
	s.now = s.now.Add(5*time.Minute - time.Second)
	require.NoError(t, s.ask(first))
	s.now = s.now.Add(time.Second)
	refused(t, s.ask(first), access.InvalidClient, "not signed")
	require.NoError(t, s.ask(second))
	require.EqualValues(t, 3, p.asked.Load())

	// The client says how long, within bounds.
	p.answers(keys(set(t, first), "public, max-age=86400"))
	s.now = s.now.Add(time.Minute)
	refused(t, s.ask(second), access.InvalidClient, "not signed")
	require.NoError(t, s.ask(first))
	p.answers(keys(set(t, second), "no-store"))
	s.now = s.now.Add(15 * time.Minute)
	require.NoError(t, s.ask(second))
	p.answers(keys(set(t, first), "no-store"))
	s.now = s.now.Add(10 * time.Second)
	require.NoError(t, s.ask(first))
	require.EqualValues(t, 6, p.asked.Load())
}

// A client whose keys are replaced is not known by those that were read before, whatever
// was said of how long they are good.
func TestKeysThatWereReplacedCountNoLonger(t *testing.T) {
	t.Parallel()
	s, p := publishes(t)
	stolen, fresh := newKey(t, "k1"), newKey(t, "k2")
	p.answers(keys(set(t, stolen), "max-age=86400"))
	require.NoError(t, s.ask(stolen))
	p.answers(keys(set(t, fresh), "max-age=86400"))
	s.now = s.now.Add(time.Second)
	_, err := s.Rotate(t.Context(), "app", access.Keys{URL: "https://example.com/jwks.json"}, s.now)
	require.NoError(t, err)
	refused(t, s.ask(stolen), access.InvalidClient, "not signed")
	require.NoError(t, s.ask(fresh))

	p.answers(keys(set(t, stolen), ""))
	s.now = s.now.Add(time.Second)
	require.NoError(t, s.Remove(t.Context(), "app", s.now))
	_, err = s.Add(t.Context(), access.Registration{ID: "app", Scopes: "ingest", Keys: access.Keys{URL: "https://example.com/jwks.json"}}, s.now)
	require.NoError(t, err)
	refused(t, s.ask(fresh), access.InvalidClient, "not signed")
}

// A client that changes while its assertion is looked at gets no token for it.
func TestAClientThatChangesMeanwhileGetsNoToken(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*site) error{
		"removed": func(s *site) error { return s.Remove(s.t.Context(), "app", s.now) },
		"rotated": func(s *site) error {
			_, err := s.Rotate(s.t.Context(), "app", access.Keys{URL: "https://example.com/other"}, s.now)
			return err
		},
		"another of its name": func(s *site) error {
			if err := s.Remove(s.t.Context(), "app", s.now); err != nil {
				return err
			}
			_, err := s.Add(s.t.Context(), access.Registration{ID: "app", Scopes: "audit", Keys: access.Keys{URL: "https://example.com/jwks.json"}}, s.now)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p := publishes(t)
			k := newKey(t, "k1")
			asked, done := make(chan struct{}), make(chan struct{})
			p.answers(func(w http.ResponseWriter, r *http.Request) {
				close(asked)
				<-done
				keys(set(t, k), "")(w, r)
			})
			result := make(chan error, 1)
			text := k.signed(t, claimed("app", s.now))
			go func() {
				_, err := s.Issue(t.Context(), asks("ingest", text), s.now)
				result <- err
			}()
			<-asked
			require.NoError(t, change(s))
			close(done)
			refused(t, <-result, access.InvalidClient, "not signed")
			require.Zero(t, s.count("access_token"))
		})
	}
}

// Who knows a client's name and no key cannot have its server asked again and again, nor
// keep the client out.
func TestAStrangerCannotUseAClientsServer(t *testing.T) {
	t.Parallel()
	s, p := publishes(t)
	k, stranger := newKey(t, "k1"), newKey(t, "unknown")
	p.answers(keys(set(t, k), ""))
	require.NoError(t, s.ask(k))
	for range 50 {
		refused(t, s.ask(stranger), access.InvalidClient, "not signed")
	}
	require.EqualValues(t, 1, p.asked.Load())
	s.now = s.now.Add(time.Minute)
	p.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	refused(t, s.ask(stranger), access.InvalidClient, "not signed")
	require.NoError(t, s.ask(k), "its keys are good until they are old")
	s.now = s.now.Add(5 * time.Minute)
	refused(t, s.ask(k), access.Busy, "could not be read")
}

func TestAServerOfKeysIsNotTrusted(t *testing.T) {
	t.Parallel()
	k := newKey(t, "k1")
	cut := make(chan struct{})
	for name, h := range map[string]http.HandlerFunc{
		"never answers": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"never ends": func(w http.ResponseWriter, _ *http.Request) {
			defer close(cut)
			for block := make([]byte, 1<<20); ; {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		},
		"100 MB of keys": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"keys":[`)
			for range 100 {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		},
		"leads elsewhere": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://example.com/elsewhere", http.StatusFound)
		},
		"says no":            func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
		"is a page":          func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"gives private keys": keys([]byte(`{"keys":[{"kty":"EC","kid":"k1","d":"AA"}]}`), ""),
		"breaks off":         func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			silent := name == "never answers"
			wait := time.Minute
			if silent {
				wait = 50 * time.Millisecond
			}
			s, p := publishes(t, wait)
			p.answers(h)
			refused(t, s.ask(k), access.Busy, "could not be read")
			require.True(t, silent || p.asked.Load() == 1, "a busy machine may give up before it has asked")
			require.Zero(t, s.count("access_token"))
			if name == "never ends" {
				<-cut
			}
		})
	}
}
