// Package fhirserver fetches what a FHIR server has: exports by Bulk Data Access 2.0, and
// pages of a search from a server that exports nothing. It also has a server keep resources.
//
// Start from [New]. [Client.Start] asks for an export, [Client.Status] says how far it is
// and, in the end, which files it has, [Client.Open] reads one of them and [Client.Delete]
// ends it. [Client.Search] yields the pages of a search. [Client.Create] sends a resource. The
// client proves who it is as SMART Backend Services has it, with a [Key] whose public half the
// server knows; [Settings] are what a file of the site's says of all this.
//
// A server is not trusted further than the site said: requests and the token go to the
// origins of the configuration only, whatever a link, a manifest or a redirect says, every
// answer has a limit, and no error repeats the text of an answer.
//
// A client keeps nothing. What has to outlive the process is two URLs, that of an export's
// status and that of the next page, and both are the caller's to keep.
package fhirserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Config configures a [Client]. Base is required.
type Config struct {
	// Base is the server's base URL, such as https://fhir.example/r4. It is HTTPS, other
	// than on loopback.
	Base string

	// Origins may be asked beside Base's own, such as https://files.example. They get the
	// token too.
	Origins []string

	// Client is the id under which the server knows the key. Empty for a server that wants
	// no token.
	Client string

	// Key signs requests for a token. Required with Client.
	Key Key

	// TokenURL is where tokens are given. Defaults to what the server says in
	// .well-known/smart-configuration.
	TokenURL string

	// Creates are the types of which resources are created. Defaults to none.
	Creates []string

	// Scope is what a token is asked for. Defaults to system/*.rs, or for each type of Creates
	// to system/TYPE.crs; at a server that says it knows only the first version of scopes to
	// system/*.read, or system/TYPE.read and system/TYPE.write.
	Scope string

	// Roots are the authorities that vouch for the server. Defaults to the system's.
	Roots *x509.CertPool

	// MaxAnswer is the size of a page or a manifest in bytes. Defaults to 64 MiB. Files of
	// an export have no limit but that of who reads them.
	MaxAnswer int64

	// Tries is how often a request is sent that the server or the network does not take, 1
	// to 100, with pauses of 1 s, 2 s, 4 s and so on up to 2 min, or what the server asks
	// for. Defaults to 6.
	Tries int

	// MaxWait bounds the pause that a server may ask for. Defaults to 10 min.
	MaxWait time.Duration

	// Stall is how long a server may say nothing. Defaults to 2 min.
	Stall time.Duration

	Now  func() time.Time                           // Defaults to time.Now.
	Wait func(context.Context, time.Duration) error // Pauses, unless ctx ends. Defaults to doing so.
}

func (c Config) withDefaults() Config {
	if c.MaxAnswer == 0 {
		c.MaxAnswer = 64 << 20
	}
	if c.Tries == 0 {
		c.Tries = 6
	}
	if c.MaxWait == 0 {
		c.MaxWait = 10 * time.Minute
	}
	if c.Stall == 0 {
		c.Stall = 2 * time.Minute
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Wait == nil {
		c.Wait = wait
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.Client != "" && c.Key.IsZero():
		return errors.New("a client id needs a key")
	case c.Client == "" && !c.Key.IsZero():
		return errors.New("a key needs the client id that the server gave for it")
	case c.MaxAnswer < 1, c.MaxWait < 0, c.Stall < 0:
		return errors.New("limits must be positive")
	case c.Tries < 1 || c.Tries > 100:
		return errors.New("tries must be 1 to 100")
	}
	return nil
}

// Client talks to one server. It is safe for concurrent use.
type Client struct {
	cfg     Config
	base    *url.URL // without a slash at its end
	origins map[string]bool
	http    *http.Client

	mu    sync.Mutex
	token accessToken // guarded by mu
}

// maxRedirects is how often a request is led elsewhere.
const maxRedirects = 3

var (
	errRedirects = errors.New("the server redirects again and again")
	errRewritten = errors.New("the server redirects what is sent to where it can only be asked for")
)

// New returns a Client; it asks nobody.
func New(cfg Config) (*Client, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("fhir server: %w", err)
	}
	base, err := checkedURL(cfg.Base)
	if err != nil {
		return nil, fmt.Errorf("fhir server: base: %w", err)
	}
	base.Path = strings.TrimRight(base.Path, "/")
	c := &Client{cfg: cfg, base: base, origins: map[string]bool{origin(base): true}}
	for _, o := range cfg.Origins {
		u, err := checkedURL(o)
		if err != nil || strings.TrimRight(u.Path, "/") != "" {
			return nil, fmt.Errorf("fhir server: origins: %q: want https:// and a host, without a path", o)
		}
		c.origins[origin(u)] = true
	}
	if cfg.TokenURL != "" {
		if _, err := checkedURL(cfg.TokenURL); err != nil {
			return nil, fmt.Errorf("fhir server: token url: %w", err)
		}
	}
	c.http = &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: 30 * time.Second}).DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: cfg.Roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    30 * time.Second,
			ResponseHeaderTimeout:  cfg.Stall,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: 64 << 10,
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return errRedirects
			}
			if req.Method != via[0].Method { // what was to be sent would be lost, and its loss be a success
				return errRewritten
			}
			return c.allowed(req.URL)
		},
	}
	return c, nil
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// checkedURL parses an absolute URL that patient data may travel by.
func checkedURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.RawQuery != "":
		return nil, errors.New("want https:// and a host, without a user, a query or a fragment")
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return u, nil
	}
	return nil, errors.New("want https: patient data do not travel in the clear")
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// origin is what of a URL says who is asked.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// OriginError reports a link, a file or a redirect to a server that the site did not name.
// Nothing was asked there.
type OriginError struct{ Origin string }

// Error names the server and what to change.
func (e *OriginError) Error() string {
	return "the server leads to " + e.Origin + ", which is asked only if it stands in origins"
}

func (c *Client) allowed(u *url.URL) error {
	if o := origin(u); !c.origins[o] {
		return &OriginError{o}
	}
	return nil
}

// resolve returns the URL that link stands for in an answer from the URL at, if it may be
// asked.
func (c *Client) resolve(at *url.URL, link string) (*url.URL, error) {
	u, err := at.Parse(link)
	if err != nil || u.Host == "" {
		return nil, errors.New("the server gave a link that is no URL")
	}
	return u, c.allowed(u)
}

// wait pauses for d, unless ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
