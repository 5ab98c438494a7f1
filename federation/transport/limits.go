package transport

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/libp2p/go-libp2p/x/rate"
)

// Limits bounds what peers may cost a host. The zero value means the defaults.
type Limits struct {
	// Peers is how many peers may be connected, 1 to 10,000. Defaults to 256.
	Peers int

	// StreamsPerPeer is how many streams one peer may have open in one
	// direction, 8 to 10,000. Defaults to 256. A hub adds one per circuit.
	StreamsPerPeer int

	// CircuitsPerPeer is how many relayed connections a hub carries for one
	// node, 1 to 10,000. Defaults to 64.
	CircuitsPerPeer int

	// CircuitTime and CircuitBytes (each way) end a relayed connection; its
	// users open another. Default to 30 min and 64 MiB.
	CircuitTime  time.Duration
	CircuitBytes int64

	// MessageBytes is the largest request or response of a call, 1 kB to
	// 64 MiB. Defaults to 4 MiB.
	MessageBytes int

	// ReadTime is how long a peer may take to deliver one request after
	// opening a stream. Defaults to 30 s.
	ReadTime time.Duration

	// CallTime is how long a call may take, for callers without an earlier
	// deadline and for every handler. Defaults to 2 min.
	CallTime time.Duration
}

func (l Limits) withDefaults() Limits {
	orInt := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	orTime := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	orInt(&l.Peers, 256)
	orInt(&l.StreamsPerPeer, 256)
	orInt(&l.CircuitsPerPeer, 64)
	orInt(&l.MessageBytes, 4<<20)
	orTime(&l.CircuitTime, 30*time.Minute)
	orTime(&l.ReadTime, 30*time.Second)
	orTime(&l.CallTime, 2*time.Minute)
	if l.CircuitBytes == 0 {
		l.CircuitBytes = 64 << 20
	}
	return l
}

func (l Limits) validate() error {
	for _, f := range []struct {
		name          string
		value, lo, hi int
	}{
		{"Peers", l.Peers, 1, 10_000},
		{"StreamsPerPeer", l.StreamsPerPeer, 8, 10_000},
		{"CircuitsPerPeer", l.CircuitsPerPeer, 1, 10_000},
		{"MessageBytes", l.MessageBytes, 1000, 64 << 20},
	} {
		if f.value < f.lo || f.value > f.hi {
			return fmt.Errorf("limit %s %d is not between %d and %d", f.name, f.value, f.lo, f.hi)
		}
	}
	if l.CircuitTime < 0 || l.CircuitBytes < 0 || l.ReadTime < 0 || l.CallTime < 0 {
		return errors.New("a limit is negative")
	}
	return nil
}

// resources returns the resource manager: libp2p's own limits scaled to this
// machine's memory, with the counts of l in their place.
func (l Limits) resources() (network.ResourceManager, error) {
	scaling := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&scaling)
	perPeer := rcmgr.LimitVal(l.StreamsPerPeer + l.CircuitsPerPeer)
	conns := rcmgr.LimitVal(4*l.Peers + l.CircuitsPerPeer) // a peer reconnecting has two for a while
	streams := rcmgr.LimitVal(min(l.Peers*l.StreamsPerPeer, 1<<16))
	all := rcmgr.ResourceLimits{Streams: streams, StreamsInbound: streams, StreamsOutbound: streams}
	each := rcmgr.ResourceLimits{Streams: 2 * perPeer, StreamsInbound: perPeer, StreamsOutbound: perPeer}

	each.Memory = rcmgr.LimitVal64(max(128<<20, 32*int64(l.MessageBytes)))
	all.Memory = rcmgr.Unlimited64 // the system's own limit, an eighth of the machine and 128 MiB, stands above

	system := all
	system.Memory = rcmgr.DefaultLimit64
	system.Conns, system.ConnsInbound, system.ConnsOutbound = conns, conns, conns
	peer := each
	peer.Conns, peer.ConnsInbound, peer.ConnsOutbound = 16, 8, 16
	limits := rcmgr.PartialLimitConfig{
		System:              system,
		PeerDefault:         peer,
		ProtocolDefault:     all,
		ProtocolPeerDefault: each,
		Service:             map[string]rcmgr.ResourceLimits{relay.ServiceName: all},
		ServicePeer:         map[string]rcmgr.ResourceLimits{relay.ServiceName: each},
	}.Build(scaling.AutoScale())

	// libp2p allows 8 connections an address by default, and one new one every
	// 5 s. Hospitals share addresses behind one gateway, and all of them come
	// back at once when the hub restarts.
	pace := rate.Limit{RPS: 20, Burst: 2 * l.Peers}
	local := []rate.PrefixLimit{
		{Prefix: netip.MustParsePrefix("127.0.0.0/8")},
		{Prefix: netip.MustParsePrefix("::1/128")},
	}
	return rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits),
		rcmgr.WithMetricsDisabled(),
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: 2 * l.Peers}},
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 56, ConnCount: 2 * l.Peers}},
		),
		rcmgr.WithConnRateLimiters(&rate.Limiter{
			NetworkPrefixLimits: local,
			SubnetRateLimiter: rate.SubnetLimiter{
				IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: pace}},
				IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 56, Limit: pace}},
				GracePeriod:      time.Minute,
			},
		}),
	)
}

func (l Limits) relay() relay.Resources {
	return relay.Resources{
		Limit:                 &relay.RelayLimit{Duration: l.CircuitTime, Data: l.CircuitBytes},
		ReservationTTL:        reservationTime,
		MaxReservations:       l.Peers,
		MaxCircuits:           l.CircuitsPerPeer,
		BufferSize:            8 << 10,
		MaxReservationsPerIP:  l.Peers,
		MaxReservationsPerASN: l.Peers,
	}
}
