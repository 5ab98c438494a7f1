// Package wearable asks the makers of wearables for what they hold of a person who allowed
// it: Fitbit, Oura, Garmin, Google Health, Google Fit and Withings.
//
// Start from [New]. [Client.AuthURL] is where a person allows it, [Client.Exchange] takes
// what comes back, [Client.Refresh] gets new tokens and [Client.Revoke] ends it. A maker has
// [Client.Feeds], and [Client.Page] fetches one page of one feed for a span of days, as the
// maker sent it: connectors/source/wearable reads it. What is particular to a maker stands in
// the file named for it, with the page of its documents.
//
// A maker is not trusted further than its table says: tokens go to the addresses that stand
// there only, no redirect is followed, every answer and every wait has a limit, and no error
// repeats the text of an answer.
//
// A client keeps nothing and sends no request for tokens twice. Who keeps the [Tokens] has
// to write those of a refresh down before using them: where a maker gives each refresh token
// for one use, the one that was sent is worth nothing afterwards.
package wearable

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// Config configures a [Client]. Maker, ID, Secret and Redirect are required.
type Config struct {
	// Maker is one of [Makers].
	Maker string

	// ID and Secret are what the maker gave for the site's application.
	ID     string
	Secret Secret

	// Redirect is the URL that the application is registered with: https, or http on
	// loopback.
	Redirect string

	// MaxAnswer is the size of an answer in bytes. Defaults to 16 MiB.
	MaxAnswer int64

	// Timeout is how long an answer may take from the request to its end. Defaults to
	// 45 s.
	Timeout time.Duration

	// Roots are the authorities that vouch for the maker. Defaults to the system's.
	Roots *x509.CertPool

	// Dial opens connections. Defaults to doing so directly, or by the proxy that the
	// environment names.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	Now func() time.Time // Defaults to time.Now.
}

func (c Config) withDefaults() Config {
	if c.MaxAnswer == 0 {
		c.MaxAnswer = 16 << 20
	}
	if c.Timeout == 0 {
		c.Timeout = 45 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func (c Config) validate() error {
	switch {
	case makers[c.Maker] == nil:
		return errors.New("maker: want " + strings.Join(Makers(), ", "))
	case c.ID == "":
		return errors.New("client: the id that the maker gave for the application is required")
	case c.Secret.text == "":
		return errors.New("secret: the one that the maker gave for the application is required")
	case c.MaxAnswer < 1, c.Timeout < 0:
		return errors.New("limits must be positive")
	}
	return checkRedirect(c.Redirect)
}

// checkRedirect refuses a redirect by which a code would travel in the clear.
func checkRedirect(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.RawQuery != "":
		return errors.New("redirect: want a URL with a host and without a user, a query or a fragment")
	case u.Scheme == "https", u.Scheme == "http" && Loopback(u.Hostname()):
		return nil
	}
	return errors.New("redirect: want https, or http on 127.0.0.1 or localhost")
}

// Loopback reports whether a host is this machine.
func Loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Makers returns the names of all makers, sorted.
func Makers() []string { return slices.Sorted(maps.Keys(makers)) }

// Client asks one maker. It is safe for concurrent use.
type Client struct {
	cfg   Config
	maker *maker
	oauth oauth2.Config
	http  *http.Client
}

// New returns a Client; it asks nobody.
func New(cfg Config) (*Client, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("wearable: %w", err)
	}
	m := makers[cfg.Maker]
	transport := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 30 * time.Second}).DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: cfg.Roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    30 * time.Second,
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
	}
	if cfg.Dial != nil {
		transport.Proxy, transport.DialContext = nil, cfg.Dial
	}
	return &Client{
		cfg: cfg, maker: m,
		oauth: oauth2.Config{
			ClientID: cfg.ID, ClientSecret: cfg.Secret.text, RedirectURL: cfg.Redirect, Scopes: m.scopes,
			Endpoint: oauth2.Endpoint{AuthURL: m.authorize, TokenURL: m.token, AuthStyle: m.style},
		},
		http: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Source is the name that documents of connectors/source/wearable give the maker.
func (c *Client) Source() string { return c.maker.source }

// Zoned reports whether the maker's clocks lack an offset, so that who reads its answers has
// to know the account's time zone.
func (c *Client) Zoned() bool { return c.maker.zoned }

// Feeds returns what the maker can be asked for.
func (c *Client) Feeds() []Feed { return c.maker.feeds }
