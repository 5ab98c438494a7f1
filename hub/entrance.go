package hub

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/trialmesh/trialmesh/protocol/identity"
)

// entranceProtocol carries a client's connection from the replica that was dialed to the
// leader. TLS runs end to end in it; a first line says where the client is.
const entranceProtocol = "/trialmesh/replica/api/1"

// leaderTime is how long a client waits for a leader. Then the replica that was dialed serves
// what it knows itself, and refuses what has to be committed.
const leaderTime = 5 * time.Second

// maxPassed bounds the connections that are passed to the leader at one time. They share one
// connection between the replicas with what those agree on, which has so many streams in all.
const maxPassed = 128

// entrance lets clients in at any replica and has the leader serve them, so that nobody reads
// what is older than what was acknowledged. It is the net.Listener of the API.
type entrance struct {
	net.Listener
	hub   *Hub
	came  chan net.Conn
	room  chan struct{} // taken by connections that are passed on
	tasks sync.WaitGroup

	mu     sync.Mutex
	open   map[net.Conn]bool // served here; guarded by mu
	closed chan struct{}
	once   sync.Once
}

func newEntrance(h *Hub, l net.Listener) *entrance {
	e := &entrance{Listener: l, hub: h, came: make(chan net.Conn), room: make(chan struct{}, maxPassed), open: make(map[net.Conn]bool), closed: make(chan struct{})}
	if h.between != nil {
		h.between.Handle(entranceProtocol, e.receive)
	}
	return e
}

// run takes connections until the entrance is closed.
func (e *entrance) run() {
	for {
		conn, err := e.Listener.Accept()
		if err != nil {
			if e.isClosed() {
				return
			}
			time.Sleep(leaderPause) // out of files, for example
			continue
		}
		e.tasks.Go(func() {
			if e.elsewhere(conn) {
				return
			}
			e.serve(conn, conn.RemoteAddr())
		})
	}
}

func (e *entrance) isClosed() bool {
	select {
	case <-e.closed:
		return true
	default:
		return false
	}
}

// Accept returns the next connection that is served here.
func (e *entrance) Accept() (net.Conn, error) {
	select {
	case conn := <-e.came:
		return conn, nil
	case <-e.closed:
		return nil, net.ErrClosed
	}
}

// serve hands a connection to whoever accepts, and returns what is closed when it is.
func (e *entrance) serve(conn net.Conn, from net.Addr) <-chan struct{} {
	v := &visit{Conn: conn, from: from, entrance: e, over: make(chan struct{})}
	e.mu.Lock()
	e.open[v] = true
	e.mu.Unlock()
	select {
	case e.came <- v:
	case <-e.closed:
		_ = v.Close()
	}
	return v.over
}

// elsewhere passes a connection on to the leader, if that is another replica.
func (e *entrance) elsewhere(conn net.Conn) bool {
	h := e.hub
	if h.between == nil {
		return false
	}
	for end := time.Now().Add(leaderTime); time.Now().Before(end); {
		changed := h.replica.Changed()
		leader := h.replica.Leader()
		if h.log.Leading() {
			return false
		}
		if leader != "" && leader != h.self.DID() && e.pass(conn, leader) {
			return true
		}
		select {
		case <-changed:
		case <-time.After(leaderPause):
		case <-e.closed:
			_ = conn.Close()
			return true
		}
	}
	return false
}

// pass carries a connection to the leader and back until either end is done with it, or closes
// it if there is no room. It reports false if the leader was not reached.
func (e *entrance) pass(conn net.Conn, leader identity.DID) bool {
	select {
	case e.room <- struct{}{}:
		defer func() { <-e.room }()
	default:
		_ = conn.Close()
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaderTime)
	defer cancel()
	there, err := e.hub.between.Open(ctx, leader, entranceProtocol)
	if err != nil {
		return false
	}
	if _, err := io.WriteString(there, conn.RemoteAddr().String()+"\n"); err != nil {
		_ = there.Close()
		return false
	}
	done := make(chan struct{}, 2)
	var ways sync.WaitGroup
	for _, way := range [2][2]net.Conn{{there, conn}, {conn, there}} {
		ways.Go(func() {
			_, _ = io.Copy(way[0], way[1]) // ends with either side
			done <- struct{}{}
		})
	}
	select {
	case <-done:
	case <-e.closed:
	}
	_, _ = conn.Close(), there.Close()
	ways.Wait()
	return true
}

// receive serves a connection that another replica passes on.
func (e *entrance) receive(ctx context.Context, _ identity.DID, s net.Conn) {
	if !e.hub.log.Leading() {
		return
	}
	_ = s.SetReadDeadline(time.Now().Add(leaderTime))
	reader := bufio.NewReaderSize(s, 256)
	line, err := reader.ReadString('\n')
	if err != nil || len(line) > 64 {
		return
	}
	_ = s.SetReadDeadline(time.Time{})
	over := e.serve(passed{s, reader}, clientAddr(strings.TrimSpace(line)))
	select {
	case <-over:
	case <-ctx.Done():
	}
}

// clear ends what is served here: clients come again, to whoever leads.
func (e *entrance) clear() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for conn := range e.open {
		go conn.Close()
	}
}

// Close lets nobody in any more and waits for what is passed on.
func (e *entrance) Close() error {
	e.once.Do(func() { close(e.closed) })
	err := e.Listener.Close()
	e.tasks.Wait()
	return err
}

// passed is a connection whose beginning was read.
type passed struct {
	net.Conn
	r io.Reader
}

func (p passed) Read(b []byte) (int, error) { return p.r.Read(b) }

// visit is a client's connection, which says where the client is.
type visit struct {
	net.Conn
	from     net.Addr
	entrance *entrance
	over     chan struct{} // closed when the connection is
	once     sync.Once
}

func (v *visit) RemoteAddr() net.Addr { return v.from }

func (v *visit) Close() error {
	v.once.Do(func() {
		v.entrance.mu.Lock()
		delete(v.entrance.open, v)
		v.entrance.mu.Unlock()
		close(v.over)
	})
	return v.Conn.Close()
}

// clientAddr is where a client of another replica is.
type clientAddr string

// Network returns "tcp".
func (clientAddr) Network() string  { return "tcp" }
func (a clientAddr) String() string { return string(a) }
