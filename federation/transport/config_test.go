package transport

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/trialmesh/trialmesh/protocol/identity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNewRefusesNonsense(t *testing.T) {
	t.Parallel()
	hub := newHub(t, &enrolled{}, nil)
	other := newHub(t, &enrolled{}, nil)
	id := "/p2p/" + hub.host.ID().String()
	admit := func(identity.DID) bool { return true }
	asHub := Config{Key: newKey(t), Listen: loopback, Admit: admit}
	asNode := Config{Key: newKey(t), Hub: hub.Addrs(), Admit: admit}
	for _, c := range []struct {
		name   string
		cfg    Config
		change func(*Config)
	}{
		{"no key", asHub, func(c *Config) { c.Key = identity.Key{} }},
		{"no Admit", asHub, func(c *Config) { c.Admit = nil }},
		{"neither hub nor node", asHub, func(c *Config) { c.Listen = nil }},
		{"both hub and node", asHub, func(c *Config) { c.Hub = hub.Addrs() }},
		{"listen address is not a multiaddr", asHub, func(c *Config) { c.Listen = []string{"127.0.0.1:80"} }},
		{"announced address is not a multiaddr", asHub, func(c *Config) { c.Announce = []string{"hub.example.org:443"} }},
		{"keep-alive too short", asNode, func(c *Config) { c.KeepAlive = time.Millisecond }},
		{"keep-alive too long", asNode, func(c *Config) { c.KeepAlive = time.Hour }},
		{"limit out of range", asHub, func(c *Config) { c.Limits.MessageBytes = 1 << 30 }},
		{"limit negative", asHub, func(c *Config) { c.Limits.CallTime = -1 }},
		{"hub address without a peer", asNode, func(c *Config) { c.Hub = []string{"/ip4/127.0.0.1/tcp/1"} }},
		{"hub address without an address", asNode, func(c *Config) { c.Hub = []string{id} }},
		{"two hubs", asNode, func(c *Config) { c.Hub = append(hub.Addrs(), other.Addrs()...) }},
		{"node with peers", asNode, func(c *Config) { c.Peers = other.Addrs() }},
		{"node that announces", asNode, func(c *Config) { c.Announce = loopback }},
		{"TCP port in use", asHub, func(c *Config) { c.Listen = []string{hubAddr(hub, "/tcp/"), loopback[1]} }},
		{"UDP port in use", asHub, func(c *Config) { c.Listen = []string{loopback[0], hubAddr(hub, "/udp/")} }},
	} {
		cfg := c.cfg
		c.change(&cfg)
		h, err := New(cfg)
		if err == nil {
			_ = h.Close()
		}
		require.Error(t, err, c.name)
	}
}

// hubAddr returns the address of hub that contains part.
func hubAddr(hub *Host, part string) string {
	for _, addr := range hub.host.Addrs() {
		if strings.Contains(addr.String(), part) {
			return addr.String()
		}
	}
	return ""
}

func TestAnnouncedAddressesGoIntoInvitations(t *testing.T) {
	t.Parallel()
	hub := newHub(t, &enrolled{}, func(c *Config) { c.Announce = []string{"/dns4/hub.example.org/tcp/443"} })
	require.Equal(t, []string{"/dns4/hub.example.org/tcp/443/p2p/" + hub.host.ID().String()}, hub.Addrs())
}
