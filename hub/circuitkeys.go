package hub

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/prover"
)

// provingKeys are a hub's proving keys by the digest of their verifying key. They are given to
// other replicas while more of them are made.
type provingKeys struct {
	mu   sync.Mutex
	keys map[message.Digest]*prover.Keys
}

func (p *provingKeys) put(k *prover.Keys) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keys == nil {
		p.keys = make(map[message.Digest]*prover.Keys)
	}
	p.keys[k.Verifying().Digest()] = k
}

// get returns a key, nil if there is none.
func (p *provingKeys) get(digest message.Digest) *prover.Keys {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keys[digest]
}

// all returns those that there are now.
func (p *provingKeys) all() iter.Seq[*prover.Keys] {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Values(maps.Clone(p.keys))
}

// keyProtocol streams a proving key to a replica that names the digest of its verifying key
// in a line.
const keyProtocol = "/trialmesh/replica/proving-key/1"

// sharedKeys returns the development keys of a circuit that another replica made, nil if this
// one has to make them: it leads and nobody did before. Keys of a ceremony everybody has.
func (h *Hub) sharedKeys(ctx context.Context, c circuits.Circuit) (*prover.Keys, error) {
	if h.between == nil || h.cfg.Ceremony != "" {
		return nil, nil
	}
	for {
		known, err := h.Reader.Circuits(ctx)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(known, func(k entry.Circuit) bool { return k.Shape == c.String() })
		if i < 0 && h.replica.IsLeader() {
			return nil, nil
		}
		if i >= 0 {
			keys, err := h.fetchKeys(ctx, c, known[i])
			if err == nil || ctx.Err() != nil {
				return keys, err
			}
			h.cfg.Logger.DebugContext(ctx, "proving key not had from another replica; it is tried again", "circuit", c.String(), "err", err)
		}
		select {
		case <-time.After(leaderPause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// fetchKeys gets the keys of a registered circuit from this machine's cache or another replica.
func (h *Hub) fetchKeys(ctx context.Context, c circuits.Circuit, k entry.Circuit) (*prover.Keys, error) {
	published := prover.Published{Circuit: c, VerifyingKey: k.VerifyingKey, ProvingDigest: k.ProvingDigest, Development: k.Development, Ceremony: k.Ceremony}
	return prover.CachedKeys(ctx, h.cfg.Circuits, published, func(ctx context.Context) (io.ReadCloser, error) {
		var failures []error
		for _, did := range h.others() {
			s, err := h.between.Open(ctx, did, keyProtocol)
			if err == nil {
				_, err = fmt.Fprintln(s, message.Sum(k.VerifyingKey))
			}
			if err == nil {
				return s, nil
			}
			failures = append(failures, err)
		}
		return nil, errors.Join(failures...)
	})
}

// giveKey serves keyProtocol.
func (h *Hub) giveKey(_ context.Context, _ identity.DID, s net.Conn) {
	_ = s.SetReadDeadline(time.Now().Add(leaderTime))
	line, err := bufio.NewReaderSize(s, 128).ReadString('\n')
	if err != nil {
		return
	}
	var digest message.Digest
	if err := digest.UnmarshalText([]byte(strings.TrimSpace(line))); err != nil {
		return
	}
	if keys := h.keys.get(digest); keys != nil {
		_, _ = keys.WriteTo(s) // who reads checks it
	}
}
