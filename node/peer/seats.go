package peer

import (
	"sync"

	"github.com/trialmesh/trialmesh/federation/secagg"
	"github.com/trialmesh/trialmesh/protocol/message"
	protocol "github.com/trialmesh/trialmesh/protocol/query"
)

// maxSeats bounds the members that are held: those of a hundred sites have some 60 kB each.
const maxSeats = 512

// seats holds this node's members of the masked sums that are under way, one a question.
// A member need not be remembered, see [secagg.Member], but one that was made anew for each
// of its five steps would check every signature and agree on every key again.
type seats struct {
	mu sync.Mutex
	of map[protocol.ID]held // guarded by mu
}

// held is a member with what it was made of.
type held struct {
	session message.Digest
	secret  [32]byte
	*secagg.Member
}

func newSeats() *seats { return &seats{of: make(map[protocol.ID]held)} }

// get returns the member of a question's session that has the secret, and makes it if
// another or none is held.
func (s *seats) get(id protocol.ID, session secagg.Session, secret [32]byte, build func() (*secagg.Member, error)) (*secagg.Member, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	digest := session.Digest()
	if h, found := s.of[id]; found && h.session == digest && h.secret == secret {
		return h.Member, nil
	}
	member, err := build()
	if err != nil {
		return nil, err
	}
	delete(s.of, id)
	for other := range s.of {
		if len(s.of) < maxSeats {
			break
		}
		delete(s.of, other)
	}
	s.of[id] = held{session: digest, secret: secret, Member: member}
	return member, nil
}

// drop forgets the question's member, with all that it knows.
func (s *seats) drop(id protocol.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.of, id)
}
