package front

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/problem"
)

var start = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)

// open wraps a handler and serves it.
func open(t *testing.T, cfg Config) string {
	t.Helper()
	f, err := New(cfg)
	require.NoError(t, err)
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return server.URL
}

// reads answers with the number of bytes in the body.
var reads = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		WriteProblem(w, problem.From(BodyError(err)))
		return
	}
	fmt.Fprint(w, n)
})

func post(t *testing.T, url string, body io.Reader) (int, string) {
	t.Helper()
	resp, err := http.Post(url, "application/octet-stream", body)
	require.NoError(t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(raw)
}

func TestBodiesAreLimitedByPath(t *testing.T) {
	t.Parallel()
	url := open(t, Config{Next: reads, MaxBody: 100, Streams: map[string]int64{"/files": 1000, "/uploads/": 1000}})
	for name, c := range map[string]struct {
		path   string
		size   int
		status int
	}{
		"at the limit":            {"/", 100, 200},
		"over the limit":          {"/", 101, 413},
		"larger where it may be":  {"/files", 1000, 200},
		"too large even there":    {"/files", 1001, 413},
		"a longer path is no way": {"/files/x", 101, 413},
		"below a folder":          {"/uploads/x", 1000, 200},
		"two steps below it":      {"/uploads/x/y", 101, 413},
		"beside it":               {"/uploads", 101, 413},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			announced := strings.NewReader(strings.Repeat("x", c.size))
			status, body := post(t, url+c.path, announced)
			require.Equal(t, c.status, status, body)
			status, body = post(t, url+c.path, io.MultiReader(strings.NewReader(strings.Repeat("x", c.size))))
			require.Equal(t, c.status, status, "length unannounced: %s", body)
		})
	}
}

// slowly sends a request whose body comes in pieces with a pause before each.
func slowly(t *testing.T, url, path string, pause time.Duration, pieces int) (string, error) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", path, pieces)
	for range pieces {
		time.Sleep(pause) // the test is about time
		if _, err := conn.Write([]byte("x")); err != nil {
			break // the server has hung up, and says why
		}
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	return resp.Status, nil
}

func TestASlowBodyIsGivenUp(t *testing.T) {
	t.Parallel()
	url := open(t, Config{Next: reads, BodyTime: 2 * time.Second, Streams: map[string]int64{"/files": 1000}})
	status, err := slowly(t, url, "/", 300*time.Millisecond, 8)
	require.True(t, err != nil || strings.HasPrefix(status, "422"), "a body may take so long in all: %s", status)
	status, err = slowly(t, url, "/files", 300*time.Millisecond, 8)
	require.NoError(t, err)
	require.Equal(t, "200 OK", status, "a stream may take any time if it does not pause")
	status, err = slowly(t, url, "/files", 4*time.Second, 2)
	require.True(t, err != nil || strings.HasPrefix(status, "422"), "a stream may not pause: %s", status)
}

// A deadline that stayed after the body would look like a client that left.
func TestAHandlerMayWorkLongerThanTheBodyMayTake(t *testing.T) {
	t.Parallel()
	url := open(t, Config{BodyTime: 500 * time.Millisecond, Next: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-r.Context().Done():
			WriteProblem(w, problem.From(errors.New("canceled")))
		case <-time.After(time.Second):
		}
	})})
	status, body := post(t, url, strings.NewReader("x"))
	require.Equal(t, http.StatusOK, status, body)
}

func TestAClientThatAsksTooOftenIsRefusedAlone(t *testing.T) {
	t.Parallel()
	var now atomic.Pointer[time.Time]
	now.Store(&start)
	f, err := New(Config{Next: reads, Rate: 1, Burst: 2, Now: func() time.Time { return *now.Load() }})
	require.NoError(t, err)
	ask := func(from string) int {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.RemoteAddr = from
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		if w.Code == http.StatusTooManyRequests {
			require.Equal(t, "1", w.Header().Get("Retry-After"))
		}
		return w.Code
	}
	require.Equal(t, 200, ask("192.0.2.1:1000"))
	require.Equal(t, 200, ask("192.0.2.1:1001"), "another port is the same client")
	require.Equal(t, 429, ask("192.0.2.1:1000"))
	require.Equal(t, 200, ask("192.0.2.2:1000"))
	require.Equal(t, 200, ask("[2001:db8:0:1::1]:1"))
	require.Equal(t, 200, ask("[2001:db8:0:1:ffff::2]:1"), "a /64 is one client")
	require.Equal(t, 429, ask("[2001:db8:0:1::3]:1"))
	require.Equal(t, 200, ask("[2001:db8:0:2::1]:1"))
	later := start.Add(time.Second)
	now.Store(&later)
	require.Equal(t, 200, ask("192.0.2.1:1000"))
	require.Equal(t, 429, ask("192.0.2.1:1000"))
}

