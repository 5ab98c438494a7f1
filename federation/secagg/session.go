package secagg

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// Limits of a session.
const (
	MinMembers = 3       // members whose sum may be revealed, at the least
	MaxMembers = 256     // members of a session
	MaxWords   = 1 << 20 // words of a vector
)

// Session fixes what is summed and among whom. Each member builds or checks it
// by its own knowledge of the question and the trial: the hub may propose
// Members, and a member must not accept anyone whom it does not know.
type Session struct {
	// ID is the question (and round) that the sum answers. A member takes part
	// in one session per ID, whatever else the session says.
	ID message.Digest `json:"id"`

	// Members may take part, 3 to 256, in ascending order.
	Members []identity.DID `json:"members"`

	// Threshold is how many members must agree on the survivors, and how many
	// shares rebuild a secret: more than half of Members, at most all.
	Threshold int `json:"threshold"`

	// MinMembers is the least number of members whose sum a member helps to
	// reveal, 3 to len(Members).
	MinMembers int `json:"minMembers"`

	// Words is the length of every vector, 1 to 1,048,576.
	Words int `json:"words"`
}

// Majority returns the least threshold for n members.
func Majority(n int) int { return n/2 + 1 }

// Validate checks the bounds stated at the fields.
func (s Session) Validate() error {
	n := len(s.Members)
	switch {
	case s.ID.IsZero():
		return fmt.Errorf("session: no id: %w", ErrSession)
	case n < MinMembers || n > MaxMembers:
		return fmt.Errorf("session: %d members, want %d to %d: %w", n, MinMembers, MaxMembers, ErrSession)
	case s.Threshold < Majority(n) || s.Threshold > n:
		return fmt.Errorf("session: threshold %d of %d members, want %d at least: %w", s.Threshold, n, Majority(n), ErrSession)
	case s.MinMembers < MinMembers || s.MinMembers > n:
		return fmt.Errorf("session: least sum over %d of %d members: %w", s.MinMembers, n, ErrSession)
	case s.Words < 1 || s.Words > MaxWords:
		return fmt.Errorf("session: %d words, want 1 to %d: %w", s.Words, MaxWords, ErrSession)
	}
	if err := checkSet(s.Members); err != nil {
		return fmt.Errorf("session: members: %w: %w", err, ErrSession)
	}
	return nil
}

// Digest identifies the session in every message, key and signature.
func (s Session) Digest() message.Digest {
	return digest("session", string(s.ID[:]), list(s.Members),
		strconv.Itoa(s.Threshold), strconv.Itoa(s.MinMembers), strconv.Itoa(s.Words))
}

// least is the size below which no set of members is acceptable.
func (s Session) least() int { return max(s.Threshold, s.MinMembers) }

func (s Session) has(d identity.DID) bool {
	_, found := slices.BinarySearch(s.Members, d)
	return found
}

// checkSet checks that dids are well formed, ascending and distinct.
func checkSet(dids []identity.DID) error {
	if len(dids) > MaxMembers {
		return fmt.Errorf("%d names, at most %d", len(dids), MaxMembers)
	}
	for i, d := range dids {
		if _, err := identity.ParseDID(string(d)); err != nil {
			return fmt.Errorf("name %d: %w", i, err)
		}
		if i > 0 && dids[i-1] >= d {
			return fmt.Errorf("name %d is repeated or out of order", i)
		}
	}
	return nil
}
