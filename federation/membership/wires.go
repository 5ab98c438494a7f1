package membership

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/trialmesh/trialmesh/protocol/identity"
)

// The protocols between members. Packets travel on one long stream per peer and
// direction, each after its length in two bytes, big-endian; list exchanges on
// a stream each.
const (
	PacketProtocol = "/trialmesh/gossip/packet/1"
	StreamProtocol = "/trialmesh/gossip/stream/1"
)

const (
	port = 7946 // of every member; it exists in addresses only

	maxPacket     = 1<<16 - 1
	queueLength   = 128 // packets waiting for one peer; more are dropped, as UDP would
	inboxLength   = 1024
	packetIdle    = time.Minute      // after which a silent packet stream is closed
	streamTimeout = 10 * time.Second // for opening a stream, and for each message on one
	streamLife    = time.Minute      // for a whole list exchange
)

// addressOf returns the address that stands for a member: an IPv6 unique local
// address (RFC 4193) made of its name's hash. Nothing is ever sent to it.
func addressOf(did identity.DID) net.IP {
	sum := sha256.Sum256([]byte(did))
	return append(net.IP{0xfd}, sum[:net.IPv6len-1]...)
}

// memberAddr is a member as net.Addr, in the form memberlist expects.
func memberAddr(did identity.DID) net.Addr {
	return &net.TCPAddr{IP: addressOf(did), Port: port}
}

// wires carries memberlist's packets and streams over the network.
type wires struct {
	cfg     Config
	packets chan *memberlist.Packet
	streams chan net.Conn

	mu         sync.Mutex // guards what follows
	ctx        context.Context
	cancel     context.CancelFunc
	dialing    context.Context // part of ctx: list exchanges begun here
	cancelDial context.CancelFunc
	queues     map[identity.DID]chan []byte // one sender goroutine each
	tasks      sync.WaitGroup               // senders
}

var _ memberlist.NodeAwareTransport = (*wires)(nil)

func newWires(cfg Config) *wires {
	w := &wires{
		cfg:     cfg,
		packets: make(chan *memberlist.Packet, inboxLength),
		streams: make(chan net.Conn),
		queues:  map[identity.DID]chan []byte{},
	}
	cfg.Network.Handle(PacketProtocol, w.receivePackets)
	cfg.Network.Handle(StreamProtocol, w.receiveStream)
	return w
}

func (w *wires) start() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.dialing, w.cancelDial = context.WithCancel(w.ctx)
}

// stopDialing ends the list exchanges begun here. Packets still flow.
func (w *wires) stopDialing() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cancelDial()
}

func (w *wires) stop() {
	w.mu.Lock()
	w.cancelDial()
	w.cancel()
	w.mu.Unlock()
	w.tasks.Wait()
}

// running returns the context between start and stop, or nil outside of it.
func (w *wires) running() context.Context {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx == nil || w.ctx.Err() != nil {
		return nil
	}
	return w.ctx
}

// FinalAdvertiseAddr returns this member's address.
func (w *wires) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return addressOf(w.cfg.ID), port, nil
}

// WriteToAddress queues a packet. It never blocks: a peer that is slow or gone
// must not delay the probes of the others, or they would look dead too.
func (w *wires) WriteToAddress(b []byte, to memberlist.Address) (time.Time, error) {
	did, err := w.peer(to)
	if err != nil {
		return time.Time{}, err
	}
	if len(b) > maxPacket {
		return time.Time{}, fmt.Errorf("packet of %d bytes is too long", len(b))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx == nil || w.ctx.Err() != nil {
		return time.Time{}, net.ErrClosed
	}
	queue := w.queues[did]
	if queue == nil {
		queue = make(chan []byte, queueLength)
		w.queues[did] = queue
		ctx := w.ctx
		w.tasks.Go(func() { w.send(ctx, did, queue) })
	}
	select {
	case queue <- append([]byte{byte(len(b) >> 8), byte(len(b))}, b...):
	default:
	}
	return time.Now(), nil
}

// peer returns the member that an address names. Only names count.
func (w *wires) peer(a memberlist.Address) (identity.DID, error) {
	did, err := identity.ParseDID(a.Name)
	if err != nil {
		return "", err
	}
	if !w.cfg.admits(did) {
		return "", fmt.Errorf("%s is not enrolled", did)
	}
	return did, nil
}

// send writes a peer's queue to a stream that is opened when needed, and ends
// when nothing was queued for a while.
func (w *wires) send(ctx context.Context, to identity.DID, queue chan []byte) {
	var s net.Conn
	drop := func() {
		if s != nil {
			_ = s.Close()
			s = nil
		}
	}
	defer drop()
	for {
		select {
		case <-ctx.Done():
			return
		case packet := <-queue:
			var err error
			if s == nil {
				s, err = w.open(ctx, to, PacketProtocol, streamTimeout)
			}
			if err == nil {
				err = errors.Join(s.SetWriteDeadline(time.Now().Add(w.cfg.Pace)), write(s, packet))
			}
			if err != nil {
				w.cfg.Log.DebugContext(ctx, "gossip packet lost", "peer", to, "err", err)
				drop()
			}
		case <-time.After(packetIdle / 2):
			w.mu.Lock()
			if len(queue) == 0 {
				delete(w.queues, to)
				w.mu.Unlock()
				return
			}
			w.mu.Unlock()
		}
	}
}

func write(s io.Writer, b []byte) error {
	_, err := s.Write(b)
	return err
}

func (w *wires) open(ctx context.Context, to identity.DID, protocol string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return w.cfg.Network.Open(ctx, to, protocol)
}

// DialAddressTimeout opens a stream for a list exchange or a fallback probe.
func (w *wires) DialAddressTimeout(to memberlist.Address, timeout time.Duration) (net.Conn, error) {
	did, err := w.peer(to)
	if err != nil {
		return nil, err
	}
	if w.running() == nil {
		return nil, net.ErrClosed
	}
	w.mu.Lock()
	ctx := w.dialing
	w.mu.Unlock()
	s, err := w.open(ctx, did, StreamProtocol, timeout)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	return &exchange{Conn: s, peer: did, closed: make(chan struct{}), stop: stop}, nil
}

// WriteTo and DialTimeout are for addresses without a name, which have no meaning here.
func (w *wires) WriteTo([]byte, string) (time.Time, error) { return time.Time{}, errNameless }

// DialTimeout refuses, see WriteTo.
func (w *wires) DialTimeout(string, time.Duration) (net.Conn, error) { return nil, errNameless }

var errNameless = errors.New("membership: a member is reached by name only")

// PacketCh and StreamCh are where memberlist receives.
func (w *wires) PacketCh() <-chan *memberlist.Packet { return w.packets }

// StreamCh see PacketCh.
func (w *wires) StreamCh() <-chan net.Conn { return w.streams }

// Shutdown ends all streams and waits for the senders.
func (w *wires) Shutdown() error {
	w.stop()
	return nil
}
