package evm_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// fault is what a proxy does to one request.
type fault int

const (
	pass       fault = iota
	lostBefore       // the request never arrives
	lostAfter        // the request takes effect, the answer is lost
	hang             // no answer until the client gives up
	garbage          // an answer that is not JSON
	endless          // an answer that does not end
	redirect         // an answer that sends the client elsewhere
	dry              // HTTP 429
)

// proxy stands between a client and a chain and breaks what rule says.
type proxy struct {
	url  string
	hung chan struct{}

	mu    sync.Mutex
	rule  func(method string, n int) fault    // n counts the requests for this method from 1
	edit  func(method string, result any) any // may replace a result
	count map[string]int
}

// through starts a proxy in front of a chain. Its URL has a token, as providers' have.
func through(tb testing.TB, target string) *proxy {
	tb.Helper()
	p := &proxy{
		rule:  func(string, int) fault { return pass },
		edit:  func(_ string, result any) any { return result },
		count: map[string]int{},
		hung:  make(chan struct{}),
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.serve(w, r, target) }))
	tb.Cleanup(server.Close)
	tb.Cleanup(func() { close(p.hung) }) // before the server waits for its requests
	p.url = server.URL + "/v3/" + token
	return p
}

// token must be in no error.
const token = "SECRETTOKEN"

func (p *proxy) serve(w http.ResponseWriter, r *http.Request, target string) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var request struct {
		Method string `json:"method"`
	}
	_ = json.Unmarshal(body, &request)
	p.mu.Lock()
	p.count[request.Method]++
	n, rule, edit := p.count[request.Method], p.rule, p.edit
	p.mu.Unlock()
	switch rule(request.Method, n) {
	case lostBefore:
		panic(http.ErrAbortHandler)
	case hang:
		select {
		case <-p.hung:
		case <-r.Context().Done():
		}
	case garbage:
		_, _ = io.WriteString(w, "<html>try again later</html>")
	case endless:
		for r.Context().Err() == nil {
			if _, err := w.Write(bytes.Repeat([]byte(" "), 1<<16)); err != nil {
				return
			}
		}
	case redirect:
		http.Redirect(w, r, target, http.StatusTemporaryRedirect)
	case dry:
		http.Error(w, "too many requests for "+token, http.StatusTooManyRequests)
	case lostAfter:
		_, _ = p.forward(r, body, target)
		panic(http.ErrAbortHandler)
	case pass:
		answer, err := p.forward(r, body, target)
		if err != nil {
			http.Error(w, "bad gateway", http.StatusBadGateway)
			return
		}
		if result, ok := answer["result"]; ok {
			answer["result"] = edit(request.Method, result)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
	}
}

// breaks gives the proxy a rule.
func (p *proxy) breaks(rule func(method string, n int) fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rule = rule
}

// edits gives the proxy what it makes of results.
func (p *proxy) edits(edit func(method string, result any) any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.edit = edit
}

func (p *proxy) forward(r *http.Request, body []byte, target string) (map[string]any, error) {
	request, err := http.NewRequestWithContext(r.Context(), http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	var decoded map[string]any
	return decoded, json.NewDecoder(answer.Body).Decode(&decoded)
}

// requests returns how often a method was asked for.
func (p *proxy) requests(method string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count[method]
}

// noToken fails if an error shows the endpoint's token.
func noToken(t *testing.T, err error) {
	t.Helper()
	require.NotContains(t, err.Error(), token)
}
