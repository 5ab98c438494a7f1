package publication_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/consensus"
	"github.com/trialmesh/trialmesh/federation/cosign"
	"github.com/trialmesh/trialmesh/federation/inprocess"
	"github.com/trialmesh/trialmesh/hub/ledger"
	"github.com/trialmesh/trialmesh/hub/publication"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/peer/peertest"
	"github.com/trialmesh/trialmesh/protocol/identity"
)

const (
	origin   = "hub.example.org/log"
	patience = 20 * time.Second
	tick     = 5 * time.Millisecond
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// key returns a key that is the same in every run.
func key(seed byte) identity.Key {
	return identity.NewKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize)))
}

// logKey signs for the log at every replica.
const logKey = 1

func keyOf(t testing.TB, seed byte) string {
	t.Helper()
	vkey, err := cosign.KeyOf(key(seed).DID())
	require.NoError(t, err)
	return vkey
}

// trusting returns the trust in the log and a policy.
func trusting(t testing.TB, policy cosign.Policy) cosign.Trust {
	t.Helper()
	public, err := key(logKey).DID().PublicKey()
	require.NoError(t, err)
	vkey, err := cosign.VerifierKey(origin, public)
	require.NoError(t, err)
	return cosign.Trust{Origin: origin, Keys: []string{vkey}, Policy: policy}
}

// replica is one replica of a hub: its tables, its place in the group and its publisher.
type replica struct {
	t      *testing.T
	seed   byte
	dir    string
	db     *sqldb.DB
	end    *inprocess.Endpoint
	raft   *consensus.Replica
	public *publication.Publisher
	nodes  []identity.DID // that it can ask
}

// hub is a hub of replicas on one network.
type hub struct {
	t        *testing.T
	network  *inprocess.Network
	policy   cosign.Policy
	replicas []*replica
	at       int // commands so far
}

// newHub starts replicas with the keys 10, 11, …, that publish by the policy.
func newHub(t *testing.T, policy cosign.Policy, replicas int) *hub {
	t.Helper()
	h := &hub{t: t, network: inprocess.New(), policy: policy}
	var ids []identity.DID
	for i := range replicas {
		ids = append(ids, key(byte(10+i)).DID())
	}
	for i, id := range ids {
		r := &replica{t: t, seed: byte(10 + i), dir: t.TempDir(), db: sqltest.SQLite(t), end: h.network.Join(id)}
		require.NoError(t, registry.Migrate(t.Context(), r.db))
		machine := registry.NewMachine(r.db, "did:key:zHub", peertest.Proofs{})
		var err error
		r.raft, err = consensus.Open(t.Context(), consensus.Config{
			Dir: filepath.Join(r.dir, "raft"), ID: id, FSM: registry.NewFSM(machine, r.dir), Bootstrap: true, Replicas: ids, Network: r.end,
		})
		require.NoError(t, err)
		t.Cleanup(func() {
			require.NoError(t, r.raft.Close())
			require.NoError(t, r.end.Close())
		})
		r.public = h.publisher(r)
		h.replicas = append(h.replicas, r)
	}
	return h
}

// publisher returns a replica's publisher, as after a restart.
func (h *hub) publisher(r *replica) *publication.Publisher {
	h.t.Helper()
	p, err := h.open(r)
	require.NoError(h.t, err)
	return p
}

func (h *hub) open(r *replica) (*publication.Publisher, error) {
	h.t.Helper()
	trust := trusting(h.t, h.policy)
	self, err := cosign.Open(cosign.Config{
		Dir: filepath.Join(r.dir, "ledger"), Key: key(r.seed), Check: publication.Check(r.db), Replayed: true,
		Trust: func() (cosign.Trust, error) { return trust, nil }, Now: func() time.Time { return noon },
	})
	require.NoError(h.t, err)
	signer, err := cosign.NewSigner(origin, key(logKey).Private())
	require.NoError(h.t, err)
	var others []identity.DID
	for _, other := range []byte{10, 11, 12} {
		if other != r.seed {
			others = append(others, key(other).DID())
		}
	}
	return publication.New(h.t.Context(), publication.Config{
		DB: r.db, Signer: signer, Trust: trust, Self: self, DID: key(r.seed).DID(), Network: r.end, Replicas: others,
		Nodes: func() []identity.DID { return slices.Clone(r.nodes) }, Lead: r.raft.IsLeader, Barrier: r.raft.Barrier,
	})
}

// leader returns the replica that leads.
func (h *hub) leader() (leads *replica) {
	h.t.Helper()
	require.Eventually(h.t, func() bool {
		for _, r := range h.replicas {
			if r.raft.IsLeader() && r.raft.Barrier(h.t.Context()) == nil {
				leads = r
				return true
			}
		}
		return false
	}, patience, tick)
	return leads
}

