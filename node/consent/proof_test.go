package consent_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/consent"
	agreed "github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/prover"
)

// TestRealProofs closes an epoch and proves an access with real keys, and
// verifies both from what is public.
func TestRealProofs(t *testing.T) {
	t.Parallel()
	dir, err := prover.CacheDir()
	require.NoError(t, err)
	epochKeys, err := prover.DevelopmentKeys(t.Context(), dir, shape.Epoch())
	require.NoError(t, err)
	accessKeys, err := prover.DevelopmentKeys(t.Context(), dir, shape.Access())
	require.NoError(t, err)
	proofs, err := prover.New(prover.Config{Epoch: epochKeys, Access: accessKeys})
	require.NoError(t, err)
	d := newDesk(t, sqltest.SQLite(t))
	for n := int64(1); n <= 6; n++ {
		d.consents(t, n)
	}
	var draft *consent.Draft
	for draft == nil || !draft.IsEpoch() {
		draft, err = d.book.Draft(t.Context(), "glucose-1", epochKeys.Verifying().Digest(), proofs, d.now)
		require.NoError(t, err)
		require.NoError(t, d.book.Recorded(t.Context(), *draft, 1, d.now))
	}
	epoch, err := message.Replay[agreed.Epoch](draft.Envelope, agreed.KindEpoch)
	require.NoError(t, err)
	var roots []circuits.Element
	for _, s := range epoch.Shards {
		window, err := circuits.NewWindow(s.From, s.To)
		require.NoError(t, err)
		proof, err := circuits.NewProof(s.Proof)
		require.NoError(t, err)
		public := circuits.EpochPublic{ShardRoot: s.Root, Window: window, MatrixRoot: s.Matrix}
		require.NoError(t, epochKeys.Verifying().VerifyEpoch(public, proof))
		public.Window.To++
		require.Error(t, epochKeys.Verifying().VerifyEpoch(public, proof), "a proof holds for its window only")
		roots = append(roots, s.Matrix)
	}
	w, err := d.book.Witness(t.Context(), consent.Evidence{
		Query: message.Digest{9}, Epoch: draft.Envelope.Digest(), Need: need, Min: 3, Hash: circuits.Element{31: 42},
		Used: []omop.PersonID{person(1), person(3), person(5), person(6)},
	})
	require.NoError(t, err)
	access, err := proofs.Access(t.Context(), w)
	require.NoError(t, err)
	matrix, err := circuits.MatrixDigest(shape, roots)
	require.NoError(t, err)
	require.Equal(t, matrix, access.Public.MatrixDigest, "the access builds on the epoch's matrices")
	require.NoError(t, accessKeys.Verifying().VerifyAccess(access.Public, access.Proof))
	for name, change := range map[string]func(*circuits.AccessPublic){
		"another question": func(p *circuits.AccessPublic) { p.QueryHash[31]++ },
		"other records":    func(p *circuits.AccessPublic) { p.UsedDigest[31] ^= 1 },
		"more records":     func(p *circuits.AccessPublic) { p.Min = 5 },
	} {
		public := access.Public
		change(&public)
		require.Error(t, accessKeys.Verifying().VerifyAccess(public, access.Proof), name)
	}
}
