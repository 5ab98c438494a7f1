package evm_test

import (
	"crypto/sha256"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/zk/evm"
	"github.com/trialmesh/trialmesh/zk/evm/inprocess"
)

// TestInProcess runs the suite on go-ethereum inside this process.
func TestInProcess(t *testing.T) {
	t.Parallel()
	e, _ := inProcess(t, inprocess.Config{})
	suite(t, e, e.fundedKey(t), e.fundedKey(t))
}

// TestGeth runs the same suite on a geth of its own process and version.
func TestGeth(t *testing.T) {
	t.Parallel()
	e, developer := geth(t)
	// A stranger without money is refused before money matters: reading and estimating are free.
	suite(t, e, developer, newKey(t))
}

// suite is what holds on every chain. replica has money; stranger is nobody.
func suite(t *testing.T, e endpoint, replica, stranger evm.Key) {
	ctx := t.Context()
	cfg := evm.Config{Endpoint: e.url, Key: replica}
	what := deployConfig(t, replica)

	d, err := evm.Deploy(ctx, cfg, what)
	require.NoError(t, err)

	t.Run("deploying again changes nothing", func(t *testing.T) {
		before, err := os.ReadFile(what.Record)
		require.NoError(t, err)
		again, err := evm.Deploy(ctx, cfg, what)
		require.NoError(t, err)
		require.Equal(t, d, again)
		after, err := os.ReadFile(what.Record)
		require.NoError(t, err)
		require.Equal(t, before, after)
		read, err := evm.ReadDeployment(what.Record)
		require.NoError(t, err)
		require.Equal(t, d, read)
	})

	cfg.Deployment = d
	client := dial(t, cfg)
	reader := dial(t, evm.Config{Endpoint: e.url, Deployment: d})
	other := dial(t, evm.Config{Endpoint: e.url, Deployment: d, Key: stranger})

	t.Run("checkpoints only grow", func(t *testing.T) {
		_, err := reader.LatestAnchor(ctx)
		require.ErrorIs(t, err, evm.ErrNotFound)
		_, err = reader.AnchorAt(ctx, 10)
		require.ErrorIs(t, err, evm.ErrNotFound)

		first, err := client.Anchor(ctx, 10, [32]byte{10})
		require.NoError(t, err)
		require.NotZero(t, first.Gas)
		second, err := client.Anchor(ctx, 25, [32]byte{25})
		require.NoError(t, err)
		require.Greater(t, second.Block, first.Block)

		repeated, err := client.Anchor(ctx, 10, [32]byte{10})
		require.NoError(t, err)
		require.Equal(t, first, repeated, "a repeated anchor is the first one")
		_, err = client.Anchor(ctx, 10, [32]byte{11})
		require.ErrorIs(t, err, evm.ErrConflict, "another history")
		_, err = client.Anchor(ctx, 24, [32]byte{24})
		require.ErrorIs(t, err, evm.ErrSuperseded)

		latest, err := reader.LatestAnchor(ctx)
		require.NoError(t, err)
		require.Equal(t, uint64(25), latest.Size)
		require.Equal(t, [32]byte{25}, latest.Root)
		require.Equal(t, second.Block, latest.Block)
		require.NotZero(t, latest.Time)
		earlier, err := reader.AnchorAt(ctx, 10)
		require.NoError(t, err)
		require.Equal(t, [32]byte{10}, earlier.Root)
		require.Equal(t, first.Block, earlier.Block)
	})

	t.Run("consent roots only get newer", func(t *testing.T) {
		nodeA, nodeB := evm.Node{0xa}, evm.Node{0xb}
		trial := evm.Trial(sha256.Sum256([]byte("trial")))
		_, err := reader.LatestRoot(ctx, nodeA, trial)
		require.ErrorIs(t, err, evm.ErrNotFound)

		a0 := evm.Root{Node: nodeA, Trial: trial, Digest: [32]byte{1}, LedgerIndex: 0}
		b4 := evm.Root{Node: nodeB, Trial: trial, Digest: [32]byte{2}, LedgerIndex: 4}
		a9 := evm.Root{Node: nodeA, Trial: trial, Digest: [32]byte{3}, LedgerIndex: 9}
		first, err := client.PostRoots(ctx, []evm.Root{a0})
		require.NoError(t, err)
		second, err := client.PostRoots(ctx, []evm.Root{a0, b4})
		require.NoError(t, err, "what is there is left out")
		repeated, err := client.PostRoots(ctx, []evm.Root{a0, b4})
		require.NoError(t, err)
		require.Equal(t, second, repeated)
		alone, err := client.PostRoots(ctx, []evm.Root{a0})
		require.NoError(t, err)
		require.Equal(t, first, alone)

		third, err := client.PostRoots(ctx, []evm.Root{a9})
		require.NoError(t, err)
		late, err := client.PostRoots(ctx, []evm.Root{a0})
		require.NoError(t, err, "an old root is superseded")
		require.Equal(t, third, late)
		forged := a9
		forged.Digest = [32]byte{4}
		_, err = client.PostRoots(ctx, []evm.Root{forged})
		require.ErrorIs(t, err, evm.ErrConflict)

		latest, err := reader.LatestRoot(ctx, nodeA, trial)
		require.NoError(t, err)
		require.Equal(t, evm.PostedRoot{Root: a9, Block: third.Block}, latest)
	})

	t.Run("an access is logged once", func(t *testing.T) {
		access := toy().access(t, evm.Node{1}, evm.QueryHash{0, 1}, 5)
		_, err := reader.AccessEvent(ctx, access.Node, access.Query)
		require.ErrorIs(t, err, evm.ErrNotFound)
		require.NoError(t, reader.VerifyAccess(ctx, access))

		first, err := client.LogAccess(ctx, access)
		require.NoError(t, err)
		again, err := client.LogAccess(ctx, access)
		require.NoError(t, err)
		require.Equal(t, first, again)

		otherProof := access
		otherProof.Proof = rerandomized(t, access.Proof)
		require.NoError(t, reader.VerifyAccess(ctx, otherProof), "a Groth16 proof can be turned into another")
		again, err = client.LogAccess(ctx, otherProof)
		require.NoError(t, err)
		require.Equal(t, first, again, "the entry is that of the statement, not of the proof")

		_, err = client.LogAccess(ctx, toy().access(t, access.Node, access.Query, 6))
		require.ErrorIs(t, err, evm.ErrConflict, "another statement about the same question")

		elsewhere := access
		elsewhere.Node = evm.Node{2}
		second, err := client.LogAccess(ctx, elsewhere)
		require.NoError(t, err, "another node, the same question")
		require.NotEqual(t, first.TxHash, second.TxHash)

		event, err := reader.AccessEvent(ctx, access.Node, access.Query)
		require.NoError(t, err)
		require.Equal(t, evm.LoggedAccess{Node: access.Node, Query: access.Query, Inputs: access.Inputs, Receipt: first}, event)
	})

	t.Run("a wrong proof is refused", func(t *testing.T) {
		good := toy().access(t, evm.Node{3}, evm.QueryHash{0, 3}, 5)
		for name, spoil := range map[string]func(*evm.Access){
			"another question":  func(a *evm.Access) { a.Query = evm.QueryHash{0, 4} },
			"an altered input":  func(a *evm.Access) { a.Inputs[0][31]++ },
			"an altered proof":  func(a *evm.Access) { a.Proof[255]++ },
			"a short proof":     func(a *evm.Access) { a.Proof = a.Proof[:255] },
			"no inputs":         func(a *evm.Access) { a.Inputs = nil },
			"an input too many": func(a *evm.Access) { a.Inputs = append(a.Inputs, [32]byte{}) },
			"an input too few":  func(a *evm.Access) { a.Inputs = a.Inputs[:4] },
			"only the question": func(a *evm.Access) { a.Inputs = a.Inputs[:1] },
			"an input plus r":   func(a *evm.Access) { a.Inputs[1] = plusR(a.Inputs[1]) },
		} {
			t.Run(name, func(t *testing.T) {
				bad := cloned(good)
				spoil(&bad)
				require.ErrorIs(t, reader.VerifyAccess(ctx, bad), evm.ErrProofRefused)
				_, err := client.LogAccess(ctx, bad)
				require.ErrorIs(t, err, evm.ErrProofRefused)
			})
		}
		_, err := reader.AccessEvent(ctx, good.Node, good.Query)
		require.ErrorIs(t, err, evm.ErrNotFound, "nothing of this is in the log")
	})

	t.Run("only replicas write", func(t *testing.T) {
		var revert *evm.RevertError
		_, err := other.Anchor(ctx, 1000, [32]byte{1})
		require.ErrorAs(t, err, &revert)
		require.Equal(t, "NotReplica", revert.Reason)
		_, err = other.PostRoots(ctx, []evm.Root{{Node: evm.Node{9}, Digest: [32]byte{1}}})
		require.ErrorAs(t, err, &revert)
		require.Equal(t, "NotReplica", revert.Reason)
		access := toy().access(t, evm.Node{5}, evm.QueryHash{0, 5}, 5)
		_, err = other.LogAccess(ctx, access)
		require.ErrorAs(t, err, &revert, "a stranger must not take a node's place")
		require.Equal(t, "NotReplica", revert.Reason)
		require.NoError(t, other.VerifyAccess(ctx, access), "but may verify")

		_, err = reader.Anchor(ctx, 1000, [32]byte{1})
		require.ErrorIs(t, err, evm.ErrReadOnly)
	})
}
