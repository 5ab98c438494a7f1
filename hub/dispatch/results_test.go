package dispatch_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/localstore/dataset"
	"github.com/trialmesh/trialmesh/node/peer/peertest"
	committed "github.com/trialmesh/trialmesh/protocol/columns"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/figures"
	"github.com/trialmesh/trialmesh/zk/prover"
	"github.com/trialmesh/trialmesh/zk/verifier"
)

// few are limits under which some persons are enough.
var few = disclosure.Policy{MinCell: 2, Rounding: 5, MinSites: 3, MaxQuestions: 100}

// outcomes is a trial's locked data set: arm, event and days at risk.
func outcomes() dataset.Schema {
	return dataset.Schema{
		Name: "outcomes", Version: "lock 1", Person: dataset.Person{Column: "pid", System: dataset.FHIR},
		Columns: []dataset.Column{
			{Name: "arm", Kind: query.FactorValues, Domain: "Person", Levels: []string{"control", "active"}},
			{Name: "event", Kind: query.LogicalValues, Domain: "Person", True: "1", False: "0"},
			{Name: "days", Kind: query.NumericValues, Domain: "Person", Low: 0, High: 1000, Unit: "d"},
		},
	}
}

// rowsOf gives person i arm and event by turns, and i days more than the first.
func rowsOf(people, first int) string {
	var text strings.Builder
	text.WriteString("pid,arm,event,days\n")
	for i := range people {
		fmt.Fprintf(&text, "p%d,%s,%d,%d\n", i, []string{"control", "active"}[i%2], i/2%2, first+i)
	}
	return text.String()
}

// locked is a world whose sites loaded outcomes and committed to its columns.
func locked(t *testing.T, policy disclosure.Policy, proofs proofs, people int) *world {
	t.Helper()
	w := newWorldProving(t, policy, proofs, peertest.People(people, 0), peertest.People(people, 0), peertest.People(people, 0))
	for i, site := range w.sites {
		site.LoadDataset(t, outcomes(), rowsOf(people, 100*(i+1)))
		w.commit(t, i)
	}
	return w
}

// commit puts the columns of a site's data set on the ledger.
func (w *world) commit(t *testing.T, i int) {
	t.Helper()
	w.sites[i].Commit(t, "outcomes", func(e message.Envelope) int64 {
		return w.propose(t, registry.CommitColumns{Envelope: e}).LedgerIndex
	})
}

// byArm asks for events and person-time by arm, proved.
func (w *world) byArm() query.Request {
	r := w.over("outcomes", query.Analysis{
		Kind: query.Incidence, Columns: columns(outcomes(), "arm", "event", "days"),
		Specs: query.Specs{Incidence: &query.IncidenceSpec{Events: "event", Time: "days", By: "arm"}},
	})
	r.Proof = query.ProofResult
	return r
}

// proved waits until n proofs of figures are recorded.
func (w *world) proved(t *testing.T, id query.ID, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		list, err := w.reader.ResultProofs(t.Context(), id)
		require.NoError(t, err)
		return len(list) == n
	}, 5*time.Minute, 200*time.Millisecond, "the question has not %d proofs of figures", n)
}

// TestFiguresOfALockedDataSetAreProved goes from columns on the ledger to proofs of what was
// released, of sums by arm and of a rounded count.
func TestFiguresOfALockedDataSetAreProved(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := locked(t, few, standIns(), 12)
		once := false
		w.intercept(1, func(task query.Task) bool {
			if task.Step == query.StepProveResult && !once { // what comes after a question changes nothing
				once = true
				w.sites[1].LoadDataset(t, outcomes(), rowsOf(12, 300))
				w.commit(t, 1)
			}
			return true
		})
		w.run(t)
		id := w.put(t, w.byArm(), time.Minute)
		r := w.result(t, id)
		requireComplete(t, r)
		require.Len(t, r.Rates.Groups, 2)
		require.EqualValues(t, 3*6, r.Rates.Groups[0].N)
		require.EqualValues(t, 3*3, r.Rates.Groups[0].Events)
		require.InDelta(t, 6*(100+200+300)+3*6*5, *r.Rates.Groups[0].Time, 1e-6)
		w.proofs(t, id, 3)
		w.proved(t, id, 3)

		counted := w.over("outcomes", query.Analysis{Kind: query.Count})
		counted.Proof = query.ProofResult
		id = w.put(t, counted, time.Minute)
		r = w.result(t, id)
		requireComplete(t, r)
		require.EqualValues(t, 3*10, r.Total.N, "12 are rounded to 10")
		w.proved(t, id, 3)
		w.commitsInOrder(t)
		w.replay(t)
	})
}

