package evidence_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/evidence"
	"github.com/trialmesh/trialmesh/hub/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// serve serves a source as a hub does.
func serve(t testing.TB, src evidence.Source, before http.HandlerFunc) *httptest.Server {
	t.Helper()
	files := ledger.NewHandler(src, slog.New(slog.DiscardHandler))
	mux := http.NewServeMux()
	mux.Handle("/checkpoint", files)
	mux.Handle("/tile/", files)
	mux.HandleFunc("/v1/documents/{digest}", func(w http.ResponseWriter, r *http.Request) {
		var digest message.Digest
		if digest.UnmarshalText([]byte(r.PathValue("digest"))) != nil {
			http.NotFound(w, r)
			return
		}
		raw, err := src.Document(r.Context(), digest)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(raw)
	})
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answered := &recorder{ResponseWriter: w}
		if before != nil {
			before(answered, r)
		}
		if !answered.wrote {
			mux.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

type recorder struct {
	http.ResponseWriter
	wrote bool
}

func (r *recorder) WriteHeader(status int) {
	r.wrote = true
	r.ResponseWriter.WriteHeader(status)
}

func remote(t testing.TB, s *httptest.Server) *evidence.Remote {
	t.Helper()
	r, err := evidence.NewRemote(s.URL, s.Client())
	require.NoError(t, err)
	return r
}

func TestRemoteHub(t *testing.T) {
	t.Parallel()
	w := network(t)
	var requests atomic.Int64
	src := remote(t, serve(t, w.source, func(w http.ResponseWriter, _ *http.Request) {
		if requests.Add(1)%5 == 0 { // asked too often, now and then
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}))
	report, err := evidence.VerifyQuery(t.Context(), src, w.trust, "", w.complete)
	require.NoError(t, err)
	require.Empty(t, report.Failed())
	_, err = src.Document(t.Context(), message.Digest{1})
	require.ErrorIs(t, err, evidence.ErrNoDocument)
}

func TestRemoteHubThatGrowsMeanwhile(t *testing.T) {
	t.Parallel()
	w := network(t)
	short, whole := truth(t, w), w.source
	short.chapters = short.chapters[:23]
	early := short.tell()
	var first atomic.Bool
	src := remote(t, serve(t, switching{whole, early, &first}, nil))
	report, err := evidence.VerifyQuery(t.Context(), src, w.trust, "", w.complete)
	require.NoError(t, err)
	require.Empty(t, report.Failed())
	require.EqualValues(t, 23, report.Checkpoint.Size)
}

func TestRemoteHubThatMisbehaves(t *testing.T) {
	t.Parallel()
	w := network(t)
	for name, misbehave := range map[string]http.HandlerFunc{
		"fails": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"sends without end": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusOK)
			for range 50 {
				if _, err := w.Write(bytes.Repeat([]byte{'x'}, 1<<20)); err != nil {
					return
				}
			}
		},
		"redirects for ever": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", r.URL.Path)
			w.WriteHeader(http.StatusFound)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src := remote(t, serve(t, w.source, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/checkpoint" {
					misbehave(w, r)
				}
			}))
			_, err := evidence.VerifyQuery(t.Context(), src, w.trust, "", w.complete)
			require.Error(t, err, "this is no verdict on the question")
			_, err = src.Document(t.Context(), message.Digest{1})
			require.Error(t, err)
			require.NotErrorIs(t, err, evidence.ErrNoDocument)
		})
	}
}

func TestRemoteHubThatNeverAnswers(t *testing.T) {
	t.Parallel()
	w := network(t)
	release := make(chan struct{})
	server := serve(t, w.source, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	t.Cleanup(func() { close(release) })
	client := server.Client()
	client.Timeout = 50 * time.Millisecond
	src, err := evidence.NewRemote(server.URL, client)
	require.NoError(t, err)
	_, err = evidence.VerifyLedger(t.Context(), src, w.trust, "")
	require.Error(t, err)
}

func TestRemoteAddress(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "hub.example.org", "ftp://hub.example.org", "https://", "https://%zz"} {
		_, err := evidence.NewRemote(address, http.DefaultClient)
		require.Error(t, err, address)
	}
}

// switching shows an early checkpoint first and the whole log from then on.
type switching struct {
	evidence.Source
	early  evidence.Source
	passed *atomic.Bool
}

func (s switching) Read(ctx context.Context, path string) ([]byte, error) {
	if path == "checkpoint" && s.passed.CompareAndSwap(false, true) {
		return s.early.Read(ctx, path)
	}
	return s.Source.Read(ctx, path)
}
