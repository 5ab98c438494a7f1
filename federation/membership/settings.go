package membership

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"strings"

	"github.com/hashicorp/memberlist"

	"github.com/trialmesh/trialmesh/protocol/identity"
)

// settings are memberlist's defaults for a local network, with everything that
// has to do with time derived from the pace. A probe that is not answered makes
// its target a suspect, which has three probes' time to object, and at most six
// when nobody else confirms the suspicion.
func (g *Group) settings() *memberlist.Config {
	s := memberlist.DefaultLANConfig()
	s.Name = string(g.cfg.ID)
	s.Transport = g.wires
	s.BindPort, s.AdvertisePort = port, port
	s.ProbeInterval = g.cfg.Pace
	s.ProbeTimeout = g.cfg.Pace / 2
	s.GossipInterval = g.cfg.Pace / 5
	s.SuspicionMult = 3
	s.SuspicionMaxTimeoutMult = 2
	s.AwarenessMaxMultiplier = 3
	s.PushPullInterval = 30 * g.cfg.Pace
	s.TCPTimeout = streamTimeout
	s.RequireNodeNames = true
	s.EnableCompression = false
	s.Events = events{g}
	s.Alive = admission{g.cfg}
	s.Logger = log.New(logWriter{g.cfg.Log}, "", 0)
	return s
}

// admission ignores word about peers that are not enrolled, and about enrolled
// ones at an address that is not theirs.
type admission struct{ cfg Config }

func (a admission) NotifyAlive(n *memberlist.Node) error {
	did, err := identity.ParseDID(n.Name)
	if err != nil {
		return err
	}
	if !a.cfg.admits(did) {
		return fmt.Errorf("%s is not enrolled", did)
	}
	if !n.Addr.Equal(addressOf(did)) || n.Port != port {
		return fmt.Errorf("%s is not at %s", did, n.Address())
	}
	return nil
}

// events takes notes of comings and goings. memberlist calls it while holding
// its own lock, so it does nothing else.
type events struct{ g *Group }

func (e events) NotifyJoin(n *memberlist.Node)   { e.g.note(n, Alive) }
func (e events) NotifyLeave(n *memberlist.Node)  { e.g.note(n, Gone) }
func (e events) NotifyUpdate(n *memberlist.Node) {}

func (g *Group) note(n *memberlist.Node, state State) {
	m := Member{DID: identity.DID(n.Name), State: state, Since: g.cfg.Now()}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.known[m.DID] = m
	if m.DID == g.cfg.ID {
		return
	}
	g.changes = append(g.changes, m)
	select {
	case g.dirty <- struct{}{}:
	default:
	}
}

// logWriter passes memberlist's lines, "[LEVEL] memberlist: text", to slog.
// Its warnings are about single lost messages, so they are debugging to us.
type logWriter struct{ log *slog.Logger }

func (w logWriter) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	level := slog.LevelDebug
	if strings.HasPrefix(text, "[ERR]") {
		level = slog.LevelWarn
	}
	if _, rest, found := strings.Cut(text, "memberlist: "); found {
		text = rest
	}
	w.log.Log(context.Background(), level, "gossip", "text", text)
	return len(line), nil
}
