// Package figures says what the proof of a node's figures has to be about.
//
// [Of] turns a question into the plan and the terms of the circuits, over the columns that a
// node committed to; a [Statement] adds consents and limits and gives the public inputs.
// Node, hub and every later reader use both, so that nothing of what is proved is the node's
// word: they follow from the question, the ledger and the limits alone. The package reads no
// store and no clock.
package figures

import (
	"errors"
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/columns"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/verifier"
)

// Why figures of a question cannot be proved over some committed columns.
var (
	ErrColumn = problem.Refusal("proof.column", "the node has not committed to a column as the question asks for it")
	ErrSize   = problem.Refusal("proof.size", "the network's circuits hold fewer columns or groups than the question has: ask for fewer, or without proof")
)

// Limits are those of the node's policy that bound its figures.
type Limits struct {
	MinCell  int // the fewest records of a cell that is released
	Rounding int // of counts in tables; 0 or 1 for none
}

// Asked are the figures that a question asks of a node.
type Asked struct {
	Plan  circuits.Plan
	Terms circuits.Terms // all but what is withheld

	// Values are the columns summed, and Levels those of the column that makes groups, nil
	// for one group of everybody. Cell g·(tally's values) + v is of level g and value v.
	Values []string
	Levels []string
}

// rows is the column of who has a row: a value of 0.
const rows = 0

// Of returns what a question asks over committed columns, for circuits of a tally.
func Of(t circuits.Tally, r query.Request, c columns.Commitment, l Limits) (Asked, error) {
	if r.Proof != query.ProofResult || r.Dataset != c.Dataset || r.Trial != c.Trial {
		return Asked{}, errors.New("figures: the question asks for no proof over these columns")
	}
	a := Asked{Plan: circuits.Plan{Group: rows}, Terms: circuits.Terms{MinCount: uint32(l.MinCell)}}
	exact := circuits.Rule{Unit: 1}
	var by string
	switch s := r.Analysis.Specs; r.Analysis.Kind {
	case query.Count:
		a.Terms.Count.Unit = uint32(max(l.Rounding, 1))
	case query.Incidence:
		a.Values, by = []string{s.Incidence.Events, s.Incidence.Time}, s.Incidence.By
		a.Terms.Count, a.Terms.Sum = exact, exact
	case query.Prevalence:
		a.Values, by = []string{s.Prevalence.Property}, s.Prevalence.By
		a.Terms.Count, a.Terms.Sum = exact, exact
	case query.Describe:
		a.Values, by = s.Describe.Values, s.Describe.By
		a.Terms.Count, a.Terms.Sum, a.Terms.Squares = exact, exact, exact
	default:
		return Asked{}, errors.New("figures: not a kind of question whose figures can be proved")
	}
	if err := a.plan(t, r, c, by); err != nil {
		return Asked{}, err
	}
	return a, nil
}

// plan says which columns group, are summed and select: persons count who have a row and miss
// none of the values. What a question has less than the circuit, it has twice.
func (a *Asked) plan(t circuits.Tally, r query.Request, c columns.Commitment, by string) error {
	everybody := circuits.Condition{Column: rows}
	var values []uint8
	var conditions []circuits.Condition
	for _, name := range a.Values {
		at, column, err := find(r, c, name)
		if err != nil {
			return err
		}
		low, high := column.Coded()
		values, conditions = append(values, at), append(conditions, circuits.Condition{Column: at, Hi: uint32(high - low)})
	}
	if by != "" {
		at, column, err := find(r, c, by)
		if err != nil {
			return err
		}
		if column.Kind == query.NumericValues {
			return ErrColumn.With(fmt.Sprintf("column %q makes groups and is numeric", by))
		}
		if a.Plan.Group, a.Levels = at, column.Levels; column.Kind == query.LogicalValues {
			a.Levels = []string{"no", "yes"}
		}
	}
	if len(values) > t.Values || len(conditions) > t.Conditions || len(a.Levels) > t.Groups {
		return ErrSize.With(fmt.Sprintf("%d columns and %d groups, of %d and %d", len(values), len(a.Levels), min(t.Values, t.Conditions), t.Groups))
	}
	if len(values) == 0 {
		values = []uint8{rows}
	}
	if len(conditions) == 0 {
		conditions = []circuits.Condition{everybody}
	}
	a.Plan.Values = padded(values, t.Values)
	a.Plan.Conditions = padded(conditions, t.Conditions)
	return nil
}

// padded repeats the last of a list until there are n.
func padded[T any](list []T, n int) []T {
	for len(list) < n {
		list = append(list, list[len(list)-1])
	}
	return list[:n]
}

// find returns the committed column that a question calls by a name, with its number. Its type
// has to be that of the question, as far as values could be left out.
func find(r query.Request, c columns.Commitment, name string) (uint8, columns.Column, error) {
	i := slices.IndexFunc(r.Analysis.Columns, func(a query.Column) bool { return a.Name == name })
	if i < 0 {
		return 0, columns.Column{}, ErrColumn.With(fmt.Sprintf("%q is not among analysis.columns", name))
	}
	asked := r.Analysis.Columns[i]
	k := slices.IndexFunc(c.Columns, func(has columns.Column) bool { return has.Name == asked.DatasetColumn() })
	if k < 0 {
		return 0, columns.Column{}, ErrColumn.With(fmt.Sprintf("column %q; the columns are committed with trialmesh node dataset commit", asked.DatasetColumn()))
	}
	has := c.Columns[k]
	if has.Kind != asked.Kind || has.Domain != asked.Domain || has.Unit != asked.Unit || has.Low < asked.Low || has.High > asked.High ||
		slices.ContainsFunc(has.Levels, func(level string) bool { return !slices.Contains(asked.Levels, level) }) {
		return 0, columns.Column{}, ErrColumn.With(fmt.Sprintf("column %q is committed with another type: ask with the kind, domain, unit, bounds and levels that it has there", asked.DatasetColumn()))
	}
	return uint8(k + 1), has, nil
}

