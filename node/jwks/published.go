package jwks

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// How long keys that are published are used. Their owner says how long with
// Cache-Control; shorter than the pause it cannot be, or a stranger with its name could
// have its server asked again and again.
const (
	keysTime    = 5 * time.Minute  // of an owner that does not say
	maxKeysTime = 15 * time.Minute // a key that was taken away counts no longer
	keysPause   = 10 * time.Second
	fetchTime   = 5 * time.Second
	maxSites    = 2000
)

// ErrUnavailable says that the keys of an address could not be had.
var ErrUnavailable = errors.New("the published keys could not be fetched")

var (
	errKeysURL  = errors.New("keys url: want https:// and a host, without a user or a fragment, of at most 1,024 characters")
	errAddress  = errors.New("keys are not fetched from loopback, link-local or multicast addresses")
	errRedirect = errors.New("keys are not fetched from where a redirect leads")
)

// CheckURL checks an address at which keys are published.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" || len(text) > 1024 {
		return errKeysURL
	}
	if at, err := netip.ParseAddr(u.Hostname()); err == nil && !reachable(at) || strings.EqualFold(u.Hostname(), "localhost") {
		return errAddress
	}
	return nil
}

// reachable reports whether keys may be fetched from an address. Private ones are a
// site's own network, where its programs run.
func reachable(at netip.Addr) bool {
	at = at.Unmap()
	return at.IsValid() && !at.IsLoopback() && !at.IsLinkLocalUnicast() && !at.IsMulticast() && !at.IsUnspecified()
}

// guarded refuses a connection by the address that a name became, so that no name
// can lead to this machine after it was checked.
func guarded(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !reachable(at.Addr()) {
		return errAddress
	}
	return nil
}

// Config configures [Published].
type Config struct {
	// Transport fetches keys. Defaults to one that verifies TLS by the system's
	// authorities and connects to no loopback, link-local or multicast address.
	Transport http.RoundTripper

	// Wait is how long an answer may take. Defaults to 5 s.
	Wait time.Duration
}

// Published holds the keys of those who publish them.
type Published struct {
	http *http.Client

	mu    sync.Mutex
	sites map[string]*publisher // by owner and URL, guarded by mu
}

// publisher is what is known from one URL.
type publisher struct {
	turn  chan struct{} // held by who asks there or reads what follows
	asked time.Time     // zero for never
	good  time.Time     // until when keys are used
	keys  jose.JSONWebKeySet
}

// NewPublished returns a Published without any key; it starts nothing.
func NewPublished(cfg Config) *Published {
	if cfg.Transport == nil {
		cfg.Transport = guardedTransport()
	}
	if cfg.Wait == 0 {
		cfg.Wait = fetchTime
	}
	return &Published{
		sites: map[string]*publisher{},
		http: &http.Client{
			Timeout: cfg.Wait, Transport: cfg.Transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return errRedirect },
		},
	}
}

func guardedTransport() *http.Transport {
	return &http.Transport{
		Proxy: nil, DialContext: (&net.Dialer{Timeout: fetchTime, Control: guarded}).DialContext,
		DisableKeepAlives: true, MaxResponseHeaderBytes: 16 << 10, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
	}
}

// at is what is known by a name.
func (p *Published) at(name string) *publisher {
	p.mu.Lock()
	defer p.mu.Unlock()
	site, known := p.sites[name]
	if !known {
		if len(p.sites) >= maxSites { // most are of owners that are gone
			clear(p.sites)
		}
		site = &publisher{turn: make(chan struct{}, 1)}
		p.sites[name] = site
	}
	return site
}

// Keys returns the keys that an owner publishes at a URL under a kid. Owners of different
// names share nothing, so that one whose keys were replaced gets another. It asks there if what it
// has is too old or lacks the kid, though not within 10 s of the last time. It returns
// [ErrUnavailable] if it has none and gets none.
func (p *Published) Keys(ctx context.Context, owner, from, kid string, now time.Time) ([]jose.JSONWebKey, error) {
	site := p.at(owner + "\x00" + from)
	select {
	case site.turn <- struct{}{}:
		defer func() { <-site.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	fresh := now.Before(site.good) && site.good.Sub(now) <= maxKeysTime // also if the clock was set back
	if fresh && len(site.keys.Key(kid)) > 0 {
		return site.keys.Key(kid), nil
	}
	if site.asked.IsZero() || now.Sub(site.asked).Abs() >= keysPause {
		site.asked = now
		// Somebody else's request that ends early must not look like keys that are gone.
		keys, life, err := p.fetch(context.WithoutCancel(ctx), from)
		if err == nil {
			site.keys, site.good = keys, now.Add(life)
		}
		fresh = fresh || err == nil
	}
	if !fresh {
		return nil, ErrUnavailable
	}
	return site.keys.Key(kid), nil
}

// fetch asks for keys and for how long they are good. Errors do not repeat the answer.
func (p *Published) fetch(ctx context.Context, from string) (keys jose.JSONWebKeySet, life time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, http.NoBody)
	if err != nil {
		return keys, 0, ErrUnavailable
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := p.http.Do(req)
	if err != nil {
		return keys, 0, ErrUnavailable
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, MaxBytes+1))
	if err != nil || resp.StatusCode != http.StatusOK {
		return keys, 0, ErrUnavailable
	}
	keys, err = Parse(text)
	return keys, lifeOf(resp.Header), err
}

// lifeOf is how long an answer may be used, RFC 9111 section 5.2.2.
func lifeOf(h http.Header) time.Duration {
	life := keysTime
	for part := range strings.SplitSeq(strings.ToLower(strings.Join(h.Values("Cache-Control"), ",")), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "no-store", "no-cache":
			return keysPause
		case "max-age":
			if seconds, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 32); err == nil {
				life = time.Duration(seconds) * time.Second
			}
		}
	}
	return min(max(life, keysPause), maxKeysTime)
}
