package evm_test

import (
	"crypto/sha256"
	"os"
	"slices"
	"testing"
	"time"

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
	cfg := evm.Config{Endpoint: e.url, Signer: replica}
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
	acceptToys(t, cfg)
	client := dial(t, cfg)
	reader := dial(t, evm.Config{Endpoint: e.url, Deployment: d})
	other := dial(t, evm.Config{Endpoint: e.url, Deployment: d, Signer: stranger})

	t.Run("checkpoints only grow", func(t *testing.T) {
		ledger, rewritten := newHistory(t, "", 60, 0), newHistory(t, "rewritten ", 60, 5)
		_, err := reader.LatestAnchor(ctx)
		require.ErrorIs(t, err, evm.ErrNotFound)
		_, err = reader.AnchorAt(ctx, 10)
		require.ErrorIs(t, err, evm.ErrNotFound)

		first, err := ledger.anchor(t, client, 10)
		require.NoError(t, err)
		require.NotZero(t, first.Gas)
		second, err := ledger.anchor(t, client, 25)
		require.NoError(t, err)
		require.Greater(t, second.Block, first.Block)

		repeated, err := ledger.anchor(t, client, 10)
		require.NoError(t, err)
		require.Equal(t, first, repeated, "a repeated anchor is the first one")
		_, err = rewritten.anchor(t, client, 10)
		require.ErrorIs(t, err, evm.ErrConflict, "another history")
		_, err = ledger.anchor(t, client, 24)
		require.ErrorIs(t, err, evm.ErrSuperseded)
		_, err = rewritten.anchor(t, client, 60)
		require.ErrorIs(t, err, evm.ErrNotConsistent, "another history, and longer")

		leaf, proof := ledger.inclusion(t, 25, 7)
		there, err := reader.Anchored(ctx, leaf, 7, proof)
		require.NoError(t, err)
		require.True(t, there)
		there, err = reader.Anchored(ctx, leaf, 8, proof)
		require.NoError(t, err)
		require.False(t, there)

		latest, err := reader.LatestAnchor(ctx)
		require.NoError(t, err)
		require.Equal(t, uint64(25), latest.Size)
		require.Equal(t, ledger.root(t, 25), latest.Root)
		require.Equal(t, second.Block, latest.Block)
		for size := uint64(30); size < 37; size++ {
			_, err := ledger.anchor(t, client, size)
			require.NoError(t, err)
			_, err = reader.AnchorAt(ctx, size+1)
			require.ErrorIs(t, err, evm.ErrNotFound)
			for earlier := uint64(30); earlier <= size; earlier++ {
				found, err := reader.AnchorAt(ctx, earlier)
				require.NoError(t, err)
				require.Equal(t, ledger.root(t, earlier), found.Root)
			}
		}
		earlier, err := reader.AnchorAt(ctx, 10)
		require.NoError(t, err)
		require.Equal(t, ledger.root(t, 10), earlier.Root)
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
		access := toy().access(t, d, toyNode(1), evm.Question{1}, 5)
		_, err := reader.AccessEvent(ctx, access.Node, access.Question)
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

		_, err = client.LogAccess(ctx, toy().access(t, d, access.Node, access.Question, 6))
		require.ErrorIs(t, err, evm.ErrConflict, "another statement about the same question")

		stolen := access
		stolen.Node = toyNode(2)
		_, err = client.LogAccess(ctx, stolen)
		require.ErrorIs(t, err, evm.ErrProofRefused, "a proof is of one node")
		elsewhere := toy().access(t, d, toyNode(2), access.Question, 5)
		second, err := client.LogAccess(ctx, elsewhere)
		require.NoError(t, err, "another node, the same question")
		require.NotEqual(t, first.TxHash, second.TxHash)

		event, err := reader.AccessEvent(ctx, access.Node, access.Question)
		require.NoError(t, err)
		require.Equal(t, evm.LoggedAccess{Node: access.Node, Question: access.Question, Statement: access.Statement(), Receipt: first}, event)
	})

	t.Run("a wrong proof is refused", func(t *testing.T) {
		good := toy().access(t, d, toyNode(3), evm.Question{3}, 5)
		for name, spoil := range map[string]func(*evm.Access){
			"another question":  func(a *evm.Access) { a.Question = evm.Question{4} },
			"an altered input":  func(a *evm.Access) { a.Inputs[0][31]++ },
			"an altered proof":  func(a *evm.Access) { a.Proof[255]++ },
			"a short proof":     func(a *evm.Access) { a.Proof = a.Proof[:255] },
			"no inputs":         func(a *evm.Access) { a.Inputs = nil },
			"an input too many": func(a *evm.Access) { a.Inputs = append(a.Inputs, [32]byte{}) },
			"an input too few":  func(a *evm.Access) { a.Inputs = a.Inputs[:4] },
			"only the question": func(a *evm.Access) { a.Inputs = a.Inputs[:1] },
			"an input plus r":   func(a *evm.Access) { a.Inputs[0] = plusR(a.Inputs[0]) },
		} {
			t.Run(name, func(t *testing.T) {
				bad := cloned(good)
				spoil(&bad)
				require.ErrorIs(t, reader.VerifyAccess(ctx, bad), evm.ErrProofRefused)
				_, err := client.LogAccess(ctx, bad)
				require.ErrorIs(t, err, evm.ErrProofRefused)
			})
		}
		_, err := reader.AccessEvent(ctx, good.Node, good.Question)
		require.ErrorIs(t, err, evm.ErrNotFound, "nothing of this is in the log")
	})

	t.Run("a root has to be accepted", func(t *testing.T) {
		stranger := toy().access(t, d, toyNode(0xff), evm.Question{9}, 5)
		require.NoError(t, reader.VerifyAccess(ctx, stranger), "a proof over consents of anybody's invention")
		_, err := client.LogAccess(ctx, stranger)
		require.ErrorIs(t, err, evm.ErrRootNotAccepted)

		root := []evm.AcceptedRoot{{Node: stranger.Node, Root: toyRoot, Until: time.Now().Add(time.Hour)}}
		first, err := client.AcceptRoots(ctx, root)
		require.NoError(t, err)
		require.NotZero(t, first.Gas)
		again, err := client.AcceptRoots(ctx, root)
		require.NoError(t, err)
		require.Zero(t, again, "it is accepted already")
		_, err = client.LogAccess(ctx, stranger)
		require.NoError(t, err)

		_, err = client.WithdrawRoots(ctx, root)
		require.NoError(t, err)
		_, err = client.LogAccess(ctx, toy().access(t, d, stranger.Node, evm.Question{10}, 5))
		require.ErrorIs(t, err, evm.ErrRootNotAccepted)
	})

	t.Run("a batch is logged whole or not", func(t *testing.T) {
		var batch []evm.Access
		for node := range byte(5) {
			batch = append(batch, toy().access(t, d, toyNode(node), evm.Question{20}, 5))
		}
		bad := slices.Clone(batch)
		bad[3] = cloned(bad[3])
		bad[3].Proof = toy().access(t, d, toyNode(3), evm.Question{21}, 5).Proof
		_, err := client.LogBatch(ctx, bad)
		require.ErrorIs(t, err, evm.ErrProofRefused)
		_, err = reader.AccessEvent(ctx, batch[0].Node, batch[0].Question)
		require.ErrorIs(t, err, evm.ErrNotFound)

		alone, err := client.LogAccess(ctx, batch[2])
		require.NoError(t, err)
		receipts, err := client.LogBatch(ctx, batch)
		require.NoError(t, err)
		require.Equal(t, alone, receipts[2], "what is logged is left out")
		require.Equal(t, receipts[0], receipts[4])
		again, err := client.LogBatch(ctx, batch)
		require.NoError(t, err)
		require.Equal(t, receipts, again)
		event, err := reader.AccessEvent(ctx, batch[4].Node, batch[4].Question)
		require.NoError(t, err)
		require.Equal(t, evm.LoggedAccess{Node: batch[4].Node, Question: batch[4].Question, Statement: batch[4].Statement(), Receipt: receipts[4]}, event)
	})

	t.Run("only a quorum of replicas is believed", func(t *testing.T) {
		ledger := newHistory(t, "", 70, 0)
		_, err := ledger.anchor(t, other, 70)
		require.ErrorIs(t, err, evm.ErrQuorum)
		_, err = other.PostRoots(ctx, []evm.Root{{Node: evm.Node{9}, Digest: [32]byte{1}}})
		require.ErrorIs(t, err, evm.ErrQuorum)
		_, err = other.AcceptRoots(ctx, []evm.AcceptedRoot{{Node: evm.Node{0xee}, Until: time.Now().Add(time.Hour)}})
		require.ErrorIs(t, err, evm.ErrQuorum)
		_, err = ledger.anchor(t, reader, 70)
		require.ErrorIs(t, err, evm.ErrReadOnly)
	})
}
