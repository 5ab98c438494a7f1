package peer

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/audit"
	book "github.com/trialmesh/trialmesh/node/consent"
	"github.com/trialmesh/trialmesh/node/release"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	protocol "github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/figures"
	"github.com/trialmesh/trialmesh/zk/prover"
	"github.com/trialmesh/trialmesh/zk/verifier"
)

// Why a question whose figures are to be proved is refused, besides the rules of the packages
// that lay columns out and read the question.
var (
	ErrNoResults = problem.Refusal("proof.circuits", "there are no keys here for proofs of figures that this node takes: ask without proof, or have the hub run with results")
	ErrWithdrawn = problem.Refusal("proof.consents", "somebody's consent has ended since this node's last consent epoch: ask again when the next is on the ledger")
	ErrNoised    = problem.Refusal("proof.noise", "figures with noise are not proved: ask without proof")
	ErrRepeats   = problem.Refusal("proof.repeated", "the numbers that this node gave to the question before do not follow from the columns that it committed to since: they stand, and cannot be proved")
)

// ResultProver makes proofs of figures.
type ResultProver interface {
	// Result proves a result from consents and committed columns to figures.
	Result(ctx context.Context, w prover.ResultWitness) (verifier.Result, error)
}

// Results is what proofs of figures are made with.
type Results struct {
	Prover   ResultProver
	Circuits [3]circuits.Circuit // cover, aggregate and release
	Keys     protocol.ProvedBy   // of their verifying keys
}

// proves reports whether the question's figures are to be proved.
func (q question) proves() bool { return q.request.Proof == protocol.ProofResult }

// provable refuses a question whose figures this node could not prove: a number that left
// without its proof would be worth no more than without the question for one. What it returns
// refuses numbers that were released and are not those that would be proved.
func (p *Peer) provable(ctx context.Context, q question, basis book.Basis, answer release.Answer) (func(release.Released) error, error) {
	if !q.proves() {
		return func(release.Released) error { return nil }, nil
	}
	proving, err := p.cfg.Proving()
	switch {
	case err != nil:
		return nil, err
	case proving.Results == nil:
		return nil, ErrNoResults
	case q.accept.Policy.Noise != "":
		return nil, ErrNoised
	case !basis.Whole():
		return nil, ErrWithdrawn
	}
	if err := p.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		committed, err := p.cfg.Columns.Settled(ctx, tx, q.design.ID, q.request.Dataset, q.ask.LedgerIndex)
		if err != nil {
			return err
		}
		return committed.Stands(ctx, tx)
	}); err != nil {
		return nil, err
	}
	witness, err := p.figures(ctx, q, proving)
	if err != nil {
		return nil, err
	}
	if q.request.Analysis.Kind.InRounds() {
		return p.sameSums(ctx, q, answer)
	}
	list, _, err := witness.Figures(proving.Results.Circuits[1], proving.Results.Circuits[2])
	if err != nil {
		return nil, err
	}
	return func(released release.Released) error {
		words := released.Words()
		if len(words) == 0 || new(big.Int).SetUint64(words[0]).Cmp(list[0].Count) != 0 {
			return ErrRepeats
		}
		return nil
	}, nil
}

// sameSums returns what refuses a frame whose first sums are not those of a fresh answer. A
// frame that was released before, and is again, may be of values that were not committed to.
func (p *Peer) sameSums(ctx context.Context, q question, answer release.Answer) (func(release.Released) error, error) {
	method, err := q.inRounds()
	if err != nil {
		return nil, err
	}
	state, err := method.Start()
	if err != nil {
		return nil, err
	}
	fresh, err := method.Site(state, answer.Frame.Values)
	if err != nil {
		return nil, err
	}
	return func(released release.Released) error {
		leaving, err := p.words(ctx, q, 1, released)
		if err == nil && !slices.Equal(fresh, leaving) {
			err = ErrRepeats
		}
		return err
	}, nil
}

