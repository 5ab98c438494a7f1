package anchor

import (
	"crypto/rand"
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/cosign"
	"github.com/trialmesh/trialmesh/hub/ledger"
	"github.com/trialmesh/trialmesh/hub/publication"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/peer/peertest"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/zk/evm"
)

// TestReplicaSignsWhatItsTablesSay: a leader that lies to the chain gets no signature of the
// others, and none for other contracts than theirs.
func TestReplicaSignsWhatItsTablesSay(t *testing.T) {
	t.Parallel()
	db, hub := sqltest.SQLite(t), newKey(t)
	require.NoError(t, registry.Migrate(t.Context(), db))
	machine := registry.NewMachine(db, hub.DID(), peertest.Proofs{})
	index := uint64(0)
	apply := func(body registry.Body) {
		index++
		raw, err := registry.Encode(body, time.Unix(1_800_000_000, 0))
		require.NoError(t, err)
		_, err = machine.Apply(t.Context(), index, raw)
		require.NoError(t, err)
	}
	for _, name := range []string{"a", "b"} {
		apply(registry.InviteNode{Name: name, Organization: "Hospital"})
		apply(registry.EnrollNode{Node: newKey(t).DID(), Name: name})
	}
	var head cosign.Checkpoint
	require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) (err error) {
		head, err = ledger.Head(t.Context(), tx, "hub.example.org/log")
		return err
	}))
	require.EqualValues(t, 2, head.Size)

	account, err := evm.GenerateKey(rand.Reader)
	require.NoError(t, err)
	reader := registry.NewReader(db)
	a := &Anchor{cfg: Config{
		Registry: reader, Check: publication.Check(db), Now: time.Now, Chain: evm.Config{Signer: account},
		Deploy: evm.DeployConfig{Origin: head.Origin, Record: filepath.Join(t.TempDir(), "deployment.json")},
	}}
	deployment := evm.Deployment{
		ChainID: 1337, Origin: head.Origin, Replicas: []evm.Address{account.Address()}, Threshold: 1,
		Registry: evm.Address{1}, Verifier: evm.Address{1}, Anchor: evm.Address{2}, Roots: evm.Address{3}, Access: evm.Address{4},
	}
	ask := func(at evm.Deployment, c evm.Claim) ([]byte, error) {
		statement, err := at.State(c)
		require.NoError(t, err)
		raw, err := json.Marshal(statement)
		require.NoError(t, err)
		return a.Sign(t.Context(), raw)
	}
	good := evm.Claim{Checkpoint: &evm.Checkpoint{Size: uint64(head.Size), Root: head.Root}}
	_, err = ask(deployment, good)
	require.ErrorIs(t, err, errUndeployed)
	raw, err := json.Marshal(deployment)
	require.NoError(t, err)
	apply(registry.RecordDeployment{Deployment: raw})

	signature, err := ask(deployment, good)
	require.NoError(t, err)
	statement, err := deployment.State(good)
	require.NoError(t, err)
	expected, err := account.SignStatement(t.Context(), statement)
	require.NoError(t, err)
	require.Equal(t, expected, signature)

	elsewhere := deployment
	elsewhere.ChainID, elsewhere.Anchor = 1, evm.Address{9}
	signature, err = ask(elsewhere, good)
	require.NoError(t, err)
	require.Equal(t, expected, signature, "it signs for its own contracts, whatever is asked")

	var refused *problem.Error
	for name, c := range map[string]evm.Claim{
		"another root":       {Checkpoint: &evm.Checkpoint{Size: good.Checkpoint.Size, Root: [32]byte{1}}},
		"more than there is": {Checkpoint: &evm.Checkpoint{Size: good.Checkpoint.Size + 1, Root: head.Root}},
		"an unknown epoch":   {Roots: []evm.Root{{Digest: [32]byte{1}}}},
	} {
		_, err := ask(deployment, c)
		require.ErrorAs(t, err, &refused, name)
	}
	_, err = a.Sign(t.Context(), []byte(`{"primaryType":"Propose","message":{"number":"1","change":"0x"}}`))
	require.ErrorAs(t, err, &refused)

	// The next leader finds the contracts, and does not deploy others.
	require.NoError(t, a.recall(t.Context()))
	recalled, err := evm.ReadDeployment(a.cfg.Deploy.Record)
	require.NoError(t, err)
	require.Equal(t, deployment, recalled)
}

func newKey(t testing.TB) identity.Key {
	t.Helper()
	key, err := identity.Generate(rand.Reader)
	require.NoError(t, err)
	return key
}
