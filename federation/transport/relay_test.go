package transport

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	libp2pnet "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/pb"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/util"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/identity"
)

const maxRelayMessage = 4096

// lyingRelay is a hub that grants every reservation and sends every circuit to
// one victim, whomever it was asked for, naming whatever caller it likes.
type lyingRelay struct {
	t      *testing.T
	host   host.Host
	pipes  sync.WaitGroup
	mu     sync.Mutex
	victim peer.ID
	claim  peer.ID // the caller it names to the victim; the true one if empty
}

func newLyingRelay(t *testing.T) *lyingRelay {
	r := &lyingRelay{t: t}
	r.host = rogue(t, newKey(t), libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
	r.host.SetStreamHandler(proto.ProtoIDv2Hop, r.hop)
	r.host.SetStreamHandler(aliveProtocol, func(s libp2pnet.Stream) {
		_, _, _ = readRequest(s, 10, plenty)
		_ = writeResponse(s, statusAnswer, nil)
		_ = s.Close()
	})
	t.Cleanup(func() {
		_ = r.host.Close()
		r.pipes.Wait()
	})
	return r
}

func (r *lyingRelay) lead(victim, claim peer.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.victim, r.claim = victim, claim
}

func (r *lyingRelay) addrs() []string {
	return []string{r.host.Addrs()[0].String() + "/p2p/" + r.host.ID().String()}
}

func (r *lyingRelay) hop(s libp2pnet.Stream) {
	var request pb.HopMessage
	if err := util.NewDelimitedReader(s, maxRelayMessage).ReadMsg(&request); err != nil {
		_ = s.Reset()
		return
	}
	ok := pb.HopMessage{Type: pb.HopMessage_STATUS.Enum(), Status: pb.Status_OK.Enum()}
	if request.GetType() == pb.HopMessage_RESERVE {
		expire := uint64(time.Now().Add(time.Hour).Unix())
		ok.Reservation = &pb.Reservation{Expire: &expire}
		_ = util.NewDelimitedWriter(s).WriteMsg(&ok)
		_ = s.Close()
		return
	}
	r.mu.Lock()
	victim, claim := r.victim, r.claim
	r.mu.Unlock()
	if claim == "" {
		claim = s.Conn().RemotePeer()
	}
	to, err := r.host.NewStream(context.Background(), victim, proto.ProtoIDv2Stop)
	if err == nil {
		err = util.NewDelimitedWriter(to).WriteMsg(&pb.StopMessage{
			Type: pb.StopMessage_CONNECT.Enum(),
			Peer: util.PeerInfoToPeerV2(peer.AddrInfo{ID: claim}),
		})
	}
	var answer pb.StopMessage
	if err == nil {
		err = util.NewDelimitedReader(to, maxRelayMessage).ReadMsg(&answer)
	}
	if err != nil || answer.GetStatus() != pb.Status_OK {
		_ = s.Reset()
		return
	}
	_ = util.NewDelimitedWriter(s).WriteMsg(&ok)
	pipe := func(from, to libp2pnet.Stream) {
		_, _ = io.Copy(to, from)
		_ = to.CloseWrite()
	}
	r.pipes.Go(func() { pipe(s, to) })
	r.pipes.Go(func() { pipe(to, s) })
}

// A hub may drop what nodes say to each other, but it can neither lead them to
// somebody else nor pass one off as another.
func TestLyingHubCannotSwapNodes(t *testing.T) {
	t.Parallel()
	e := &enrolled{}
	relay := newLyingRelay(t)
	var asked atomic.Int64
	var caller atomic.Value
	var nodes []*Host
	for range 3 {
		node := newNode(t, e, relay.addrs(), nil)
		e.add(node.DID())
		node.HandleCall(echo, func(_ context.Context, from identity.DID, _ []byte) ([]byte, error) {
			asked.Add(1)
			caller.Store(from)
			return nil, nil
		})
		nodes = append(nodes, node)
		run(t, node)
	}
	alice, bob, carol := nodes[0], nodes[1], nodes[2]
	for _, node := range nodes {
		require.Eventually(t, func() bool { return node.Connected(node.Hub()) }, patience, 10*time.Millisecond)
	}
	call := func(from, to *Host) error {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		_, err := from.Call(ctx, to.DID(), echo, nil)
		return err
	}

	relay.lead(carol.host.ID(), "")
	require.ErrorIs(t, call(alice, bob), ErrUnreachable, "led to carol")
	relay.lead(bob.host.ID(), carol.host.ID())
	require.ErrorIs(t, call(alice, bob), ErrUnreachable, "introduced as carol")
	require.Zero(t, asked.Load(), "nothing was said to the wrong party")

	relay.lead(bob.host.ID(), "")
	require.Eventually(t, func() bool { return call(alice, bob) == nil }, patience, 50*time.Millisecond, "the same relay, when it is honest")
	require.Equal(t, alice.DID(), caller.Load())
}