func TestTheRateLimitForgetsWhoIsQuiet(t *testing.T) {
	t.Parallel()
	c := newClients(1, 1)
	address := func(i int) string { return fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255) }
	for i := range maxClients {
		require.True(t, c.allow(clientOf(address(i)), start))
	}
	require.False(t, c.allow(clientOf("192.0.2.1:1"), start), "memory is bounded")
	require.True(t, c.allow(clientOf("192.0.2.1:1"), start.Add(2*time.Second)))
	require.Len(t, c.buckets, 1)
}

// What is asked for may name a patient: neither path nor query nor body nor
// what a handler panics with may show.
func TestNothingThatWasSentIsLogged(t *testing.T) {
	t.Parallel()
	const secret = "patient-4711"
	var log bytes.Buffer
	metrics := prometheus.NewPedanticRegistry()
	f, err := New(Config{
		Metrics: metrics, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Next: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			switch string(body) {
			case "panic " + secret:
				panic(string(body))
			case "known " + secret:
				r.Pattern = "/v1/patients/:id"
			}
		}),
	})
	require.NoError(t, err)
	for _, body := range []string{"known ", "unknown ", "panic "} {
		r := httptest.NewRequest(http.MethodPost, "/v1/patients/"+secret+"?name="+secret, strings.NewReader(body+secret))
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		require.NotContains(t, w.Body.String(), secret)
		if body == "panic " {
			require.Equal(t, http.StatusInternalServerError, w.Code)
			require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
		}
	}
	require.NotContains(t, log.String(), secret)
	require.Contains(t, log.String(), "route=/v1/patients/:id status=200")
	require.Contains(t, log.String(), "route=unmatched status=500")
	families, err := metrics.Gather()
	require.NoError(t, err)
	require.Len(t, families, 1)
	require.Len(t, families[0].Metric, 3, "a series for each route and class of status")
}

func TestMalformedRepeatsNoInput(t *testing.T) {
	t.Parallel()
	const secret = "patient-4711"
	for name, c := range map[string]struct {
		fault Fault
		want  string
	}{
		"missing":          {Fault{"body.envelope", "expected required property issuer to be present"}, "body.envelope: expected required property issuer to be present"},
		"wrong type":       {Fault{"body.envelope.issuer", "expected string"}, "body.envelope.issuer: expected string"},
		"unknown property": {Fault{"body." + secret, "unexpected property"}, "body: holds a property that is not known here"},
		"quoted cause":     {Fault{"body.site", "expected string to be RFC 3986 uri: parse " + secret}, "body.site: expected string to be RFC 3986 uri"},
		"parser's words":   {Fault{"body", "json: cannot unmarshal " + secret}, "body: is malformed"},
		"bad parameter":    {Fault{"query.limit", "invalid integer"}, "query.limit: invalid integer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			doc := Malformed(http.StatusUnprocessableEntity, []Fault{c.fault})
			require.Equal(t, c.want, doc.Detail)
			require.Equal(t, http.StatusUnprocessableEntity, doc.Status)
		})
	}
	many := Malformed(http.StatusBadRequest, make([]Fault, 100))
	require.Equal(t, maxFaults-1, strings.Count(many.Detail, ";"))
	require.Equal(t, http.StatusBadRequest, many.Status)
}

func TestUnmarshalIsStrictAndSilent(t *testing.T) {
	t.Parallel()
	const secret = "patient-4711"
	for name, text := range map[string]string{
		"duplicate name": `{"` + secret + `":1,"` + secret + `":2}`,
		"bad UTF-8":      "{\"a\":\"" + secret + "\xff\"}",
		"deep nesting":   strings.Repeat("[", 100) + strings.Repeat("]", 100),
		"wrong type":     `"` + secret + `"`,
		"truncated":      `{"` + secret,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var v map[string]json.RawMessage
			err := Unmarshal([]byte(text), &v)
			require.Error(t, err)
			require.NotContains(t, err.Error(), secret)
		})
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{
		"no handler":    {},
		"negative rate": {Next: reads, Rate: -1},
		"negative body": {Next: reads, MaxBody: -1},
	} {
		_, err := New(cfg)
		require.Error(t, err, name)
	}
	metrics := prometheus.NewRegistry()
	_, err := New(Config{Next: reads, Metrics: metrics})
	require.NoError(t, err)
	_, err = New(Config{Next: reads, Metrics: metrics})
	require.ErrorContains(t, err, "register metrics")
}
