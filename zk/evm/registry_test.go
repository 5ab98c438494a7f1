package evm_test

import (
	"bytes"
	"crypto/ecdsa"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/zk/evm"
	"github.com/trialmesh/trialmesh/zk/evm/inprocess"
)

// council is a hub's replicas, who sign without the client under test.
type council []*ecdsa.PrivateKey

func newCouncil(t *testing.T, size int) council {
	t.Helper()
	members := make(council, size)
	for i := range members {
		var err error
		members[i], err = crypto.GenerateKey()
		require.NoError(t, err)
	}
	slices.SortFunc(members, func(a, b *ecdsa.PrivateKey) int {
		return bytes.Compare(crypto.PubkeyToAddress(a.PublicKey).Bytes(), crypto.PubkeyToAddress(b.PublicKey).Bytes())
	})
	return members
}

func (c council) addresses() []evm.Address {
	list := make([]evm.Address, len(c))
	for i, member := range c {
		list[i] = crypto.PubkeyToAddress(member.PublicKey)
	}
	return list
}

// sign signs an EIP-712 struct, given as its type and its members' words, for a contract.
func (c council) sign(t *testing.T, at evm.Address, structure string, members ...[]byte) []byte {
	t.Helper()
	return c.signOn(t, inprocess.ChainID, at, structure, members...)
}

func (c council) signOn(t *testing.T, chain uint64, at evm.Address, structure string, members ...[]byte) []byte {
	t.Helper()
	domain := crypto.Keccak256(
		crypto.Keccak256([]byte("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")),
		crypto.Keccak256([]byte("Trialmesh")), crypto.Keccak256([]byte("1")), uintWord(chain), make([]byte, 12), at[:],
	)
	hash := crypto.Keccak256(append([][]byte{crypto.Keccak256([]byte(structure))}, members...)...)
	digest := crypto.Keccak256([]byte{0x19, 1}, domain, hash)
	var signatures []byte
	for _, member := range c {
		signature, err := crypto.Sign(digest, member)
		require.NoError(t, err)
		signature[64] += 27
		signatures = append(signatures, signature...)
	}
	return signatures
}

func uintWord(n uint64) []byte { return new(big.Int).SetUint64(n).FillBytes(make([]byte, 32)) }

// registry is a registry of three of five on a chain of its own.
type registry struct {
	workbench
	council
	artifact
	at evm.Address
}

type firstCircuit struct {
	Verifier evm.Address
	Scheme   uint8
}

const registryDelay = time.Hour

func newRegistry(t *testing.T, circuits ...firstCircuit) registry {
	t.Helper()
	return newWorkbench(t).registry(t, circuits...)
}

func (w workbench) registry(t *testing.T, circuits ...firstCircuit) registry {
	t.Helper()
	r := registry{workbench: w, council: newCouncil(t, 5), artifact: contractArtifact(t, "Registry")}
	if circuits == nil {
		circuits = []firstCircuit{}
	}
	var err error
	r.at, err = r.deploy(t, r.artifact, r.addresses(), big.NewInt(3), big.NewInt(int64(registryDelay/time.Second)), circuits)
	require.NoError(t, err)
	return r
}

// do sends to the registry and returns the contract's refusal.
func (r registry) do(t *testing.T, method string, args ...any) string {
	t.Helper()
	_, refusal := r.send(t, r.artifact, r.at, method, args...)
	return refusal
}

const proposeType = "Propose(uint256 number,bytes change)"

// propose proposes a change with the signatures of some members.
func (r registry) propose(t *testing.T, number uint64, change []byte, members council) string {
	t.Helper()
	return r.do(t, "propose", change, members.sign(t, r.at, proposeType, uintWord(number), crypto.Keccak256(change)))
}

func (r registry) change(t *testing.T, method string, args ...any) []byte {
	t.Helper()
	input, err := r.ABI.Pack(method, args...)
	require.NoError(t, err)
	return input
}

