package transport

import (
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/p2p/net/swarm"
)

// Offer lets peers find this hub: it binds the addresses of Config.Listen again after
// [Host.Withdraw].
func (h *Host) Offer() error {
	h.withdrawn.Store(false)
	if err := h.listen(); err != nil {
		return errors.Join(fmt.Errorf("transport: %w", err), h.Withdraw())
	}
	return nil
}

// Withdraw sends every peer away and listens no more. A hub of several replicas is in one
// place at a time: to whoever dials another, that replica is a closed port, and the next
// address is tried.
func (h *Host) Withdraw() error {
	h.withdrawn.Store(true) // who is on the way in does not arrive
	if s, is := h.host.Network().(*swarm.Swarm); is {
		s.ListenClose(s.ListenAddresses()...)
	}
	var errs []error
	for _, id := range h.host.Network().Peers() {
		errs = append(errs, h.host.Network().ClosePeer(id))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("transport: withdraw: %w", err)
	}
	return nil
}
