package transport

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/trialmesh/trialmesh/protocol/version"
)

const (
	defaultKeepAlive = 10 * time.Second
	minKeepAlive     = 100 * time.Millisecond
	maxKeepAlive     = time.Minute
)

func (c Config) withDefaults() Config {
	c.Limits = c.Limits.withDefaults()
	if c.KeepAlive == 0 {
		c.KeepAlive = defaultKeepAlive
	}
	if c.Speaks == (version.Range{}) {
		c.Speaks = version.Spoken()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// validate returns the hub (zero at a hub) and the other replicas.
func (c Config) validate() (hub peer.AddrInfo, others []peer.AddrInfo, err error) {
	switch {
	case c.Key.IsZero():
		err = errors.New("no key")
	case c.Admit == nil:
		err = errors.New("no Admit function: nobody says who is enrolled")
	case (len(c.Listen) == 0) == (len(c.Hub) == 0):
		err = errors.New("set either Listen (a hub) or Hub (a node)")
	case c.KeepAlive < minKeepAlive || c.KeepAlive > maxKeepAlive:
		err = fmt.Errorf("KeepAlive %v is not between %v and %v", c.KeepAlive, minKeepAlive, maxKeepAlive)
	case len(c.Hub) > 0 && len(c.Peers)+len(c.Announce) > 0:
		err = errors.New("Peers and Announce are for a hub: a node reaches others through its own")
	default:
		err = c.Limits.validate()
	}
	if err != nil {
		return hub, nil, err
	}
	for _, addr := range c.Announce {
		if _, err := multiaddr.NewMultiaddr(addr); err != nil {
			return hub, nil, fmt.Errorf("announced address %q: %w", addr, err)
		}
	}
	hubs, err := peersOf(c.Hub)
	if err != nil {
		return hub, nil, fmt.Errorf("hub address: %w", err)
	}
	if len(hubs) > 1 {
		return hub, nil, errors.New("hub addresses name more than one peer")
	}
	if len(hubs) == 1 {
		hub = hubs[0]
	}
	if others, err = peersOf(c.Peers); err != nil {
		return hub, nil, fmt.Errorf("peer address: %w", err)
	}
	return hub, others, nil
}

// peersOf groups addresses by the peer that their /p2p/ part names, and checks
// that each names a DID's key.
func peersOf(addrs []string) ([]peer.AddrInfo, error) {
	var parsed []multiaddr.Multiaddr
	for _, addr := range addrs {
		m, err := multiaddr.NewMultiaddr(addr)
		if err != nil {
			return nil, fmt.Errorf("parse %q: %w", addr, err)
		}
		parsed = append(parsed, m)
	}
	infos, err := peer.AddrInfosFromP2pAddrs(parsed...)
	if err != nil {
		return nil, fmt.Errorf("read peer from address: %w", err)
	}
	for _, info := range infos {
		if _, err := DIDOf(info.ID); err != nil {
			return nil, err
		}
		if len(info.Addrs) == 0 {
			return nil, fmt.Errorf("%s has no address before /p2p/", info.ID)
		}
	}
	return infos, nil
}