// followers returns the others.
func (h *hub) followers() []*replica {
	leader := h.leader()
	return slices.DeleteFunc(slices.Clone(h.replicas), func(r *replica) bool { return r == leader })
}

// grow commits commands that each put an entry into the ledger.
func (h *hub) grow(n int) {
	h.t.Helper()
	leader := h.leader()
	for range n {
		h.at++
		did := key(byte(100 + h.at)).DID()
		name := fmt.Sprintf("node-%d", h.at)
		for _, body := range []registry.Body{registry.InviteNode{Name: name, Organization: "Hospital"}, registry.EnrollNode{Node: did, Name: name}} {
			raw, err := registry.Encode(body, noon)
			require.NoError(h.t, err)
			_, err = leader.raft.Propose(h.t.Context(), raw)
			require.NoError(h.t, err)
		}
	}
	last := leader.raft.Status().Applied
	for _, r := range h.replicas {
		if r.raft.Err() == nil {
			require.Eventually(h.t, func() bool { return r.raft.Status().Applied >= last }, patience, tick)
		}
	}
}

// published returns what a replica shows to readers, of whom each demands the policy.
func (r *replica) published(policy cosign.Policy) (cosign.Signed, error) {
	view, err := ledger.Open(r.t.Context(), ledger.NewPublished(r.db), trusting(r.t, policy))
	if err != nil {
		return cosign.Signed{}, err
	}
	return view.Checkpoint(), nil
}

func (r *replica) shows(policy cosign.Policy, size int64, cosigners ...byte) {
	r.t.Helper()
	signed, err := r.published(policy)
	require.NoError(r.t, err)
	require.Equal(r.t, size, signed.Size)
	for _, seed := range cosigners {
		require.Contains(r.t, signed.Cosigners, string(key(seed).DID()))
	}
	_, err = ledger.Verify(r.t.Context(), ledger.NewPublished(r.db), trusting(r.t, policy))
	require.NoError(r.t, err)
}

// TestQuorumOfReplicas: two of three organizations checked every entry before anybody
// can read it, whichever of them leads.
func TestQuorumOfReplicas(t *testing.T) {
	t.Parallel()
	policy := cosign.Threshold(2, keyOf(t, 10), keyOf(t, 11), keyOf(t, 12))
	h := newHub(t, policy, 3)
	h.grow(3)
	for _, r := range h.followers() {
		require.NoError(t, r.public.Publish(t.Context()))
		_, err := r.published(policy)
		require.ErrorIs(t, err, ledger.ErrNotFound, "only the leader publishes")
	}
	leader := h.leader()
	require.NoError(t, leader.public.Publish(t.Context()))
	for _, r := range h.replicas {
		r.shows(policy, 3, leader.seed)
	}

	// One is away: two are enough. It has the next checkpoint once it is back.
	away := h.followers()[0]
	h.network.Partition([]identity.DID{key(away.seed).DID()})
	h.at++
	raw, err := registry.Encode(registry.InviteNode{Name: "x", Organization: "Hospital"}, noon)
	require.NoError(t, err)
	_, err = leader.raft.Propose(t.Context(), raw)
	require.NoError(t, err)
	raw, err = registry.Encode(registry.EnrollNode{Node: key(99).DID(), Name: "x"}, noon)
	require.NoError(t, err)
	_, err = leader.raft.Propose(t.Context(), raw)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return leader.public.Publish(t.Context()) == nil }, patience, tick, "once the other follower has applied it")
	leader.shows(policy, 4, leader.seed)
	away.shows(policy, 3)
	h.network.Heal()
	require.Eventually(t, func() bool {
		require.NoError(t, h.leader().public.Gather(t.Context()))
		signed, err := away.published(policy)
		return err == nil && signed.Size == 4 && len(signed.Cosigners) == 3
	}, patience, tick)
}

// TestReplicaWithOtherEntriesSignsNothing: a leader whose tables were altered finds
// nobody to countersign, and publishes nothing.
func TestReplicaWithOtherEntriesSignsNothing(t *testing.T) {
	t.Parallel()
	policy := cosign.Threshold(2, keyOf(t, 10), keyOf(t, 11), keyOf(t, 12))
	h := newHub(t, policy, 3)
	h.grow(2)
	leader := h.leader()
	require.NoError(t, leader.db.Write(t.Context(), func(tx *sqldb.Tx) error {
		_, err := ledger.Append(t.Context(), tx, [][]byte{[]byte("what no other replica applied")})
		return err
	}))
	h.grow(1)
	require.ErrorIs(t, leader.public.Publish(t.Context()), cosign.ErrUntrusted)
	_, err := leader.published(policy)
	require.ErrorIs(t, err, ledger.ErrNotFound)
	for _, r := range h.replicas {
		if r != leader {
			_, err := r.published(policy)
			require.ErrorIs(t, err, ledger.ErrNotFound)
		}
	}
}

