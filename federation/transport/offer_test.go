package transport

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestOneOfTwoPlaces: a hub that is on two machines is reached at that which offers itself,
// and nodes follow when it is the other's turn.
func TestOneOfTwoPlaces(t *testing.T) {
	t.Parallel()
	e := new(enrolled)
	key := newKey(t)
	var places []*Host
	var addresses []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		_, port, err := net.SplitHostPort(l.Addr().String())
		require.NoError(t, err)
		require.NoError(t, l.Close())
		at := "/ip4/127.0.0.1/tcp/" + port
		h := newHub(t, e, func(c *Config) { c.Key, c.Listen, c.Announce, c.Withdrawn = key, []string{at}, []string{at}, true })
		run(t, h)
		places, addresses = append(places, h), append(addresses, h.Addrs()...)
	}
	node := newKey(t)
	e.add(node.DID())
	n, err := New(Config{Key: node, Hub: addresses, Admit: e.admit, Log: logger()})
	require.NoError(t, err)
	run(t, n)
	for _, turn := range []int{0, 1, 0} {
		require.NoError(t, places[turn].Offer())
		require.Eventually(t, func() bool { return places[turn].Connected(node.DID()) && n.Connected(key.DID()) }, patience, 10*time.Millisecond)
		require.False(t, places[1-turn].Connected(node.DID()))
		require.NoError(t, places[turn].Withdraw())
		require.Eventually(t, func() bool { return !n.Connected(key.DID()) }, patience, 10*time.Millisecond)
	}
}
