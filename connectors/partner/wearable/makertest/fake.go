// Package makertest is the services of the makers of wearables for tests, all in one process:
// they give tokens and data over TLS under the makers' own names, and hold whoever asks to
// the words of the makers' documents. No maker was asked to compare.
//
// Start from [New]. A client reaches it with [Fake.Dial] and [Fake.Roots], and [Fake.Allow]
// plays the patient. What a service is to do wrong on purpose is told with [Fake.Once].
package makertest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What the site's application is registered with, at every maker.
const (
	Client   = "the-site"
	Secret   = "the-site's-secret"
	Redirect = "http://127.0.0.1:8712/back"
)

// hosts are the makers' names by which they are asked.
var hosts = []string{
	"api.fitbit.com", "api.ouraring.com", "diauth.garmin.com", "apis.garmin.com", "oauth2.googleapis.com", "health.googleapis.com",
	"www.googleapis.com", "wbsapi.withings.net",
}

// Fault answers a request in the service's place. It may call serve, which is how the
// service would have answered.
type Fault func(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc)

// The kinds of requests.
const (
	Token   = "token"
	Account = "account"
	Revoke  = "revoke"
	Data    = "data"
)

// Fake is the running services.
type Fake struct {
	t    testing.TB
	http *httptest.Server
	now  func() time.Time

	mu    sync.Mutex
	user  string             // whose account the browser is logged in to; guarded by mu
	asked []string           // requests: kind, host and path with query; guarded by mu
	once  map[string][]Fault // by kind; guarded by mu
	data  map[string]Page    // by how the path begins; guarded by mu
	codes map[string]*grant  // guarded by mu
	all   []*grant           // guarded by mu
	nonce map[string]bool    // that were not used yet; guarded by mu
}

// Page is what a service answers a request for data with, nil for nothing that it has.
type Page func(path string, query url.Values) []byte

// New starts services that end with the test. now is their clock.
func New(t testing.TB, now func() time.Time) *Fake {
	t.Helper()
	f := &Fake{
		t: t, now: now, user: "user-1", once: make(map[string][]Fault), data: make(map[string]Page),
		codes: make(map[string]*grant), nonce: make(map[string]bool),
	}
	f.http = httptest.NewUnstartedServer(http.HandlerFunc(f.serve))
	f.http.TLS = &tls.Config{Certificates: []tls.Certificate{certificate(t)}, MinVersion: tls.VersionTLS12}
	f.http.StartTLS()
	t.Cleanup(f.http.Close)
	return f
}

// certificate is one for the makers' names.
func certificate(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: hosts, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// Dial reaches the services by any name.
func (f *Fake) Dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, f.http.Listener.Addr().String())
}

// Roots vouch for the services.
func (f *Fake) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(f.http.Certificate())
	return pool
}

// LogIn has the next authorization be of another account.
func (f *Fake) LogIn(user string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.user = user
}

// Serve has requests for data at paths that begin so (of Withings: path, space and action)
// answered by page.
func (f *Fake) Serve(path string, page Page) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.data[path] = page
}

// Once has the next request of a kind that no earlier fault waits for answered by fault.
func (f *Fake) Once(kind string, fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.once[kind] = append(f.once[kind], fault)
}

// Asked returns the requests of a kind so far, as host and path with query.
func (f *Fake) Asked(kind string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []string
	for _, a := range f.asked {
		if of, what, _ := strings.Cut(a, " "); of == kind {
			list = append(list, what)
		}
	}
	return list
}

// Status answers with a status, and with the time to wait if that is not empty.
func Status(status int, retryAfter string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"error":"server_error","error_description":"Erika Mustermann"}`))
	}
}

// Text answers 200 with a text.
func Text(text string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) { _, _ = w.Write([]byte(text)) }
}

// Hang answers nothing until the client has gone.
func Hang(_ http.ResponseWriter, r *http.Request, _ http.HandlerFunc) { <-r.Context().Done() }

// Lose does what is asked, and breaks the connection instead of answering.
func Lose(_ http.ResponseWriter, r *http.Request, serve http.HandlerFunc) {
	serve(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// Endless answers 200 with spaces until the client has gone, or after 100 MB.
func Endless(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
	spaces := []byte(strings.Repeat(" ", 1<<20))
	for range 100 {
		if _, err := w.Write(spaces); err != nil {
			return
		}
	}
}

func (f *Fake) serve(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		f.t.Errorf("%s: the form is malformed", r.URL.Path)
	}
	kind, serve := Data, f.withToken(f.page)
	switch r.Host + r.URL.Path {
	case "api.fitbit.com/oauth2/token", "api.ouraring.com/oauth/token", "diauth.garmin.com/di-oauth2-service/oauth/token", "oauth2.googleapis.com/token":
		kind, serve = Token, f.token
	case "wbsapi.withings.net/v2/oauth2":
		if kind, serve = Token, f.withingsToken; r.PostForm.Get("action") == "revoke" {
			kind, serve = Revoke, f.withingsRevoke
		}
	case "wbsapi.withings.net/v2/signature":
		kind, serve = "nonce", f.withingsNonce
	case "api.ouraring.com/v2/usercollection/personal_info", "apis.garmin.com/wellness-api/rest/user/id", "health.googleapis.com/v4/users/me/identity":
		kind, serve = Account, f.withToken(f.account)
	case "apis.garmin.com/wellness-api/rest/user/registration":
		kind, serve = Revoke, f.withToken(f.revokeGarmin)
	case "api.fitbit.com/oauth2/revoke", "api.ouraring.com/oauth/revoke", "oauth2.googleapis.com/revoke":
		kind, serve = Revoke, f.revoke
	}
	f.mu.Lock()
	f.asked = append(f.asked, kind+" "+r.Host+r.URL.RequestURI())
	var fault Fault
	if list := f.once[kind]; len(list) > 0 {
		fault, f.once[kind] = list[0], list[1:]
	}
	f.mu.Unlock()
	if fault != nil {
		fault(w, r, serve)
		return
	}
	serve(w, r)
}
