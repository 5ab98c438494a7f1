// Package servertest is a FHIR server for tests: it gives tokens as SMART Backend Services has
// it, exports by Bulk Data Access 2.0 and searches in pages, over TLS, and holds whoever asks
// to the words of these specifications.
//
// Start from [New]. What a client does against the specification fails the test; what the
// server is to do wrong on purpose is told with [Server.Once].
package servertest

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Config says what a server has and who may ask.
type Config struct {
	// Keys is the JSON Web Key Set of the client. Without it the server wants no token.
	Keys []byte

	// Client is the id of the client.
	Client string

	// Algorithms are what the server says it takes. Defaults to ES384 and RS384.
	Algorithms []string

	// Capabilities are what the server says of itself, such as permission-v1.
	Capabilities []string

	// Output, Deleted and Errors are the files of every export.
	Output, Deleted, Errors []File

	// PageFiles is how many files of Output a page of the manifest lists. Defaults to all.
	PageFiles int

	// Polls is how often an export is still under way.
	Polls int

	// Time is the transaction time of exports. Defaults to the server's time.
	Time time.Time

	// Pages answer searches: the documents of a search, by its path and query without _count
	// and page, such as Patient.
	Pages map[string][][]byte

	// TokenTime is how long a token holds. Defaults to 5 min.
	TokenTime time.Duration

	// NoRange keeps the server from sending parts of files.
	NoRange bool

	// Now is the server's clock. Defaults to time.Now.
	Now func() time.Time
}

// File is a file of an export.
type File struct {
	Type    string
	Content []byte
}

// Server is a running server.
type Server struct {
	// Base is the base URL.
	Base string

	t    testing.TB
	cfg  Config
	http *httptest.Server

	mu      sync.Mutex
	asked   []string             // requests: kind, method and path with query; guarded by mu
	once    map[string][]Fault   // by kind; guarded by mu
	seen    map[string]bool      // jti that were used; guarded by mu
	tokens  map[string]time.Time // when they end; guarded by mu
	polls   map[string]int       // left, by export; guarded by mu
	exports int                  // that were begun; guarded by mu
	deleted []string             // exports; guarded by mu
}

// Fault answers a request in the server's place. It may call serve, which is how the server
// would have answered.
type Fault func(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc)

// The kinds of requests.
const (
	Discovery = "discovery"
	Token     = "token"
	Kickoff   = "kickoff"
	Status    = "status"
	Content   = "file"
	Pages     = "search"
	End       = "delete"
)

// root is the path of the base URL.
const root = "/r4"

// New starts a server that ends with the test.
func New(t testing.TB, cfg Config) *Server {
	t.Helper()
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.TokenTime == 0 {
		cfg.TokenTime = 5 * time.Minute
	}
	if cfg.Algorithms == nil {
		cfg.Algorithms = []string{"RS384", "ES384"}
	}
	s := &Server{
		t: t, cfg: cfg, once: make(map[string][]Fault), seen: make(map[string]bool),
		tokens: make(map[string]time.Time), polls: make(map[string]int),
	}
	s.http = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.http.Config.ErrorLog = nil
	s.http.StartTLS()
	t.Cleanup(s.http.Close)
	s.Base = s.http.URL + root
	return s
}

// Certificate is what the server shows.
func (s *Server) Certificate() *x509.Certificate { return s.http.Certificate() }

// Roots vouch for the server.
func (s *Server) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.http.Certificate())
	return pool
}

// Once has the next request of a kind that no earlier fault waits for answered by fault.
func (s *Server) Once(kind string, fault Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.once[kind] = append(s.once[kind], fault)
}

// Busy answers with a status and the time to wait, if that is not empty.
func Busy(status int, retryAfter string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(status)
	}
}

// Outcome answers with a status and an OperationOutcome.
func Outcome(status int, code string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		w.Header().Set("Content-Type", "application/fhir+json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":%q,"diagnostics":"Patient Erika Mustermann"}]}`, code)
	}
}

// Text answers 200 with a text.
func Text(text string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) { _, _ = w.Write([]byte(text)) }
}

// Redirect leads elsewhere.
func Redirect(to string) Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
		http.Redirect(w, r, to, http.StatusTemporaryRedirect)
	}
}

// Cut answers as the server would, and breaks the connection after n bytes.
func Cut(n int) Fault {
	return func(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc) {
		serve(&cutter{ResponseWriter: w, left: n}, r)
	}
}

type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(p []byte) (int, error) {
	if len(p) <= c.left {
		c.left -= len(p)
		return c.ResponseWriter.Write(p)
	}
	_, _ = c.ResponseWriter.Write(p[:c.left])
	_ = http.NewResponseController(c.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

// Asked returns the requests of a kind so far, as method and path with query.
func (s *Server) Asked(kind string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for _, a := range s.asked {
		if of, what, _ := strings.Cut(a, " "); of == kind {
			list = append(list, what)
		}
	}
	return list
}

// Deleted returns how many exports were ended.
func (s *Server) Deleted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.deleted)
}

// Expire ends all tokens.
func (s *Server) Expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, root+"/")
	var kind string
	var serve http.HandlerFunc
	switch {
	case path == ".well-known/smart-configuration":
		kind, serve = Discovery, s.discovery
	case r.URL.Path == "/auth/token":
		kind, serve = Token, s.token
	case strings.HasSuffix(path, "$export"):
		kind, serve = Kickoff, s.withToken(s.kickoff)
	case strings.HasPrefix(path, "status/") && r.Method == http.MethodDelete:
		kind, serve = End, s.withToken(s.end)
	case strings.HasPrefix(path, "status/"):
		kind, serve = Status, s.withToken(s.status)
	case strings.HasPrefix(path, "files/"):
		kind, serve = Content, s.withToken(s.file)
	default:
		kind, serve = Pages, s.withToken(s.search)
	}
	s.mu.Lock()
	s.asked = append(s.asked, kind+" "+r.Method+" "+strings.TrimPrefix(r.URL.RequestURI(), root+"/"))
	var fault Fault
	if list := s.once[kind]; len(list) > 0 {
		fault, s.once[kind] = list[0], list[1:]
	}
	s.mu.Unlock()
	if fault != nil {
		fault(w, r, serve)
		return
	}
	serve(w, r)
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // to whoever is still there
}