// TestANodeThatCannotProveRefuses names why, before anything is released.
func TestANodeThatCannotProveRefuses(t *testing.T) {
	inBubbleNamed(t, "as data or consents changed", func(t *testing.T) {
		w := locked(t, few, standIns(), 12)
		w.sites[0].LoadDataset(t, outcomes(), rowsOf(12, 101))
		w.sites[1].LoadDataset(t, outcomes(), rowsOf(11, 200))
		w.sites[2].Withdraw(t, 3)
		w.refuse(t, "proof.columns-changed", "proof.columns-changed", "proof.consents")
	})
	inBubbleNamed(t, "as it is not ready", func(t *testing.T) {
		w := newWorldUnder(t, few, peertest.People(12, 0), peertest.People(12, 0), peertest.People(12, 0))
		for _, site := range w.sites {
			site.LoadDataset(t, outcomes(), rowsOf(12, 0))
		}
		_, err := w.sites[1].Columns.Commit(t.Context(), w.trial.Design.ID, "outcomes", nil, time.Now())
		require.NoError(t, err, "and nothing brings it to the hub")
		w.sites[2].Proving.Results = nil
		w.sites[2].Reopen(t)
		w.ends[2].HandleCall(query.TaskProtocol, w.sites[2].Peer.Take)
		w.refuse(t, "proof.columns", "proof.columns", "proof.circuits")
	})
}

// refuse requires each site to refuse a question for a proof by a rule.
func (w *world) refuse(t *testing.T, rules ...string) {
	t.Helper()
	w.run(t)
	r := w.result(t, w.put(t, w.byArm(), time.Minute))
	require.Equal(t, query.Withheld, r.State)
	require.Len(t, r.Refused, len(rules))
	for _, refused := range r.Refused {
		i := slices.IndexFunc(w.sites, func(s *peertest.Site) bool { return s.Key.DID() == refused.Node })
		require.Equal(t, rules[i], refused.Problem.Rule)
	}
}

// watched keeps what a site proves its figures from.
type watched struct {
	peertest.Proofs
	seen *prover.ResultWitness
}

func (p watched) Result(ctx context.Context, w prover.ResultWitness) (verifier.Result, error) {
	*p.seen = w
	return p.Proofs.Result(ctx, w)
}

// TestAMaliciousNodesFiguresAreRefused has a node prove honestly what is not so, and say what it
// did not prove. Whatever it says, its figures are those that it fixed with its numbers.
func TestAMaliciousNodesFiguresAreRefused(t *testing.T) {
	type judgement struct{ got, want error }
	judged := make(map[string]judgement) // by lie; subtests are for outside of a bubble
	inBubble(t, func(t *testing.T) {
		w := locked(t, few, standIns(), 12)
		node := w.sites[1]
		var witness prover.ResultWitness
		node.Proving.Results.Prover = watched{seen: &witness}
		node.Reopen(t)
		w.ends[1].HandleCall(query.TaskProtocol, node.Peer.Take)
		var honest query.Proved
		w.forge(t, 1, func(p *query.Proved) {
			if honest.Query.IsZero() {
				honest = *p
			}
			p.Released = query.Commitment{31: 1} // until the end of this test
		})
		w.run(t)
		id := w.put(t, w.byArm(), time.Minute)
		requireComplete(t, w.result(t, id))
		w.proved(t, id, 2)
		require.Eventually(t, func() bool { return !honest.Query.IsZero() }, time.Minute, 100*time.Millisecond)

		record := func(p query.Proved) (registry.Outcome, error) {
			e, err := message.Seal(node.Key, query.KindProved, p, time.Now(), time.Hour, rand.Reader)
			require.NoError(t, err)
			return w.log.Propose(t.Context(), registry.RecordResult{Envelope: e})
		}
		for name, lie := range map[string]func(w *prover.ResultWitness){
			"a dropped row": func(w *prover.ResultWitness) {
				cells := slices.Clone(w.Tables[0].Columns[0].Cells)
				for i := range cells {
					if i == w.Access.Shards[0].Used[0] {
						cells[i] = circuits.Missing
					}
				}
				w.Tables[0].Columns[0].Cells = cells
			},
			"other columns": func(w *prover.ResultWitness) { w.Tables[0].Columns[3] = w.Tables[0].Columns[0] },
			"another group": func(w *prover.ResultWitness) { w.Plan.Group = 2 },
			"other records": func(w *prover.ResultWitness) {
				w.Access.Shards[0].Salt = circuits.Element{31: 9}
			},
			"other terms":      func(w *prover.ResultWitness) { w.Terms.Sum.Unit = 10 },
			"a lower minimum":  func(w *prover.ResultWitness) { w.Terms.MinCount = 1 },
			"a narrower range": func(w *prover.ResultWitness) { w.Plan.Conditions[1].Hi = 209 },
			"another question": func(w *prover.ResultWitness) { w.Access.QueryHash = circuits.Element{31: 7} },
		} {
			bad := witness
			bad.Tables = []circuits.Table{{Columns: slices.Clone(witness.Tables[0].Columns)}}
			bad.Access.Shards = slices.Clone(witness.Access.Shards)
			bad.Plan.Conditions = slices.Clone(witness.Plan.Conditions)
			lie(&bad)
			result, err := (peertest.Proofs{}).Result(t.Context(), bad)
			require.NoError(t, err, name)
			proved := figures.Document(query.Proved{Query: honest.Query, Node: honest.Node, Columns: honest.Columns, Circuits: honest.Circuits}, result)
			_, err = record(proved)
			require.Error(t, err, name)
			proved.Released = honest.Released
			_, err = record(proved)
			judged[name] = judgement{err, registry.ErrFiguresProof}
		}
		for name, c := range map[string]struct {
			want error
			lie  func(p *query.Proved)
		}{
			"a figure changed after release": {registry.ErrFigures, func(p *query.Proved) { p.Released = query.Commitment{31: 1} }},
			"columns that it never had":      {registry.ErrColumnsOld, func(p *query.Proved) { p.Columns = message.Digest{1} }},
			"totals of its own":              {registry.ErrFiguresProof, func(p *query.Proved) { p.Totals = []query.Commitment{{31: 1}} }},
			"a group hidden":                 {registry.ErrFiguresProof, func(p *query.Proved) { p.Withheld |= 1 }},
			"a group that nobody is in":      {registry.ErrFiguresProof, func(p *query.Proved) { p.Withheld &^= 1 << 7 }},
			"a shard left out":               {registry.ErrFiguresProof, func(p *query.Proved) { p.Used, p.Totals, p.Aggregates = nil, nil, nil }},
			"a circuit that nobody knows":    {registry.ErrCircuitUnknown, func(p *query.Proved) { p.Circuits.Release = message.Digest{2} }},
			"a proof of nothing":             {registry.ErrFiguresProof, func(p *query.Proved) { p.Cover = nil }},
			"the proof of another node":      {registry.ErrNotAsked, func(p *query.Proved) { p.Node = w.sites[0].Key.DID() }},
		} {
			forged := honest
			c.lie(&forged)
			_, err := record(forged)
			judged[name] = judgement{err, c.want}
		}
		_, err := record(honest)
		require.NoError(t, err)
		again, err := record(honest)
		require.NoError(t, err)
		require.True(t, again.Existed, "a proof that comes twice changes nothing")

		r := w.byArm()
		r.Analysis.Incidence.By, r.Analysis.Columns = "", r.Analysis.Columns[1:]
		replayed := honest
		replayed.Query = w.put(t, r, time.Minute)
		requireComplete(t, w.result(t, replayed.Query))
		_, err = record(replayed)
		require.ErrorIs(t, err, registry.ErrFigures, "a proof for another question")
		unasked := w.put(t, w.over("outcomes", query.Analysis{Kind: query.Count}), time.Minute)
		requireComplete(t, w.result(t, unasked))
		replayed.Query = unasked
		_, err = record(replayed)
		require.ErrorIs(t, err, registry.ErrFiguresUnasked)
		w.replay(t)
	})
	for name, j := range judged {
		t.Run(name, func(t *testing.T) { require.ErrorIs(t, j.got, j.want) })
	}
}

