package network

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of what a [Delay] holds of one direction of a connection.
const (
	chunkBytes = 64 << 10
	heldBytes  = 16 << 20 // 160 MB/s at 100 ms one way; beyond it the sender waits
)

// Delay is a TCP relay that emulates distance: what one side sends comes out at the other
// half a round trip later, in order and at any rate. A side that does not read holds up
// the other once some megabytes are on their way. A connection takes a round trip to come
// about, and ends as late as its bytes.
type Delay struct {
	listener net.Listener
	target   string
	oneWay   atomic.Int64 // ns

	ctx    context.Context //nolint:containedctx // the life of the relay
	cancel context.CancelFunc
	tasks  sync.WaitGroup
}

// NewDelay relays from a free port of loopback to target, host:port, with the given round
// trip of 0 or more, until [Delay.Close].
func NewDelay(target string, roundTrip time.Duration) (*Delay, error) {
	d := &Delay{target: target}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	var err error
	if d.listener, err = new(net.ListenConfig).Listen(d.ctx, "tcp", "127.0.0.1:0"); err != nil {
		d.cancel()
		return nil, err
	}
	d.Set(roundTrip)
	d.tasks.Go(d.accept)
	return d, nil
}

// Set changes the round trip for what is sent from now on, which never overtakes what was
// sent before.
func (d *Delay) Set(roundTrip time.Duration) { d.oneWay.Store(int64(roundTrip / 2)) }

// later is when what is sent now comes out.
func (d *Delay) later() time.Time { return time.Now().Add(time.Duration(d.oneWay.Load())) }

// Address is where the relay listens, host:port.
func (d *Delay) Address() string { return d.listener.Addr().String() }

// Close ends the relay with everything that is on its way, and waits for it.
func (d *Delay) Close() error {
	d.cancel()
	err := d.listener.Close()
	d.tasks.Wait()
	return err
}

func (d *Delay) accept() {
	for {
		near, err := d.listener.Accept()
		if err != nil {
			return
		}
		d.tasks.Go(func() { d.relay(near) })
	}
}

// relay carries one connection until both directions have ended or one has failed.
func (d *Delay) relay(near net.Conn) {
	defer near.Close()
	if d.wait(d.later().Add(time.Duration(d.oneWay.Load()))) != nil {
		return
	}
	far, err := (&net.Dialer{}).DialContext(d.ctx, "tcp", d.target)
	if err != nil {
		return
	}
	defer far.Close()
	stop := context.AfterFunc(d.ctx, func() {
		_ = near.Close() // which ends both directions
		_ = far.Close()
	})
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { d.carry(far, near) })
	both.Go(func() { d.carry(near, far) })
	both.Wait()
}

// carry brings bytes from one side to the other until the sender ends.
func (d *Delay) carry(to, from net.Conn) {
	l := newLine()
	var reading sync.WaitGroup
	reading.Go(func() {
		buffer := make([]byte, chunkBytes)
		for {
			n, err := from.Read(buffer)
			if n > 0 && !l.put(chunk{append([]byte(nil), buffer[:n]...), d.later(), nil}) {
				return
			}
			if err != nil {
				l.put(chunk{nil, d.later(), err})
				return
			}
		}
	})
	if err := d.deliver(to, l); err == nil {
		closeWrite(to)
	} else {
		_ = to.Close() // a broken connection is broken for both
		_ = from.Close()
	}
	l.close()
	reading.Wait()
}

// deliver writes what comes along the line, each when it is due. It returns nil at the
// end of the sender's stream.
func (d *Delay) deliver(to io.Writer, l *line) error {
	for {
		c := l.take()
		if err := d.wait(c.due); err != nil {
			return err
		}
		if errors.Is(c.end, io.EOF) {
			return nil
		}
		if c.end != nil {
			return c.end
		}
		if _, err := to.Write(c.bytes); err != nil {
			return err
		}
	}
}

// wait returns at the given time, or earlier with an error when the relay ends.
func (d *Delay) wait(until time.Time) error {
	left := time.Until(until)
	if left <= 0 {
		return d.ctx.Err()
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-d.ctx.Done():
		return d.ctx.Err()
	}
}

func closeWrite(c net.Conn) {
	if half, can := c.(interface{ CloseWrite() error }); can {
		_ = half.CloseWrite() // the other direction goes on; if this fails, so does that
	}
}

// chunk is what was read at once, or how a stream ended.
type chunk struct {
	bytes []byte
	due   time.Time
	end   error
}

// line holds what is on its way in one direction.
type line struct {
	mu      sync.Mutex
	changed *sync.Cond
	chunks  []chunk // guarded by mu
	held    int     // bytes of chunks; guarded by mu
	closed  bool    // guarded by mu
}

func newLine() *line {
	l := &line{}
	l.changed = sync.NewCond(&l.mu)
	return l
}

// put adds a chunk once there is room, or reports that nobody takes any more.
func (l *line) put(c chunk) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.held > heldBytes && !l.closed {
		l.changed.Wait()
	}
	if l.closed {
		return false
	}
	l.chunks, l.held = append(l.chunks, c), l.held+len(c.bytes)
	l.changed.Broadcast()
	return true
}

// take waits for the next chunk. The reader always puts an end, so it is called by who
// stops after that.
func (l *line) take() chunk {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.chunks) == 0 {
		l.changed.Wait()
	}
	c := l.chunks[0]
	l.chunks, l.held = l.chunks[1:], l.held-len(c.bytes)
	l.changed.Broadcast()
	return c
}

// close lets whoever puts go.
func (l *line) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.changed.Broadcast()
}
