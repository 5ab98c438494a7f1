package front

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxClients bounds the memory of the rate limit.
const maxClients = 10_000

// clients holds a token bucket per client.
type clients struct {
	rate  rate.Limit
	burst int

	mu      sync.Mutex
	buckets map[netip.Prefix]*rate.Limiter
}

func newClients(perSecond float64, burst int) *clients {
	return &clients{rate: rate.Limit(perSecond), burst: burst, buckets: make(map[netip.Prefix]*rate.Limiter)}
}

// allow takes one request out of a client's bucket.
func (c *clients) allow(client netip.Prefix, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	bucket, known := c.buckets[client]
	if !known {
		if len(c.buckets) >= maxClients {
			c.forget(now)
		}
		if len(c.buckets) >= maxClients {
			return false // as many clients at once are an attack
		}
		bucket = rate.NewLimiter(c.rate, c.burst)
		c.buckets[client] = bucket
	}
	return bucket.AllowN(now, 1)
}

// forget drops the clients whose buckets are full again: they lose nothing.
func (c *clients) forget(now time.Time) {
	for client, bucket := range c.buckets {
		if bucket.TokensAt(now) >= float64(c.burst) {
			delete(c.buckets, client)
		}
	}
}

// Client names the client of a request, as the rate limit does.
func Client(r *http.Request) netip.Prefix { return clientOf(r.RemoteAddr) }

// clientOf names a client: its IPv4 address, or its IPv6 network, since a
// customer commonly holds a whole /64.
func clientOf(remote string) netip.Prefix {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	addr, bits := at.Addr().Unmap().WithZone(""), 64
	if addr.Is4() {
		bits = 32
	}
	prefix, _ := addr.Prefix(bits) // never fails for these lengths
	return prefix
}
