package dispatch_test

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/cosign"
	"github.com/trialmesh/trialmesh/hub/evidence"
	"github.com/trialmesh/trialmesh/hub/ledger"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/peer"
	"github.com/trialmesh/trialmesh/node/peer/peertest"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/figures"
	"github.com/trialmesh/trialmesh/zk/prover"
	"github.com/trialmesh/trialmesh/zk/standin"
)

// four is the smallest shape there is.
var four = circuits.Shape{ShardSize: 4, Shards: 1, Slots: 2}

// realProofs are real proofs of a shape, with development keys.
func realProofs(t *testing.T, s circuits.Shape) proofs {
	t.Helper()
	dir, err := prover.CacheDir()
	require.NoError(t, err)
	var keys []*prover.Keys
	p := proofs{checker: new(evidence.Proofs)}
	results := s.Results()
	for _, c := range append([]circuits.Circuit{s.Epoch(), s.Access()}, results[:]...) {
		k, err := prover.DevelopmentKeys(t.Context(), dir, c)
		require.NoError(t, err)
		keys = append(keys, k)
		public := k.Published()
		p.circuits = append(p.circuits, entry.Circuit{
			Shape: c.String(), VerifyingKey: public.VerifyingKey, ProvingDigest: public.ProvingDigest, Development: public.Development,
		})
	}
	made, err := prover.New(prover.Config{Epoch: keys[0], Access: keys[1], Cover: keys[2], Aggregate: keys[3], Release: keys[4]})
	require.NoError(t, err)
	of := func(i int) message.Digest { return keys[i].Verifying().Digest() }
	p.site = peertest.Config{
		Shape: s, Epochs: made, EpochKey: of(0),
		Proving: peer.Proving{
			Prover: made, Circuit: s.Access(), Key: of(1), Venue: peertest.Venue,
			Results: &peer.Results{Prover: made, Circuits: results, Keys: query.ProvedBy{Cover: of(2), Aggregate: of(3), Release: of(4)}},
		},
	}
	return p
}

const logOrigin = "hub.example.org/log"

// evidenceOf signs the ledger and returns it as a reader has it.
func (w *world) evidenceOf(t *testing.T) (evidence.Source, evidence.Trust) {
	t.Helper()
	key := peertest.NewKey(t)
	signer, err := cosign.NewSigner(logOrigin, key.Private())
	require.NoError(t, err)
	public, err := key.DID().PublicKey()
	require.NoError(t, err)
	logKey, err := cosign.VerifierKey(logOrigin, public)
	require.NoError(t, err)
	require.NoError(t, w.db.Write(t.Context(), func(tx *sqldb.Tx) error {
		head, err := ledger.Head(t.Context(), tx, logOrigin)
		require.NoError(t, err)
		signed, err := head.Sign(signer)
		require.NoError(t, err)
		_, err = ledger.AddCheckpoint(t.Context(), tx, cosign.Trust{Origin: logOrigin, Keys: []string{logKey}}, signed)
		return err
	}))
	trust := evidence.Trust{
		Trust: entry.Trust{
			Hub: w.hub.DID(), Origin: logOrigin, LogKey: logKey, ChainID: peertest.Venue.ChainID, AccessLog: peertest.Venue.Contract,
		},
		Boards: []identity.DID{w.trial.Board.DID()},
	}
	return publicFace{ledger.NewPublished(w.db), w.reader}, trust
}

// publicFace is what a hub serves.
type publicFace struct {
	ledger.Source
	*registry.Reader
}

// lax takes every proof of figures, as a hub might that works with a node.
type lax struct {
	*evidence.Proofs
	took *int // that do not verify
}

func (p lax) CheckResult(by figures.Circuits, proved query.Proved, s figures.Statement) error {
	if p.Proofs.CheckResult(by, proved, s) != nil {
		*p.took++
	}
	return nil
}

// TestARegulatorVerifiesFiguresFromAnExport goes with real proofs from a locked data set to what
// a reader of an exported copy is told, offline. Two nodes make their proofs up, and the hub
// records those too.
func TestARegulatorVerifiesFiguresFromAnExport(t *testing.T) {
	t.Parallel()
	by, took := realProofs(t, four), 0
	by.checker = lax{new(evidence.Proofs), &took}
	w := locked(t, open, by, 4)
	w.proves = 10 * time.Minute        // on a busy machine
	for i, site := range w.sites[1:] { // nobody's proofs but the first's are real
		results := *site.Proving.Results
		results.Prover = standin.Proofs{Shape: four}
		site.Proving.Results = &results
		site.Reopen(t)
		w.ends[1+i].HandleCall(query.TaskProtocol, site.Peer.Take)
	}
	w.run(t)
	r := w.byArm()
	r.Analysis.Incidence.By, r.Analysis.Columns = "", r.Analysis.Columns[1:] // so few tell two arms not apart
	id := w.put(t, r, 5*time.Minute)
	requireComplete(t, w.result(t, id))
	w.proofs(t, id, 3)
	w.proved(t, id, 3)
	require.Equal(t, 2, took, "an honest hub would have refused the liars and nobody else")

	source, trust := w.evidenceOf(t)
	dir := t.TempDir()
	_, err := evidence.Export(t.Context(), source, trust, evidence.Scope{Question: id}, dir)
	require.NoError(t, err)
	report, err := evidence.VerifyQuery(t.Context(), evidence.NewDir(os.DirFS(dir)), trust, "", id)
	require.NoError(t, err)
	failed := report.Failed()
	require.Len(t, failed, 2)
	for _, c := range failed {
		require.Equal(t, evidence.CheckFiguresProof, c.Name)
		require.NotEqual(t, string(w.sites[0].Key.DID()), c.Subject)
	}
	k := slices.IndexFunc(report.Checks, func(c evidence.Check) bool { return c.Name == evidence.CheckFiguresProof && c.OK })
	require.Equal(t, string(w.sites[0].Key.DID()), report.Checks[k].Subject)
	require.Contains(t, report.Checks[k].Detail, "node a's figures follow from the columns committed at entry ")
	require.Contains(t, report.Checks[k].Detail, "over exactly the consented records")
}
