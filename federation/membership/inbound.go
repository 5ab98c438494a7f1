package membership

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/trialmesh/trialmesh/protocol/identity"
)

// receivePackets passes on a peer's packets until its stream ends.
func (w *wires) receivePackets(_ context.Context, from identity.DID, s net.Conn) {
	ctx := w.running()
	if ctx == nil || !w.cfg.admits(from) {
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = s.SetReadDeadline(time.Now()) })
	defer stop()
	r := bufio.NewReaderSize(s, 4<<10)
	for {
		if err := s.SetReadDeadline(time.Now().Add(packetIdle)); err != nil || ctx.Err() != nil {
			return
		}
		b, err := readPacket(r)
		if err != nil {
			return
		}
		select {
		case w.packets <- &memberlist.Packet{Buf: b, From: memberAddr(from), Timestamp: time.Now()}:
		default: // a flood is dropped, as by any full socket
		}
	}
}

// readPacket reads a length and that many bytes, at least one.
func readPacket(r io.Reader) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint16(head[:])
	if length == 0 {
		return nil, errors.New("packet is empty")
	}
	b := make([]byte, length)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	return b, nil
}

// receiveStream hands a stream to memberlist and keeps it until it is closed.
func (w *wires) receiveStream(_ context.Context, from identity.DID, s net.Conn) {
	ctx := w.running()
	if ctx == nil || !w.cfg.admits(from) {
		return
	}
	c := &exchange{Conn: s, peer: from, closed: make(chan struct{}), stop: func() bool { return true }}
	life := time.NewTimer(streamLife)
	defer life.Stop()
	select {
	case w.streams <- c:
	case <-ctx.Done():
		return
	case <-life.C:
		return
	}
	select {
	case <-c.closed:
	case <-ctx.Done():
	case <-life.C:
	}
}

// exchange is a stream that tells when it is closed and names its peer in the
// form memberlist expects.
type exchange struct {
	net.Conn
	peer   identity.DID
	closed chan struct{}
	stop   func() bool // what closes it when dialing ends
	once   sync.Once
}

func (c *exchange) RemoteAddr() net.Addr { return memberAddr(c.peer) }

func (c *exchange) Close() error {
	c.once.Do(func() { close(c.closed) })
	c.stop()
	return c.Conn.Close()
}