// Unused returns the cells of groups that no level has: they hold nobody and are never released.
func (a Asked) Unused(t circuits.Tally) uint64 {
	var cells uint64
	for cell := max(len(a.Levels), 1) * t.Values; cell < t.Cells(); cell++ {
		cells |= 1 << cell
	}
	return cells
}

// Missing names the levels that a node's figures leave out; "everybody" without levels.
func (a Asked) Missing(t circuits.Tally, withheld uint64) (levels []string) {
	for g := range max(len(a.Levels), 1) {
		if withheld>>(g*t.Values)&(1<<t.Values-1) == 0 {
			continue
		}
		if a.Levels == nil {
			return []string{"everybody"}
		}
		levels = append(levels, a.Levels[g])
	}
	return levels
}

// Shown reports whether a node's figures show anything: else a proof of them proves none.
func (a Asked) Shown(t circuits.Tally, withheld uint64) bool {
	return (withheld | a.Unused(t)) != 1<<t.Cells()-1
}

// Statement is all that a reader knows before it looks at a proof of a node's figures.
type Statement struct {
	Request query.Request

	// Epoch is the consent epoch that the node answered under and Columns its newest
	// commitment, both of before the question.
	Epoch   consent.Epoch
	Columns columns.Commitment

	// Hash binds the proof to question, node and venue: query.Venue.Hash.
	Hash consent.Element

	Limits Limits

	// Used and Released are what the node sent with its numbers.
	Used, Released query.Commitment
}

// errMismatch says that a proof is about something else than the statement.
var errMismatch = errors.New("the proof is not about the figures, records or columns of the node's answer")

// Check returns the question that a proof of the statement answers, and the proof as the
// verifier takes it, for circuits of a shape and a tally.
func (s Statement) Check(shape circuits.Shape, t circuits.Tally, p query.Proved) (verifier.ResultQuestion, verifier.Result, error) {
	var q verifier.ResultQuestion
	var r verifier.Result
	digest, err := s.Columns.Digest()
	if err != nil {
		return q, r, err
	}
	if p.Columns != digest || p.Released != s.Released {
		return q, r, errMismatch
	}
	used, err := circuits.UsedDigest(shape, p.Used)
	if err != nil {
		return q, r, err
	}
	if used != s.Used {
		return q, r, errMismatch
	}
	asked, err := Of(t, s.Request, s.Columns, s.Limits)
	if err != nil {
		return q, r, err
	}
	if unused := asked.Unused(t); p.Withheld&unused != unused {
		return q, r, errors.New("the proof shows a group that the question does not have")
	}
	if q, err = s.question(asked); err != nil {
		return q, r, err
	}
	r, err = resultOf(p)
	return q, r, err
}

// question are the public inputs of all proofs.
func (s Statement) question(a Asked) (verifier.ResultQuestion, error) {
	q := verifier.ResultQuestion{QueryHash: s.Hash, Min: uint32(s.Limits.MinCell), Plan: a.Plan, Terms: a.Terms, Data: s.Columns.Shards}
	var err error
	if q.Need, err = s.Request.Scopes(); err != nil {
		return q, err
	}
	if len(s.Epoch.Shards) != len(s.Columns.Shards) {
		return q, fmt.Errorf("the columns are committed for %d shards of participants, and consents for %d", len(s.Columns.Shards), len(s.Epoch.Shards))
	}
	for _, shard := range s.Epoch.Shards {
		q.Matrices = append(q.Matrices, shard.Matrix)
	}
	return q, nil
}

// resultOf reads the proofs of a document.
func resultOf(p query.Proved) (verifier.Result, error) {
	r := verifier.Result{Used: p.Used, Totals: p.Totals, Withheld: p.Withheld, Released: p.Released}
	if len(p.Aggregates) > circuits.MaxShards {
		return r, fmt.Errorf("%d aggregates, a result has up to %d", len(p.Aggregates), circuits.MaxShards)
	}
	var err error
	if r.Cover, err = circuits.NewProof(p.Cover); err != nil {
		return r, fmt.Errorf("cover: %w", err)
	}
	if r.Release, err = circuits.NewProof(p.Release); err != nil {
		return r, fmt.Errorf("release: %w", err)
	}
	for i, raw := range p.Aggregates {
		proof, err := circuits.NewProof(raw)
		if err != nil {
			return r, fmt.Errorf("aggregate %d: %w", i, err)
		}
		r.Aggregates = append(r.Aggregates, proof)
	}
	return r, nil
}

// Document fills in the proofs and commitments of a document.
func Document(p query.Proved, r verifier.Result) query.Proved {
	p.Used, p.Totals, p.Withheld, p.Released = r.Used, r.Totals, r.Withheld, r.Released
	p.Cover, p.Release = r.Cover[:], r.Release[:]
	for _, proof := range r.Aggregates {
		p.Aggregates = append(p.Aggregates, proof[:])
	}
	return p
}

// Circuits are the registered circuits behind a proof of figures.
type Circuits struct{ Cover, Aggregate, Release ledger.Circuit }
