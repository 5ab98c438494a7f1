package access

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

// How long keys that a client publishes are used. A client says itself how long with
// Cache-Control; shorter than the pause it cannot be, or a stranger with its name could
// have its server asked again and again.
const (
	keysTime    = 5 * time.Minute  // of a client that does not say
	maxKeysTime = 15 * time.Minute // a key that was taken away counts no longer
	keysPause   = 10 * time.Second
	fetchTime   = 5 * time.Second
)

var (
	errKeysURL  = errors.New("keys url: want https:// and a host, without a user or a fragment, of at most 1,024 characters")
	errAddress  = errors.New("keys are not fetched from loopback, link-local or multicast addresses")
	errPublic   = errors.New("the client's keys could not be fetched")
	errRedirect = errors.New("keys are not fetched from where a redirect leads")
)

// checkKeysURL checks where a client publishes its keys.
func checkKeysURL(text string) error {
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

// published holds the keys of clients that publish them.
type published struct {
	http *http.Client

	mu    sync.Mutex
	sites map[string]*publisher // by URL, guarded by mu
}

// publisher is what is known from one URL.
type publisher struct {
	turn  chan struct{} // held by who asks there or reads what follows
	asked time.Time     // zero for never
	good  time.Time     // until when keys are used
	keys  jose.JSONWebKeySet
}

func newPublished(cfg Config) *published {
	dial := cfg.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: fetchTime, Control: guarded}).DialContext
	}
	return &published{
		sites: map[string]*publisher{},
		http: &http.Client{
			Timeout: fetchTime,
			Transport: &http.Transport{
				Proxy: nil, DialContext: dial, DisableKeepAlives: true, MaxResponseHeaderBytes: 16 << 10,
				TLSClientConfig: &tls.Config{RootCAs: cfg.Roots, MinVersion: tls.VersionTLS12},
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return errRedirect },
		},
	}
}

// at is what is known from a URL.
func (p *published) at(from string) *publisher {
	p.mu.Lock()
	defer p.mu.Unlock()
	site, known := p.sites[from]
	if !known {
		if len(p.sites) >= 2*maxClients { // most are of clients that are gone
			clear(p.sites)
		}
		site = &publisher{turn: make(chan struct{}, 1)}
		p.sites[from] = site
	}
	return site
}

// key returns the keys that are published at a URL under a kid. It asks there if what it
// has is too old or lacks the kid, though not within [keysPause] of the last time.
func (p *published) key(ctx context.Context, from, kid string, now time.Time) ([]jose.JSONWebKey, error) {
	site := p.at(from)
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
		return nil, errPublic
	}
	return site.keys.Key(kid), nil
}

// fetch asks for keys and for how long they are good. Errors do not repeat the answer.
func (p *published) fetch(ctx context.Context, from string) (keys jose.JSONWebKeySet, life time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, http.NoBody)
	if err != nil {
		return keys, 0, errPublic
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := p.http.Do(req)
	if err != nil {
		return keys, 0, errPublic
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxKeySet+1))
	if err != nil || resp.StatusCode != http.StatusOK {
		return keys, 0, errPublic
	}
	keys, err = parseKeys(text)
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
