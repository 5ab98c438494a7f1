package transport

import (
	"context"
	"crypto/rand"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/identity"
)

// BenchmarkCall measures one small call at a time over loopback.
func BenchmarkCall(b *testing.B) {
	everybody := func(identity.DID) bool { return true }
	start := func(cfg Config) *Host {
		key, err := identity.Generate(rand.Reader)
		require.NoError(b, err)
		cfg.Key, cfg.Admit = key, everybody
		h, err := New(cfg)
		require.NoError(b, err)
		serveEcho(h)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- h.Run(ctx) }()
		b.Cleanup(func() {
			cancel()
			require.NoError(b, <-done)
		})
		return h
	}
	hub := start(Config{Listen: loopback})
	one, two := start(Config{Hub: hub.Addrs()}), start(Config{Hub: hub.Addrs()})
	require.Eventually(b, func() bool { return one.Connected(hub.DID()) && two.Connected(hub.DID()) }, patience, patience/1000)
	for _, c := range []struct {
		name     string
		from, to *Host
	}{{"hub to node", hub, one}, {"node to hub", one, hub}, {"node to node", one, two}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				_, err := c.from.Call(b.Context(), c.to.DID(), echo, []byte("hello"))
				require.NoError(b, err)
			}
		})
	}
}
