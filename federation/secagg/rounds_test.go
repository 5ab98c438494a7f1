package secagg_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/secagg"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// memory is a Guard that lives as long as the test, and outlives members.
type memory struct {
	mu      sync.Mutex
	records map[string]message.Digest
}

func (g *memory) Once(_ context.Context, session message.Digest, step string, value message.Digest) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.records == nil {
		g.records = make(map[string]message.Digest)
	}
	key := session.String() + "/" + step
	if old, found := g.records[key]; found && old != value {
		return secagg.ErrChanged
	}
	g.records[key] = value
	return nil
}

// site is everything that survives a member's crash.
type site struct {
	key    identity.Key
	secret [32]byte
	guard  *memory
}

func (s site) did() identity.DID { return s.key.DID() }

// member starts the member again, as after a crash.
func (s site) member(t require.TestingT, session secagg.Session) *secagg.Member {
	m, err := secagg.NewMember(s.secret, session, s.key, s.guard)
	require.NoError(t, err)
	return m
}

// newSite derives a site from its number.
func newSite(i int) site {
	seed := sha256.Sum256(fmt.Append(nil, "test site ", i))
	return site{
		key:    identity.NewKey(ed25519.NewKeyFromSeed(seed[:])),
		secret: sha256.Sum256(fmt.Append(nil, "test secret ", i)),
		guard:  &memory{},
	}
}

// network is a session with its sites in ascending order of their names.
type network struct {
	session secagg.Session
	sites   []site
	crashes bool // run starts every member anew before every step
}

func newNetwork(n, words int) network {
	w := network{session: secagg.Session{
		ID: message.Sum([]byte("test question")), Threshold: secagg.Majority(n), MinMembers: 3, Words: words,
	}}
	for i := range n {
		w.sites = append(w.sites, newSite(i))
	}
	slices.SortFunc(w.sites, func(a, b site) int {
		if a.did() < b.did() {
			return -1
		}
		return 1
	})
	for _, s := range w.sites {
		w.session.Members = append(w.session.Members, s.did())
	}
	return w
}

func (w network) member(t require.TestingT, i int) *secagg.Member {
	return w.sites[i].member(t, w.session)
}

// transcript is what crossed the network in one run.
type transcript struct {
	roster        secagg.Roster
	masked        []secagg.Masked
	survivors     []identity.DID
	inboxes       map[identity.DID]secagg.Inbox
	confirmations []secagg.Confirmation // if somebody dropped out
	reveals       []secagg.Reveal
}

// until says how many rounds each site answers before it goes silent, counting the
// confirmation even where none is needed: 0 to 4.
type until []int

func all(n int) until { return slices.Repeat(until{4}, n) }

// helpless reports whether a site dropped out between the roster and its vector, and
// another between its vector and the end, so that their common mask stays in the sum.
func (rounds until) helpless() bool {
	return slices.Contains(rounds, 1) && (slices.Contains(rounds, 2) || slices.Contains(rounds, 3))
}

// run plays the rounds with an honest hub.
func (w network) run(t require.TestingT, vectors [][]uint64, rounds until) transcript {
	var x transcript
	var advertisements []secagg.Advertisement
	ctx := context.Background()
	members := make([]*secagg.Member, len(w.sites))
	member := func(i int) *secagg.Member {
		if members[i] == nil || w.crashes {
			members[i] = w.member(t, i)
		}
		return members[i]
	}
	for i := range w.sites {
		if rounds[i] >= 1 {
			a, err := member(i).Advertise(ctx)
			require.NoError(t, err)
			advertisements = append(advertisements, a)
		}
	}
	var err error
	x.roster, err = secagg.NewRoster(w.session, advertisements)
	require.NoError(t, err)
	for i, s := range w.sites {
		if rounds[i] >= 2 {
			masked, err := member(i).Mask(ctx, x.roster, vectors[i])
			require.NoError(t, err)
			x.masked = append(x.masked, masked)
			x.survivors = append(x.survivors, s.did())
		}
	}
	x.inboxes, err = secagg.Inboxes(w.session, x.roster, x.masked)
	require.NoError(t, err)
	for i := range w.sites {
		if rounds[i] >= 3 && len(x.survivors) < len(x.roster.Members) {
			c, err := member(i).Confirm(ctx, x.roster, x.survivors)
			require.NoError(t, err)
			require.NoError(t, c.Verify(w.session, x.roster, x.survivors))
			x.confirmations = append(x.confirmations, c)
		}
	}
	for i, s := range w.sites {
		if rounds[i] >= 4 {
			r, err := member(i).Unmask(ctx, x.roster, x.survivors, x.confirmations, x.inboxes[s.did()])
			require.NoError(t, err)
			x.reveals = append(x.reveals, r)
		}
	}
	return x
}

func (w network) sum(x transcript) ([]uint64, error) {
	return secagg.Sum(w.session, x.roster, x.masked, x.reveals)
}

// plainSum adds the vectors of the sites that got as far as round 1.
func plainSum(vectors [][]uint64, rounds until) []uint64 {
	sum := make([]uint64, len(vectors[0]))
	for i, v := range vectors {
		if rounds[i] >= 2 {
			for k, w := range v {
				sum[k] += w
			}
		}
	}
	return sum
}