// node is a node that countersigns.
func (h *hub) node(seed byte, dir string) (*cosign.Cosigner, *inprocess.Endpoint) {
	h.t.Helper()
	c, err := cosign.Open(cosign.Config{
		Dir: dir, Key: key(seed), Now: func() time.Time { return noon },
		Trust: func() (cosign.Trust, error) { return trusting(h.t, cosign.Policy{}), nil },
	})
	require.NoError(h.t, err)
	end := h.network.Join(key(seed).DID())
	h.t.Cleanup(func() { require.NoError(h.t, end.Close()) })
	cosign.NewExchange(cosign.ExchangeConfig{
		Cosigner: c, Network: end, Hub: key(10).DID(), Peers: func() []identity.DID { return nil },
	})
	for _, r := range h.replicas {
		r.nodes = append(r.nodes, key(seed).DID())
	}
	return c, end
}

// TestNodesCountersign what a hub of one replica publishes by its own word.
func TestNodesCountersign(t *testing.T) {
	t.Parallel()
	policy := cosign.Threshold(1, keyOf(t, 10))
	h := newHub(t, policy, 1)
	hub := h.leader()
	a, _ := h.node(20, t.TempDir())
	_, away := h.node(21, t.TempDir())
	require.NoError(t, away.Close())
	readers := cosign.Threshold(2, keyOf(t, 10), keyOf(t, 20), keyOf(t, 21))
	for size := int64(1); size < 6; size++ {
		h.grow(1)
		require.NoError(t, hub.public.Publish(t.Context()))
		hub.shows(policy, size, 10)
		_, err := hub.published(readers)
		require.ErrorIs(t, err, cosign.ErrUntrusted, "nobody was asked yet")
		require.NoError(t, hub.public.Gather(t.Context()))
		hub.shows(readers, size, 10, 20)
		require.Equal(t, size, a.Last().Size)
	}
	restarted := h.publisher(hub) // does not know how far the node is, and learns it
	h.grow(1)
	require.NoError(t, restarted.Publish(t.Context()))
	require.NoError(t, restarted.Gather(t.Context()))
	hub.shows(readers, 6, 10, 20)
}

// TestQuorumOfNodes: what the policy demands is asked for at once, and without it
// nothing is published.
func TestQuorumOfNodes(t *testing.T) {
	t.Parallel()
	policy := cosign.Threshold(2, keyOf(t, 20), keyOf(t, 21), keyOf(t, 22))
	h := newHub(t, policy, 1)
	hub := h.leader()
	h.grow(1)
	require.ErrorIs(t, hub.public.Publish(t.Context()), cosign.ErrUntrusted)
	h.node(20, t.TempDir())
	require.ErrorIs(t, hub.public.Publish(t.Context()), cosign.ErrUntrusted)
	_, err := hub.published(policy)
	require.ErrorIs(t, err, ledger.ErrNotFound)
	h.node(21, t.TempDir())
	require.NoError(t, hub.public.Publish(t.Context()))
	hub.shows(policy, 1, 20, 21)
}

// TestLiarAmongCosigners: lines that are no signatures spoil nothing.
func TestLiarAmongCosigners(t *testing.T) {
	t.Parallel()
	policy := cosign.Threshold(1, keyOf(t, 10))
	h := newHub(t, policy, 1)
	hub := h.leader()
	h.node(20, t.TempDir())
	for i, lie := range []string{
		"— " + string(key(21).DID()) + " AAAA\n", "— x\n", "no line at all", "99999999\n", "",
		"— " + string(key(21).DID()) + " " + signatureOf(t, 21) + "\n",
	} {
		end := h.network.Join(key(21).DID())
		end.HandleCall(cosign.AddProtocol, func(context.Context, identity.DID, []byte) ([]byte, error) { return []byte(lie), nil })
		end.HandleCall(cosign.ExchangeProtocol, func(context.Context, identity.DID, []byte) ([]byte, error) { return []byte(lie), nil })
		hub.nodes = []identity.DID{key(20).DID(), key(21).DID()}
		h.grow(1)
		require.NoError(t, hub.public.Publish(t.Context()))
		require.NoError(t, hub.public.Gather(t.Context()))
		hub.shows(cosign.Threshold(2, keyOf(t, 10), keyOf(t, 20)), int64(i+1), 10, 20)
		require.NoError(t, end.Close())
	}
}

