package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
)

const (
	dialTimeout     = 10 * time.Second
	reservationTime = time.Hour // at the relay; a node renews at half of it
	firstBackoff    = 250 * time.Millisecond
	maxBackoff      = 3 * time.Second // questions have deadlines of a minute

	aliveProtocol = "/trialmesh/alive/1"
)

// stand keeps a node connected to its hub until ctx ends.
func (h *Host) stand(ctx context.Context) {
	for failures := 0; ctx.Err() == nil; {
		down := h.watch.lost(h.hub.ID)
		err := h.connect(ctx)
		if err == nil {
			failures = 0
			h.log.InfoContext(ctx, "hub connected", "hub", h.Hub())
			h.setStanding(true)
			err = h.hold(ctx, down)
			h.setStanding(false)
		}
		_ = h.host.Network().ClosePeer(h.hub.ID)
		if ctx.Err() != nil {
			return
		}
		wait := backoff(failures)
		failures++
		level := slog.LevelDebug
		if failures&(failures-1) == 0 { // the first, second, fourth: hours without a hub fill no log
			level = slog.LevelWarn
		}
		h.log.Log(ctx, level, "hub not connected", "hub", h.Hub(), "err", err, "failures", failures, "retry", wait)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// setStanding notes whether the connection to the hub is of use. A hub that
// refuses us lets a QUIC handshake end well and only then hangs up, so that the
// connection exists is not enough.
func (h *Host) setStanding(up bool) {
	h.standing.Store(up)
	h.watch.note(h.hub.ID)
}

// backoff returns how long to wait after so many failures in a row: doubling
// from 250 ms to 3 s, and between half and all of that at random, so that the
// nodes of a hub that restarts do not all return in the same instant.
func backoff(failures int) time.Duration {
	d := min(firstBackoff<<min(failures, 10), maxBackoff)
	return d/2 + rand.N(d/2)
}

// connect dials the hub and reserves a relay slot there.
func (h *Host) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if s, ok := h.host.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(h.hub.ID) // the waiting is ours, see backoff
	}
	if err := h.host.Connect(ctx, h.hub); err != nil {
		return fmt.Errorf("dial hub: %w", err)
	}
	return h.reserve(ctx)
}

func (h *Host) reserve(ctx context.Context) error {
	if _, err := client.Reserve(ctx, h.host, peer.AddrInfo{ID: h.hub.ID}); err != nil {
		return fmt.Errorf("reserve relay slot: %w", err)
	}
	return nil
}

// hold watches over a connection that is up, until it is not.
func (h *Host) hold(ctx context.Context, down <-chan struct{}) error {
	alive := time.NewTicker(h.cfg.KeepAlive)
	defer alive.Stop()
	renew := time.NewTicker(reservationTime / 2)
	defer renew.Stop()
	held := h.host.Network().ConnsToPeer(h.hub.ID)
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-down:
			return errors.New("connection lost")
		case <-alive.C:
			// The hub forgets the relay slot with the connection it was
			// reserved on, even if another has already replaced it.
			if !slices.ContainsFunc(h.host.Network().ConnsToPeer(h.hub.ID), func(c network.Conn) bool { return slices.Contains(held, c) }) {
				return errors.New("connection was replaced")
			}
			err = h.probe(ctx)
		case <-renew.C:
			err = h.reserve(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// probe asks the hub for a sign of life. TCP alone would take minutes to notice
// that a firewall has forgotten the connection.
func (h *Host) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, h.cfg.KeepAlive)
	defer cancel()
	if _, err := h.Call(ctx, h.Hub(), aliveProtocol, nil); err != nil {
		return fmt.Errorf("hub gives no sign of life: %w", err)
	}
	return nil
}
