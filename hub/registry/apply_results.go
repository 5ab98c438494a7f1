package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/columns"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/zk/figures"
)

// Why the registry refuses committed columns, or a proof of figures over them.
var (
	ErrColumnsOrder   = problem.Refusal("columns.order", "a commitment to columns must be signed by its node and follow the one before it")
	ErrColumnsUnknown = problem.Refusal("result.columns", "the node had committed to no columns of the data set before the question")
	ErrColumnsOld     = problem.Refusal("result.columns-newest", "the proof is over other columns than those that the node had committed to last before the question")
	ErrFiguresUnasked = problem.Refusal("result.not-asked", "nobody asked the node to prove figures of this question")
	ErrFigures        = problem.Refusal("result.figures", "the proof is not about the figures that the node fixed with its numbers")
	ErrFiguresProof   = problem.Refusal("result.proof", "the proof of the node's figures does not verify")
)

// Columns is a recorded commitment.
type Columns struct {
	columns.Commitment
	Digest      message.Digest
	LedgerIndex int64
}

func (s step) commitColumns(c CommitColumns) (Outcome, error) {
	committed, err := message.Open[columns.Commitment](c.Envelope, columns.Kind, s.at)
	if err != nil {
		return Outcome{}, err
	}
	digest, err := committed.Digest()
	if err != nil {
		return Outcome{}, err
	}
	last, err := columnsOf(s.ctx, s.tx, committed.Trial, committed.Node, committed.Dataset, -1)
	if err != nil {
		return Outcome{}, err
	}
	if c.Envelope.Issuer == committed.Node && last.Digest == digest {
		return Outcome{LedgerIndex: last.LedgerIndex, Existed: true}, nil
	}
	if err := committed.Validate(); err != nil {
		return Outcome{}, err
	}
	if enrolled, err := s.enrolled(committed.Node); err != nil || !enrolled {
		return Outcome{}, firstError(err, ErrNodeUnknown)
	}
	_, design, err := trialOf(s.ctx, s.tx, committed.Trial)
	if err != nil {
		return Outcome{}, err
	}
	switch {
	case !slices.Contains(design.Nodes, committed.Node):
		return Outcome{}, trial.ErrNode
	case c.Envelope.Issuer != committed.Node, committed.Number != last.Number+1, committed.Revises != last.Digest:
		return Outcome{}, ErrColumnsOrder
	}
	document, out, err := s.record(entry.ColumnsCommitted, committed.Node, columns.Subject(committed.Trial, committed.Dataset), c.Envelope)
	if err != nil {
		return Outcome{}, err
	}
	_, err = s.tx.Exec(s.ctx, `INSERT INTO columns_committed (digest, document, trial, node, dataset, number, ledger_index) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		digest.String(), document.String(), committed.Trial, committed.Node, committed.Dataset, int64(committed.Number), out.LedgerIndex)
	return out, err
}

// columnsOf returns a node's last commitment to a data set before a place on the ledger, or
// at all if that is -1, and a zero one if there is none.
func columnsOf(ctx context.Context, tx *sqldb.Tx, id trial.ID, node identity.DID, dataset string, before int64) (Columns, error) {
	var c Columns
	var digest, document string
	err := tx.QueryRow(ctx, `SELECT digest, document, ledger_index FROM columns_committed WHERE trial = ? AND node = ? AND dataset = ?
		AND (? < 0 OR ledger_index < ?) ORDER BY number DESC LIMIT 1`, id, node, dataset, before, before).Scan(&digest, &document, &c.LedgerIndex)
	if errors.Is(err, sqldb.ErrNoRows) {
		return Columns{}, nil
	}
	if err != nil {
		return c, err
	}
	if err := c.Digest.UnmarshalText([]byte(digest)); err != nil {
		return c, err
	}
	envelope, err := documentAs[message.Envelope](ctx, tx, document)
	if err != nil {
		return c, err
	}
	c.Commitment, err = message.Stored[columns.Commitment](envelope, columns.Kind)
	return c, err
}

func (s step) recordResult(c RecordResult) (Outcome, error) {
	proved, err := message.Open[query.Proved](c.Envelope, query.KindProved, s.at)
	if err != nil {
		return Outcome{}, err
	}
	if c.Envelope.Issuer != proved.Node {
		return Outcome{}, ErrNotAsked
	}
	if known, err := s.exists(`SELECT 1 FROM result_proof WHERE query = ? AND node = ?`, proved.Query.String(), proved.Node); err != nil || known {
		return silent(true), err
	}
	if err := s.checkResult(proved); err != nil {
		return Outcome{}, err
	}
	document, out, err := s.record(entry.ResultProved, proved.Node, proved.Query.String(), c.Envelope)
	if err != nil {
		return Outcome{}, err
	}
	_, err = s.tx.Exec(s.ctx, `INSERT INTO result_proof (query, node, document, ledger_index) VALUES (?, ?, ?, ?)`,
		proved.Query.String(), proved.Node, document.String(), out.LedgerIndex)
	return out, err
}

// checkResult compares a proof of figures with the question, the answer that it belongs to,
// the epoch and the columns that it builds on, then verifies it.
func (s step) checkResult(proved query.Proved) error {
	question, err := questionOf(s.ctx, s.tx, proved.Query)
	if err != nil {
		return err
	}
	if question.Result == nil {
		return problem.New(problem.Conflict, "the question has no answer yet")
	}
	i := slices.IndexFunc(question.Result.Answered, func(a query.Answered) bool { return a.Node == proved.Node })
	if i < 0 {
		return ErrNotAsked
	}
	answered := question.Result.Answered[i]
	if answered.Figures == nil || question.Result.Repeats != nil {
		return ErrFiguresUnasked
	}
	if answered.Figures.Released != proved.Released {
		return ErrFigures
	}
	committed, err := columnsOf(s.ctx, s.tx, question.Request.Trial, proved.Node, question.Request.Dataset, question.LedgerIndex)
	if err != nil {
		return err
	}
	switch {
	case committed.Number == 0:
		return ErrColumnsUnknown
	case committed.Digest != proved.Columns:
		return ErrColumnsOld
	}
	epoch, err := s.answeredUnder(question, proved.Node, answered.Epoch)
	if err != nil {
		return err
	}
	by, err := s.provedBy(epoch, proved.Circuits)
	if err != nil {
		return err
	}
	venue, err := venueOf(s.ctx, s.tx)
	if err != nil {
		return err
	}
	statement := figures.Statement{
		Request: question.Request, Epoch: epoch.Epoch, Columns: committed.Commitment,
		Limits: figures.Limits{MinCell: answered.AtLeast, Rounding: answered.Figures.Rounding},
		Used:   answered.Commitment, Released: answered.Figures.Released,
	}
	if statement.Hash, err = venue.Hash(proved.Node, proved.Query); err != nil {
		return err
	}
	if err := s.proofs.CheckResult(by, proved, statement); err != nil {
		return fmt.Errorf("%w: %w", ErrFiguresProof, err)
	}
	return nil
}

// provedBy returns the registered circuits of a proof of figures, the cover of the epoch's size.
func (s step) provedBy(e Epoch, p query.ProvedBy) (by figures.Circuits, err error) {
	if by.Cover, err = circuitOf(s.ctx, s.tx, p.Cover); err != nil {
		return by, err
	}
	if by.Aggregate, err = circuitOf(s.ctx, s.tx, p.Aggregate); err != nil {
		return by, err
	}
	if by.Release, err = circuitOf(s.ctx, s.tx, p.Release); err != nil {
		return by, err
	}
	consents, err := circuitOf(s.ctx, s.tx, e.Circuit)
	if err != nil {
		return by, err
	}
	return by, sameSize(consents, by.Cover)
}

// ResultProofs returns the nodes whose proofs of a question's figures are recorded.
func (r *Reader) ResultProofs(ctx context.Context, id query.ID) ([]identity.DID, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) ([]identity.DID, error) {
		return collect(ctx, tx, func(rows *sqldb.Rows) (node identity.DID, err error) {
			return node, rows.Scan(&node)
		}, `SELECT node FROM result_proof WHERE query = ? ORDER BY ledger_index`, id.String())
	})
}