// signatureOf is the signature of a key over something else.
func signatureOf(t *testing.T, seed byte) string {
	t.Helper()
	signer, err := cosign.NewSigner(origin, key(logKey).Private())
	require.NoError(t, err)
	signed, err := cosign.Checkpoint{Origin: origin, Size: 7}.Sign(signer)
	require.NoError(t, err)
	signed, err = cosign.Cosign(signed, string(key(seed).DID()), key(seed).Private(), noon)
	require.NoError(t, err)
	fields := bytes.Fields(signed)
	return string(fields[len(fields)-1])
}

// TestRolledBackDisk restores the tables of a hub from before what it signed.
func TestRolledBackDisk(t *testing.T) {
	t.Parallel()
	policy := cosign.Threshold(1, keyOf(t, 10))
	h := newHub(t, policy, 1)
	hub := h.leader()
	node, _ := h.node(20, t.TempDir())
	h.grow(3)
	earlier := filepath.Join(t.TempDir(), "state.db")
	require.NoError(t, hub.db.Backup(t.Context(), earlier))
	h.grow(2)
	require.NoError(t, hub.public.Publish(t.Context()))
	require.NoError(t, hub.public.Gather(t.Context()))
	require.EqualValues(t, 5, node.Last().Size)

	t.Run("without the file of what it signed", func(t *testing.T) {
		r := *hub
		r.dir, r.db = t.TempDir(), sqltest.Open(t, "sqlite:"+earlier)
		p, err := h.open(&r)
		require.NoError(t, err, "nothing on this disk knows better")
		require.NoError(t, p.Publish(t.Context()), "it is a state that it once had")
		done := make(chan error, 1)
		go func() { done <- p.Run(t.Context()) }()
		_, err = r.end.Call(t.Context(), key(10).DID(), cosign.ExchangeProtocol, node.Last().Note)
		require.NoError(t, err)
		select {
		case err := <-done:
			require.ErrorIs(t, err, publication.ErrRolledBack, "a node came back with a larger checkpoint")
		case <-time.After(patience):
			t.Fatal("it goes on")
		}
	})
	t.Run("with it", func(t *testing.T) {
		r := *hub
		r.db = sqltest.Open(t, "sqlite:"+earlier)
		_, err := h.open(&r)
		require.ErrorIs(t, err, publication.ErrRolledBack)
	})
	t.Run("after entries of another history", func(t *testing.T) {
		r := *hub
		r.dir, r.db = t.TempDir(), sqltest.Open(t, "sqlite:"+earlier)
		require.NoError(t, r.db.Write(t.Context(), func(tx *sqldb.Tx) error {
			_, err := ledger.Append(t.Context(), tx, [][]byte{[]byte("a"), []byte("b"), []byte("c"), []byte("d")})
			return err
		}))
		p, err := h.open(&r)
		require.NoError(t, err)
		require.NoError(t, p.Publish(t.Context()))
		require.NoError(t, p.Gather(t.Context()))
		_, err = r.published(cosign.Threshold(2, keyOf(t, 10), keyOf(t, 20)))
		require.ErrorIs(t, err, cosign.ErrUntrusted, "the node countersigns no second history")
		require.EqualValues(t, 5, node.Last().Size)
	})
}

// TestWitnessWithURL is one that is no part of the network: it takes checkpoints over
// HTTP, as C2SP tlog-witness says.
func TestWitnessWithURL(t *testing.T) {
	t.Parallel()
	witness, err := cosign.Open(cosign.Config{
		Dir: t.TempDir(), Key: key(30), Now: func() time.Time { return noon },
		Trust: func() (cosign.Trust, error) { return trusting(t, cosign.Policy{}), nil },
	})
	require.NoError(t, err)
	server := httptest.NewServer(cosign.NewHandler(witness))
	defer server.Close()
	policy, err := cosign.ParsePolicy(fmt.Appendf(nil, "witness hub %s\nwitness outside %s %s\ngroup both all hub outside\nquorum both\n", keyOf(t, 10), keyOf(t, 30), server.URL))
	require.NoError(t, err)
	h := newHub(t, policy, 1)
	for size := int64(1); size < 4; size++ {
		h.grow(1)
		require.NoError(t, h.leader().public.Publish(t.Context()))
		h.leader().shows(policy, size, 10, 30)
	}
	server.Close()
	h.grow(1)
	require.ErrorIs(t, h.leader().public.Publish(t.Context()), cosign.ErrUntrusted)
	h.leader().shows(policy, 3, 10, 30)
}
