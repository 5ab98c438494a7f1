// Package membership tells who is present: the hub and every node keep the
// same list of members, and notice within seconds when one is gone.
//
// Start from [New] and [Group]. The members gossip (SWIM, as memberlist
// implements it) over streams of the transport, so they need no port and no
// address of their own, and nobody takes part who is not enrolled.
//
// Presence is a hint. An enrolled member can spread false word about another,
// who contradicts it as soon as it hears of it; what a member may do is never
// decided by this list.
//
// This is the only package that imports memberlist.
package membership

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/trialmesh/trialmesh/protocol/identity"
)

// Network is what members reach each other by; transport.Host is one.
type Network interface {
	// Open opens a stream to a peer that handles the protocol.
	Open(ctx context.Context, to identity.DID, protocol string) (net.Conn, error)

	// Handle has handle called for every incoming stream of the protocol, with
	// the proven name of the peer. The stream is closed when handle returns.
	Handle(protocol string, handle func(ctx context.Context, from identity.DID, s net.Conn))
}

// Config configures a [Group]. ID, Network and Admit are required.
type Config struct {
	ID      identity.DID
	Network Network

	// Seeds are members to join by: the hub at a node, the other replicas at a
	// hub. A seed that is not present is tried five times per pace, so that a
	// member is back as soon as its connection is.
	Seeds []identity.DID

	// Admit reports whether a peer is enrolled. Word about others is ignored.
	// Seeds are always admitted.
	Admit func(identity.DID) bool

	// OnChange, if set, is told of every member that comes or goes, in order
	// and one at a time, not of this one.
	OnChange func(Member)

	// Pace is the time between two probes, 50 ms to 1 min. A member that is
	// killed is reported gone after about five of it, somewhat later in a group
	// of hundreds. All members should use the same. Defaults to 800 ms.
	Pace time.Duration

	Log *slog.Logger     // Defaults to discarding.
	Now func() time.Time // Defaults to time.Now.
}

// State is what is believed of a member.
type State string

// The states of a member.
const (
	Alive   State = "alive"
	Suspect State = "suspect" // did not answer; it has a few seconds to object
	Gone    State = "gone"    // stopped, or was not heard of for too long
)

// Member is one party of the group.
type Member struct {
	DID   identity.DID `json:"did"`
	State State        `json:"state"`
	Since time.Time    `json:"since"` // when it last came, or went
}

const (
	defaultPace  = 800 * time.Millisecond
	leaveTimeout = time.Second
)

func (c Config) withDefaults() Config {
	if c.Pace == 0 {
		c.Pace = defaultPace
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func (c Config) validate() error {
	if _, err := identity.ParseDID(string(c.ID)); err != nil {
		return err
	}
	switch {
	case c.Network == nil:
		return errors.New("no network")
	case c.Admit == nil:
		return errors.New("no Admit function: nobody says who is enrolled")
	case c.Pace < 50*time.Millisecond || c.Pace > time.Minute:
		return fmt.Errorf("pace %v is not between 50ms and 1m", c.Pace)
	}
	for _, seed := range c.Seeds {
		if _, err := identity.ParseDID(string(seed)); err != nil {
			return fmt.Errorf("seed: %w", err)
		}
	}
	return nil
}

// admits reports whether did may be a member.
func (c Config) admits(did identity.DID) bool {
	return did == c.ID || slices.Contains(c.Seeds, did) || c.Admit(did)
}

// Group is one member's view of the group. Its methods are safe for
// concurrent use.
type Group struct {
	cfg   Config
	wires *wires

	mu      sync.Mutex
	list    *memberlist.Memberlist // while Run runs
	known   map[identity.DID]Member
	changes []Member      // not yet reported
	dirty   chan struct{} // capacity 1: changes is not empty
}

// New returns a group that takes part once [Group.Run] is called. It registers
// its protocols with the network.
func New(cfg Config) (*Group, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("membership: %w", err)
	}
	g := &Group{cfg: cfg, known: map[identity.DID]Member{}, dirty: make(chan struct{}, 1)}
	g.wires = newWires(cfg)
	return g, nil
}

// Run takes part in the group until ctx ends, says good-bye and returns nil.
// It can be called once.
func (g *Group) Run(ctx context.Context) error {
	g.wires.start()
	list, err := memberlist.Create(g.settings())
	if err != nil {
		g.wires.stop()
		return fmt.Errorf("membership: start: %w", err)
	}
	g.mu.Lock()
	g.list = list
	g.mu.Unlock()

	g.follow(ctx)

	_ = list.Leave(leaveTimeout) // best effort: without it the others notice by themselves
	err = list.Shutdown()        // also stops the wires
	g.mu.Lock()
	g.list = nil
	g.mu.Unlock()
	if err != nil {
		return fmt.Errorf("membership: stop: %w", err)
	}
	return nil
}

// follow joins the seeds whenever one is missing and reports changes, until
// ctx ends.
func (g *Group) follow(ctx context.Context) {
	var joins sync.WaitGroup
	defer joins.Wait()
	joins.Go(func() {
		ticker := time.NewTicker(g.cfg.Pace / 5)
		defer ticker.Stop()
		for {
			g.join()
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	})
	for {
		select {
		case <-ctx.Done():
			g.wires.stopDialing() // ends a join under way
			return
		case <-g.dirty:
		}
		g.mu.Lock()
		changes := g.changes
		g.changes = nil
		g.mu.Unlock()
		for _, m := range changes {
			g.cfg.Log.InfoContext(ctx, "member", "peer", m.DID, "state", m.State)
			if g.cfg.OnChange != nil {
				g.cfg.OnChange(m)
			}
		}
	}
}

// join exchanges lists with the seeds that are not present.
func (g *Group) join() {
	for _, seed := range g.cfg.Seeds {
		g.mu.Lock()
		list, present := g.list, g.known[seed].State == Alive
		g.mu.Unlock()
		if list == nil || present || seed == g.cfg.ID {
			continue
		}
		if _, err := list.Join([]string{string(seed) + "/" + hostPort(seed)}); err != nil {
			g.cfg.Log.Debug("seed not reached", "peer", seed, "err", err)
		}
	}
}

// Members returns everyone this member has heard of since it started, itself
// and those that are gone included, sorted by DID. It is empty before Run.
func (g *Group) Members() []Member {
	g.mu.Lock()
	list := g.list
	members := make([]Member, 0, len(g.known))
	for _, m := range g.known {
		members = append(members, m)
	}
	g.mu.Unlock()
	slices.SortFunc(members, func(a, b Member) int { return strings.Compare(string(a.DID), string(b.DID)) })
	if list == nil {
		return members
	}
	suspects := map[identity.DID]bool{}
	for _, n := range list.Members() {
		suspects[identity.DID(n.Name)] = n.State == memberlist.StateSuspect
	}
	for i, m := range members {
		if m.State == Alive && suspects[m.DID] {
			members[i].State = Suspect
		}
	}
	return members
}

// hostPort is the address that memberlist knows a member by.
func hostPort(did identity.DID) string {
	return net.JoinHostPort(addressOf(did).String(), strconv.Itoa(port))
}
