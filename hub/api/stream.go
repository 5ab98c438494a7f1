package api

import (
	"net/netip"
	"sync"

	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Bounds of the event streams that are open at once.
const (
	maxStreams   = 256
	maxOfAClient = 16
)

// errStreams refuses a stream too many. Whoever hears it can poll.
var errStreams = problem.New(problem.TooMany, "too many event streams are open; ask for the question itself, or try again later")

// streams counts the event streams that are open.
type streams struct {
	mu  sync.Mutex
	all int                  // guarded by mu
	of  map[netip.Prefix]int // by client; guarded by mu
}

func newStreams() *streams { return &streams{of: make(map[netip.Prefix]int)} }

// open takes a place for a client's stream, or reports that there is none.
func (s *streams) open(client netip.Prefix) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= maxStreams || s.of[client] >= maxOfAClient {
		return false
	}
	s.all++
	s.of[client]++
	return true
}

// close gives the place back.
func (s *streams) close(client netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.of[client]--; s.of[client] == 0 {
		delete(s.of, client)
	}
}
