package fhirserver

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/partner/fhirserver/servertest"
)

// manyLines is a file of some size.
func manyLines() string {
	var b strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&b, `{"resourceType":"Observation","id":"%d"}`+"\n", i)
	}
	return b.String()
}

// file starts a server with one file and an export of it.
func file(t *testing.T, content string, server servertest.Config) (*servertest.Server, *Client, *clock, File) {
	t.Helper()
	server.Output = []servertest.File{{Type: "Observation", Content: []byte(content)}}
	s, client, c := pair(t, server)
	_, m := export(t, client, c, Request{})
	c.waited = nil
	return s, client, c, m.Output[0]
}

func TestBrokenDownloadGoesOn(t *testing.T) {
	t.Parallel()
	content := manyLines()
	for name, noRange := range map[string]bool{"from where it was": false, "from the start": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, client, c, f := file(t, content, servertest.Config{NoRange: noRange})
			var ranges []string
			for _, n := range []int{100_000, 0, 12_345, 50_000} {
				s.Once(servertest.Content, func(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc) {
					ranges = append(ranges, r.Header.Get("Range"))
					servertest.Cut(n)(w, r, serve)
				})
			}
			text, err := read(t, client, f)
			require.NoError(t, err)
			require.Len(t, text, len(content))
			require.True(t, content == text, "nothing is lost and nothing comes twice")
			require.Len(t, s.Asked(servertest.Content), 5)
			require.NotEmpty(t, c.waited)
			require.Empty(t, ranges[0])
			if noRange {
				require.Equal(t, make([]string, 4), ranges)
			} else {
				require.Regexp(t, `^bytes=\d+-$`, ranges[3])
			}
		})
	}
}

func TestDownloadOfAFileThatChanges(t *testing.T) {
	t.Parallel()
	content := manyLines()
	changed := strings.Replace(content, `"0"`, `"1"`, 1)
	for name, second := range map[string]servertest.Fault{
		"another content": servertest.Text(changed),
		"a shorter one":   servertest.Text("{}\n"),
		"another encoding": func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
			w.Header().Set("Content-Encoding", "gzip")
		},
		"another place": func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
			w.Header().Set("Content-Range", "bytes 7-9/10")
			w.WriteHeader(http.StatusPartialContent)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, client, _, f := file(t, content, servertest.Config{})
			s.Once(servertest.Content, servertest.Cut(100_000))
			s.Once(servertest.Content, second)
			_, err := read(t, client, f)
			require.ErrorIs(t, err, ErrChanged)
		})
	}
}

func TestDownloadThatAlwaysBreaksEnds(t *testing.T) {
	t.Parallel()
	s, client, c, f := file(t, manyLines(), servertest.Config{})
	for range 20 {
		s.Once(servertest.Content, servertest.Cut(0))
	}
	_, err := read(t, client, f)
	require.True(t, Passing(err), err)
	require.Len(t, s.Asked(servertest.Content), 6)
	require.Equal(t, []time.Duration{1e9, 2e9, 4e9, 8e9, 16e9}, c.waited)
}

func TestTokenThatEndsBeforeADownload(t *testing.T) {
	t.Parallel()
	content := manyLines()
	s, client, _, f := file(t, content, servertest.Config{})
	s.Once(servertest.Content, func(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc) {
		s.Expire()
		servertest.Cut(100_000)(w, r, serve)
	})
	text, err := read(t, client, f)
	require.NoError(t, err)
	require.True(t, content == text)
	require.Len(t, s.Asked(servertest.Token), 2)
}

func TestTokenIsRenewedBeforeItEnds(t *testing.T) {
	t.Parallel()
	s, client, c, f := file(t, "{}\n", servertest.Config{TokenTime: 100 * time.Second})
	for range 3 {
		_, err := read(t, client, f)
		require.NoError(t, err)
	}
	require.Len(t, s.Asked(servertest.Token), 1)
	require.NoError(t, c.Wait(t.Context(), 80*time.Second))
	_, err := read(t, client, f)
	require.NoError(t, err)
	require.Len(t, s.Asked(servertest.Token), 2)
	require.Len(t, s.Asked(servertest.Content), 4, "no request was refused")
}

func TestFileThatIsGone(t *testing.T) {
	t.Parallel()
	s, client, _, f := file(t, "{}\n", servertest.Config{})
	s.Once(servertest.Content, servertest.Outcome(http.StatusNotFound, "not-found"))
	_, err := read(t, client, f)
	var refused *StatusError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, http.StatusNotFound, refused.Status)
}

func TestFileInAnotherEncoding(t *testing.T) {
	t.Parallel()
	s, client, _, f := file(t, "{}\n", servertest.Config{})
	for _, encoding := range []string{"br", "gzip"} {
		s.Once(servertest.Content, func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
			w.Header().Set("Content-Encoding", encoding)
		})
		body := client.Open(t.Context(), f, false)
		_, err := body.Read(make([]byte, 1))
		require.ErrorIs(t, err, errEncoding)
		require.NoError(t, body.Close())
	}
}

func TestServerThatFallsSilent(t *testing.T) {
	t.Parallel()
	done := make(chan struct{})
	defer close(done)
	content := manyLines()
	s, client, _, f := file(t, content, servertest.Config{})
	client.cfg.Stall = 50 * time.Millisecond
	s.Once(servertest.Content, func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
		_, _ = w.Write([]byte(content[:1000]))
		_ = http.NewResponseController(w).Flush()
		select {
		case <-done:
		case <-r.Context().Done():
		}
	})
	body := client.Open(t.Context(), f, true)
	defer body.Close()
	require.NoError(t, iotest.TestReader(body, []byte(content)))
}
