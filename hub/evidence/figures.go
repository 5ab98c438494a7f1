package evidence

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/trialmesh/trialmesh/protocol/columns"
	"github.com/trialmesh/trialmesh/protocol/consent"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/figures"
)

// figures checks that what a node sent as its part of an answer follows from columns that it had
// committed to, over exactly the records that were permitted, if the question asks for it.
func (v *verification) figures(ctx context.Context, q *question, a query.Answered, name string, e *signed[consent.Epoch], sizes circuits.Circuit, sound bool) {
	subject := string(a.Node)
	proofs := v.proofsOfFigures(q, a)
	switch {
	case q.body.Proof == "" && a.Figures == nil && len(proofs) == 0:
		return
	case q.body.Proof == "" || a.Figures == nil:
		v.report.fail(CheckFigures, subject, "%s: the question asks for a proof of figures and the result fixes none, or the other way round", q.resultLeaf.place())
		return
	case len(proofs) != 1:
		v.report.fail(CheckFigures, subject, "the log records %d proofs of the node's figures, not one; a proof may still be on its way", len(proofs))
		return
	}
	s, err := open[query.Proved](ctx, v, proofs[0], query.KindProved)
	if err == nil {
		err = own(nil, s.envelope.Issuer, s.body.Node)
	}
	switch {
	case err != nil:
	case s.index <= q.resultLeaf.index:
		err = errors.New("it is older than the result")
	case s.body.Query != q.id:
		err = errors.New("it is about another question")
	case s.body.Released != a.Figures.Released:
		err = errors.New("it is about other figures than the node fixed with its numbers")
	}
	if err != nil {
		v.report.fail(CheckFigures, subject, "%s: %v", proofs[0].place(), err)
		return
	}
	v.report.pass(CheckFigures, subject, "entry %d holds the node's proof of its figures, signed by the node, and they are those that it fixed with its numbers", s.index)
	committed, err := v.columns(ctx, q, a)
	if err != nil {
		v.report.fail(CheckColumns, subject, "%v", err)
		return
	}
	v.report.pass(CheckColumns, subject, "entry %d holds the node's last commitment before the question to %d columns of the data set %s, number %d",
		committed.index, len(committed.body.Columns), committed.body.Dataset, committed.body.Number)
	if e == nil || !sound {
		v.report.fail(CheckFiguresProof, subject, "%s: the consents that it builds on are not proven", s.place())
		return
	}
	p, err := v.figuresProof(q, a, s, *e, committed.body, sizes)
	switch {
	case err != nil:
		v.report.fail(CheckFiguresProof, subject, "%s: %v", s.place(), err)
		return
	case !p.shown:
		v.report.skip(CheckFiguresProof, subject, fmt.Sprintf("%s: node %s withheld all its figures, so its proof is of none; that there are fewer than %d people in each group is its word", s.place(), name, a.AtLeast))
		return
	}
	withheld := ""
	if len(p.withheld) > 0 {
		withheld = fmt.Sprintf("; the node withheld these groups, and that they have fewer than %d is its word: %s", a.AtLeast, strings.Join(p.withheld, ", "))
	}
	v.report.pass(CheckFiguresProof, subject, "node %s's figures follow from the columns committed at entry %d, over exactly the consented records, added up as the question says and no group below %d%s; %s",
		name, committed.index, a.AtLeast, withheld, p.origin)
}

// proofsOfFigures returns the proofs of a node's figures.
func (v *verification) proofsOfFigures(q *question, a query.Answered) (list []leaf) {
	for _, l := range v.find(entry.ResultProved, q.id.String()) {
		if l.Actor == a.Node {
			list = append(list, l)
		}
	}
	return list
}

// columns returns a node's last commitment to the question's data set before the question.
func (v *verification) columns(ctx context.Context, q *question, a query.Answered) (signed[columns.Commitment], error) {
	var none signed[columns.Commitment]
	var before []leaf
	for _, l := range v.find(entry.ColumnsCommitted, columns.Subject(q.design.ID, q.body.Dataset)) {
		if l.Actor == a.Node && l.index < q.index {
			before = append(before, l)
		}
	}
	if len(before) == 0 {
		return none, fmt.Errorf("the log records no commitment of the node to columns of %s before the question", q.body.Dataset)
	}
	last := before[len(before)-1]
	c, err := open[columns.Commitment](ctx, v, last, columns.Kind)
	if err == nil {
		err = own(c.body.Validate(), c.envelope.Issuer, c.body.Node)
	}
	switch {
	case err != nil:
	case c.body.Trial != q.design.ID || c.body.Dataset != q.body.Dataset:
		err = errSubject
	case c.body.Number != uint64(len(before)):
		err = fmt.Errorf("it is number %d, and %d come before it", c.body.Number, len(before)-1)
	}
	if err != nil {
		return none, fmt.Errorf("%s: %w", last.place(), err)
	}
	return c, nil
}

// provenFigures is what a proof of figures says that verified. The circuit shows no small group
// and lets a node withhold any: that one is small is proven nowhere.
type provenFigures struct {
	withheld []string // groups
	shown    bool     // any figure at all
	origin   string   // of the keys
}

// figuresProof verifies a proof of figures.
func (v *verification) figuresProof(q *question, a query.Answered, s signed[query.Proved], e signed[consent.Epoch], c columns.Commitment, sizes circuits.Circuit) (proven provenFigures, err error) {
	if v.trust.AccessLog == "" {
		return proven, errors.New("the trust document names no AccessLog contract, and a proof is good for one contract only")
	}
	var by figures.Circuits
	p := s.body
	for _, k := range []struct {
		key message.Digest
		to  *entry.Circuit
	}{{p.Circuits.Release, &by.Release}, {p.Circuits.Aggregate, &by.Aggregate}, {p.Circuits.Cover, &by.Cover}} {
		c, from, err := v.circuit(k.key, s.index)
		if err != nil {
			return proven, err
		}
		if *k.to = c; proven.origin == "" || !c.FromCeremony() { // the weakest of the three counts
			proven.origin = from
		}
	}
	if r := a.Figures.Rounding; r < q.design.Disclosure.Rounding || r > q.result.Policy.Rounding {
		return proven, fmt.Errorf("counts are rounded to %d, and the limits are %d to %d", r, q.design.Disclosure.Rounding, q.result.Policy.Rounding)
	}
	cover, err := circuits.ParseCircuit(by.Cover.Shape)
	if err != nil {
		return proven, err
	}
	if cover.Shape().ShardSize != sizes.Shape().ShardSize {
		return proven, fmt.Errorf("circuits %s and %s differ in shard size", cover, sizes)
	}
	statement := figures.Statement{
		Request: q.body, Epoch: e.body, Columns: c, Limits: figures.Limits{MinCell: a.AtLeast, Rounding: a.Figures.Rounding},
		Used: a.Commitment, Released: a.Figures.Released,
	}
	if statement.Hash, err = v.trust.venue().Hash(a.Node, q.id); err != nil {
		return proven, err
	}
	if err := v.proofs.CheckResult(by, p, statement); err != nil {
		return proven, err
	}
	aggregate, err := circuits.ParseCircuit(by.Aggregate.Shape)
	if err != nil {
		return proven, err
	}
	tally := aggregate.Tally()
	asked, err := figures.Of(tally, q.body, c, statement.Limits)
	proven.withheld, proven.shown = asked.Missing(tally, p.Withheld), asked.Shown(tally, p.Withheld)
	return proven, err
}