// figures returns the private half of the proof of a question's figures. It is the same
// whenever it is made.
func (p *Peer) figures(ctx context.Context, q question, proving Proving) (prover.ResultWitness, error) {
	var w prover.ResultWitness
	if proving.Results == nil {
		return w, ErrNoResults
	}
	evidence, err := p.evidence(q, proving, nil)
	if err != nil {
		return w, err
	}
	if w.Access, err = p.cfg.Consents.Covers(ctx, evidence); err != nil {
		return w, err
	}
	tally := proving.Results.Circuits[1].Tally()
	var asked figures.Asked
	if err := p.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		committed, err := p.cfg.Columns.Before(ctx, tx, q.design.ID, q.request.Dataset, q.ask.LedgerIndex)
		if err != nil {
			return err
		}
		limits := figures.Limits{MinCell: q.accept.Policy.MinCell, Rounding: q.accept.Policy.Rounding}
		if asked, err = figures.Of(tally, q.request, committed.Commitment, limits); err != nil {
			return err
		}
		if w.Tables, err = committed.Tables(); err != nil {
			return err
		}
		w.TotalsSalts, w.Salt, err = committed.Salts(q.id)
		return err
	}); err != nil {
		return w, err
	}
	w.Plan, w.Terms = asked.Plan, asked.Terms
	totals, err := w.Totals(proving.Results.Circuits[1])
	if err != nil {
		return w, fmt.Errorf("total figures of question %s: %w", q.id, err)
	}
	w.Terms.Withheld = asked.Unused(tally)
	least := big.NewInt(int64(w.Terms.MinCount))
	for i, cell := range totals {
		if cell.Count.Cmp(least) < 0 {
			w.Terms.Withheld |= 1 << i
		}
	}
	return w, nil
}

// released returns the digest that fixes the figures before anybody knows a sum with them,
// nil for a question that asks for no proof of them.
func (p *Peer) released(ctx context.Context, q question, proving Proving) (*protocol.Commitment, error) {
	if !q.proves() {
		return nil, nil
	}
	witness, err := p.figures(ctx, q, proving)
	if err != nil {
		return nil, err
	}
	_, digest, err := witness.Figures(proving.Results.Circuits[1], proving.Results.Circuits[2])
	if err != nil {
		return nil, fmt.Errorf("commit to the figures: %w", err)
	}
	return &digest, nil
}

// proveResult returns the signed proof of a question's figures, as [Peer.prove] does that of
// the access.
func (p *Peer) proveResult(ctx context.Context, q question) (json.RawMessage, error) {
	switch {
	case !q.proves():
		return nil, ErrTask
	case q.proved != nil:
		return q.proved, nil
	case q.step < maskOrdinal:
		return nil, ErrNotMasked
	}
	leave, err := p.lane.enter(ctx)
	if err != nil {
		return nil, fmt.Errorf("wait to prove figures of question %s: %w", q.id, err)
	}
	defer leave()
	ctx = context.WithoutCancel(ctx)
	proving, err := p.cfg.Proving()
	if err != nil {
		return nil, err
	}
	witness, err := p.figures(ctx, q, proving)
	if err != nil {
		return nil, err
	}
	result, err := proving.Results.Prover.Result(ctx, witness)
	if err != nil {
		return nil, fmt.Errorf("prove figures of question %s: %w", q.id, err)
	}
	proved := protocol.Proved{Query: q.id, Node: p.cfg.Key.DID(), Circuits: proving.Results.Keys}
	if err := p.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		committed, err := p.cfg.Columns.Before(ctx, tx, q.design.ID, q.request.Dataset, q.ask.LedgerIndex)
		if err == nil {
			proved.Columns, err = committed.Digest()
		}
		return err
	}); err != nil {
		return nil, err
	}
	envelope, err := message.Seal(p.cfg.Key, protocol.KindProved, figures.Document(proved, result), p.cfg.Now(), accessLife, rand.Reader)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(envelope)
	if err != nil {
		return nil, err
	}
	return raw, p.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		if _, err := tx.Exec(ctx, `UPDATE peer_question SET proved = ? WHERE query = ? AND proved IS NULL`, raw, q.id.String()); err != nil {
			return err
		}
		return p.cfg.Trail.Add(ctx, tx, audit.Record{At: p.cfg.Now(), Event: audit.ResultProved, Subject: q.id.String()})
	})
}