// forge lets a node sign another document of its figures than it proved.
func (w *world) forge(t *testing.T, i int, change func(p *query.Proved)) {
	t.Helper()
	w.lie(t, i, query.StepProveResult, func(a *query.Answer) {
		envelope, err := message.Parse(a.Body)
		require.NoError(t, err)
		proved, err := message.Replay[query.Proved](envelope, query.KindProved)
		require.NoError(t, err)
		change(&proved)
		envelope, err = message.Seal(w.sites[i].Key, query.KindProved, proved, time.Now(), time.Hour, rand.Reader)
		require.NoError(t, err)
		a.Body, err = json.Marshal(envelope)
		require.NoError(t, err)
	})
}

// commitsInOrder tries commitments that would leave a choice.
func (w *world) commitsInOrder(t *testing.T) {
	t.Helper()
	key := w.sites[0].Key
	first := committed.Commitment{
		Trial: w.trial.Design.ID, Node: key.DID(), Dataset: "others", Number: 1, ShardSize: 64,
		Columns: []committed.Column{{Name: "event", Kind: query.LogicalValues, Domain: "Person"}}, Shards: []query.Commitment{{1}},
	}
	send := func(by identity.Key, c committed.Commitment) (registry.Outcome, error) {
		e, err := message.Seal(by, committed.Kind, c, time.Now(), time.Hour, rand.Reader)
		require.NoError(t, err)
		return w.log.Propose(context.Background(), registry.CommitColumns{Envelope: e})
	}
	out, err := send(key, first)
	require.NoError(t, err)
	again, err := send(key, first)
	require.NoError(t, err)
	require.Equal(t, registry.Outcome{LedgerIndex: out.LedgerIndex, Existed: true}, again, "signed again it is the same")
	other := first
	other.Shards = []query.Commitment{{2}}
	_, err = send(key, other)
	require.ErrorIs(t, err, registry.ErrColumnsOrder, "a second first")
	digest, err := first.Digest()
	require.NoError(t, err)
	other.Number, other.Revises = 2, digest
	_, err = send(w.sites[1].Key, other)
	require.ErrorIs(t, err, registry.ErrColumnsOrder, "for another node")
	_, err = send(key, other)
	require.NoError(t, err)
	other.Columns = nil
	_, err = send(key, other)
	require.ErrorContains(t, err, "columns: columns")
	other = first
	other.Trial = "none"
	_, err = send(key, other)
	require.ErrorIs(t, err, registry.ErrTrialUnknown)
}