func TestRegistryTakesAQuorum(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	change := r.change(t, "registerNode", [32]byte{1}, [32]byte{2})
	members := []([]byte){uintWord(0), crypto.Keccak256(change)}
	signed := func(by council) []byte { return by.sign(t, r.at, proposeType, members...) }
	stranger := newCouncil(t, 1)
	for name, signatures := range map[string][]byte{
		"nobody":               nil,
		"two of three":         signed(r.council[:2]),
		"one three times":      signed(council{r.council[0], r.council[0], r.council[0]}),
		"descending":           signed(council{r.council[2], r.council[1], r.council[0]}),
		"two and a stranger":   append(signed(r.council[:2]), signed(stranger)...),
		"a byte short":         signed(r.council[:3])[:194],
		"zeros":                make([]byte, 195),
		"for another number":   r.sign(t, r.at, proposeType, uintWord(1), members[1]),
		"for another change":   r.sign(t, r.at, proposeType, members[0], crypto.Keccak256([]byte{1})),
		"for another contract": r.sign(t, evm.Address{1}, proposeType, members...),
		"for another chain":    r.signOn(t, 1, r.at, proposeType, members...),
		"of another kind":      r.sign(t, r.at, "Cancel(uint256 number)", members[0]),
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, "QuorumMissing", r.do(t, "propose", change, signatures))
		})
	}
	require.Empty(t, r.do(t, "propose", change, signed(r.council[1:4])))
	require.Equal(t, "QuorumMissing", r.do(t, "propose", change, signed(r.council[1:4])), "signatures propose once")
}

func TestRegistryTakesADelay(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	node := [32]byte{1}
	change := r.change(t, "registerNode", node, [32]byte{2})
	require.Equal(t, "NotProposed", r.do(t, "registerNode", node, [32]byte{2}))
	require.Equal(t, "NotProposed", r.do(t, "setReplicas", r.addresses(), big.NewInt(5)))
	number := big.NewInt

	require.Empty(t, r.propose(t, 0, change, r.council))
	require.Equal(t, "ProposalNotDue", r.do(t, "execute", number(0), change))
	require.Equal(t, "ProposalUnknown", r.do(t, "execute", number(1), change))
	require.NoError(t, r.clock.Forward(registryDelay))
	require.Equal(t, "ProposalUnknown", r.do(t, "execute", number(0), r.change(t, "registerNode", node, [32]byte{3})))
	require.Empty(t, r.do(t, "execute", number(0), change))
	require.Equal(t, "ProposalUnknown", r.do(t, "execute", number(0), change), "once")

	t.Run("what is canceled stays undone", func(t *testing.T) {
		second := r.change(t, "registerNode", [32]byte{9}, [32]byte{2})
		require.Empty(t, r.propose(t, 1, second, r.council[:3]))
		cancel := func(by council) []byte { return by.sign(t, r.at, "Cancel(uint256 number)", uintWord(1)) }
		require.Equal(t, "QuorumMissing", r.do(t, "cancel", number(1), cancel(r.council[:2])))
		require.Empty(t, r.do(t, "cancel", number(1), cancel(r.council[2:])))
		require.NoError(t, r.clock.Forward(registryDelay))
		require.Equal(t, "ProposalUnknown", r.do(t, "execute", number(1), second))
		require.Equal(t, "ProposalUnknown", r.do(t, "cancel", number(1), cancel(r.council[2:])))
	})

	t.Run("what is not executed lapses", func(t *testing.T) {
		third := r.change(t, "registerNode", [32]byte{8}, [32]byte{2})
		require.Empty(t, r.propose(t, 2, third, r.council[:3]))
		require.NoError(t, r.clock.Forward(registryDelay+15*24*time.Hour))
		require.Equal(t, "ProposalNotDue", r.do(t, "execute", number(2), third))
	})

	t.Run("revoking is for good and at once", func(t *testing.T) {
		revoke := func(by council) []byte { return by.sign(t, r.at, "RevokeNode(bytes32 id)", node[:]) }
		require.Equal(t, "QuorumMissing", r.do(t, "revokeNode", node, revoke(r.council[:2])))
		require.Empty(t, r.do(t, "revokeNode", node, revoke(r.council[:3])))
		require.Equal(t, "NotRegistered", r.do(t, "revokeNode", node, revoke(r.council[:3])))
		require.Empty(t, r.propose(t, 3, change, r.council))
		require.NoError(t, r.clock.Forward(registryDelay))
		require.Equal(t, "AlreadyRegistered", r.do(t, "execute", number(3), change))
	})

	t.Run("new replicas void what the old proposed", func(t *testing.T) {
		successors := newCouncil(t, 3)
		minority := r.change(t, "setReplicas", successors.addresses(), number(1))
		handover := r.change(t, "setReplicas", successors.addresses(), number(2))
		late := r.change(t, "registerNode", [32]byte{7}, [32]byte{2})
		for i, proposed := range [][]byte{minority, handover, late} {
			require.Empty(t, r.propose(t, uint64(4+i), proposed, r.council))
		}
		require.NoError(t, r.clock.Forward(registryDelay))
		require.Equal(t, "ReplicasInvalid", r.do(t, "execute", number(4), minority))
		require.Empty(t, r.do(t, "execute", number(5), handover))
		require.Equal(t, "ProposalUnknown", r.do(t, "execute", number(6), late))
		require.Equal(t, "QuorumMissing", r.propose(t, 7, late, r.council))
		require.Empty(t, r.propose(t, 7, late, successors[:2]))
	})
}

func TestRegistryRefusesToBegin(t *testing.T) {
	t.Parallel()
	w := newWorkbench(t)
	five := newCouncil(t, 5).addresses()
	none := []firstCircuit{}
	for name, args := range map[string][]any{
		"nobody":                     {[]evm.Address{}, big.NewInt(0), big.NewInt(0), none},
		"no quorum":                  {five, big.NewInt(0), big.NewInt(0), none},
		"a minority":                 {five, big.NewInt(2), big.NewInt(0), none},
		"half":                       {five[:4], big.NewInt(2), big.NewInt(0), none},
		"more than all":              {five, big.NewInt(6), big.NewInt(0), none},
		"one twice":                  {[]evm.Address{five[0], five[0]}, big.NewInt(2), big.NewInt(0), none},
		"the zero address":           {[]evm.Address{{}}, big.NewInt(1), big.NewInt(0), none},
		"a delay of 61 days":         {five, big.NewInt(3), big.NewInt(61 * 86400), none},
		"a circuit without verifier": {five, big.NewInt(3), big.NewInt(0), []firstCircuit{{five[0], 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.deploy(t, contractArtifact(t, "Registry"), args...)
			require.ErrorContains(t, err, "execution reverted")
		})
	}
}

// TestHubAnchorTakesOneHistory lets three of five sign, and all five sign a lie.
func TestHubAnchorTakesOneHistory(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	anchor := contractArtifact(t, "HubAnchor")
	const origin = "heart.example/log"
	at, err := r.deploy(t, anchor, r.at, origin)
	require.NoError(t, err)
	truth, lie := newHistory(t, "", 300, 0), newHistory(t, "lie ", 300, 150)
	send := func(h *history, from, size uint64, by council, origin string) (uint64, string) {
		path := [][32]byte{}
		if from > 0 {
			path, err = h.growth(size)(t.Context(), from)
			require.NoError(t, err)
		}
		root := h.root(t, size)
		signatures := by.sign(t, at, "Checkpoint(string origin,uint64 size,bytes32 root)", crypto.Keccak256([]byte(origin)), uintWord(size), root[:])
		return r.send(t, anchor, at, "anchor", size, root, path, signatures)
	}
	refused := func(want string, h *history, from, size uint64, by council, origin string) {
		t.Helper()
		_, got := send(h, from, size, by, origin)
		require.Equal(t, want, got)
	}
	refused("QuorumMissing", truth, 0, 100, r.council[:2], origin)
	refused("QuorumMissing", truth, 0, 100, r.council[:3], "other.example/log")
	refused("NotConsistent", truth, 50, 100, r.council, origin)
	refused("", truth, 0, 100, r.council[:3], origin)
	refused("NotGrowing", truth, 50, 100, r.council[:3], origin)
	refused("QuorumMissing", truth, 100, 200, r.council[3:], origin)
	refused("", truth, 100, 200, r.council[2:], origin)
	refused("NotConsistent", lie, 200, 300, r.council, origin)
	refused("NotConsistent", truth, 100, 300, r.council, origin)
	refused("", truth, 200, 300, r.council[1:4], origin)
}
