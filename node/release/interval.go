package release

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/disclosure"
)

// figure is what was let out about a set of persons: a number, or the mark that
// it is withheld.
type figure struct {
	members  set
	withheld bool
	refused  bool              // withheld with its whole answer, which does not say that anybody is in it
	hidden   bool              // nothing is let out of it; see [decision.leavers]
	exact    bool              // the number is not rounded
	policy   disclosure.Policy // under which
	made     made              // what is known of the set without any number
}

// least is the smallest number of persons that is not withheld for being few.
func (f figure) least() int64 {
	n := least(f.policy)
	for !f.exact && f.withheldAt(n) {
		n++
	}
	return n
}

func (f figure) withheldAt(n int64) bool {
	base := int64(f.policy.Rounding)
	return base > 1 && (n+base/2)/base*base < least(f.policy)
}

// few reports whether the set is withheld for being of few persons. Other sets are
// withheld so that those few do not come out, or for the share of one person.
func (f figure) few() bool { return f.withheld && int64(len(f.members)) < f.least() }

// guarded reports whether nobody may learn more of the set than that it is withheld.
// A set of as many persons as the rules want may come out by subtraction, even if it
// was withheld because it rounds to fewer.
func (f figure) guarded() bool {
	return (f.withheld || f.hidden) && int64(len(f.members)) <= f.top()
}

// top is the greatest number of persons of a figure that is guarded.
func (f figure) top() int64 {
	if f.hidden {
		return int64(f.policy.MinDifference) - 1
	}
	return least(f.policy) - 1
}

// marks bounds the persons by what is shown of the figure but its number.
func (f figure) marks() (lo, hi float64) {
	switch {
	case f.hidden:
		return 0, math.Inf(1)
	case f.refused && f.few():
		return 0, float64(f.least() - 1)
	case f.refused:
		return 0, math.Inf(1)
	case f.few():
		return 1, float64(f.least() - 1)
	case f.withheld:
		return 1, math.Inf(1)
	}
	return float64(f.least()), math.Inf(1)
}

// all bounds the persons by what is shown of the figure.
func (f figure) all() (lo, hi float64) {
	n, base := int64(len(f.members)), int64(f.policy.Rounding)
	switch {
	case f.withheld, f.hidden:
		return f.marks()
	case f.exact || base <= 1:
		return float64(n), float64(n)
	}
	shown := (n + base/2) / base * base
	return float64(max(shown-base/2, f.least())), float64(shown - base/2 + base - 1)
}

// least is the smallest number of persons a cell is shown for before rounding. A
// cell also differs from one with nobody, so it needs the least difference as well.
func least(p disclosure.Policy) int64 { return int64(max(p.MinCell, p.MinDifference)) }

// narrows reports whether the numbers in earlier and fresh figures tell more of
// a set that is withheld for being few than the marks do, and fresh ones add to
// that. Within the policy's interval, from one person to as many as are still
// too few, whoever takes all numbers together must not be able to exclude what
// the marks leave possible.
//
// Who sees that does not know the persons, only which sets are parts of which, and
// solves for the least and the greatest size of a set: a linear program over the
// groups of persons that are in the same sets. Differences of numbers that leave a
// few persons are the business of [infers]; this is about what follows from numbers
// not being negative and withheld ones being small: three withheld cells of ten each
// in a total of thirty are ten each.
//
// Source: Fischetti and Salazar, "Models and algorithms for optimizing cell
// suppression in tabular data with linear constraints", JASA 95(451), 2000, whose
// attacker this is.
//
// It fails with [ErrAudit] if that cannot be told within bounds.
func narrows(earlier, fresh []figure) (bool, error) {
	figures := slices.Concat(earlier, fresh)
	if !slices.ContainsFunc(figures, figure.guarded) {
		return false, nil
	}
	sets := make([]set, len(figures))
	for i, f := range figures {
		sets[i] = f.members
	}
	for _, part := range connected(sets) {
		if tells, err := newView(figures, part, len(earlier)).tellsAny(); tells || err != nil {
			return tells, err
		}
	}
	return false, nil
}

// view is what somebody who takes figures together sees. The programs are made
// when they are needed first.
type view struct {
	figures []figure
	groups  grouping
	earlier int // figures that were let out before

	everything, before *program
	marked             map[string]marked // by whole
}

// newView returns the view of some figures, given by place, of which those before
// earlier were let out before.
func newView(figures []figure, part []int, earlier int) *view {
	v := new(view)
	for _, i := range part {
		v.figures = append(v.figures, figures[i])
		if i < earlier {
			v.earlier++
		}
	}
	return v
}

func (v *view) tellsAny() (bool, error) {
	sets := make([]set, len(v.figures))
	for i, f := range v.figures {
		sets[i] = f.members
	}
	if len(distinct(sets)) == 1 || !slices.ContainsFunc(v.figures, figure.guarded) {
		return false, nil // nothing to take together, or nothing to hide
	}
	if v.groups = groups(sets); len(v.groups.sizes)*len(sets) > maxProgram {
		return false, ErrAudit
	}
	for i, f := range v.figures {
		if !f.guarded() {
			continue
		}
		if tells, err := v.tells(i); tells || err != nil {
			return tells, err
		}
	}
	return false, nil
}

// tells reports whether the fresh figures narrow what the marks say of figure i.
func (v *view) tells(i int) (bool, error) {
	lo, hi, err := v.span(&v.everything, i, len(v.figures), figure.all)
	if err != nil {
		return false, err
	}
	top := float64(v.figures[i].top())
	const slack = 1e-6 // of a person
	if lo <= 1+slack && hi >= top-slack {
		return false, nil
	}
	markLo, markHi, err := v.marks(i)
	if err != nil {
		return false, err
	}
	narrow := func(lo, hi float64) bool { return lo > max(1, markLo)+slack || hi < min(top, markHi)-slack }
	if !narrow(lo, hi) {
		return false, nil
	}
	if i >= v.earlier {
		return true, nil // that its persons were told of under another name is not known
	}
	beforeLo, beforeHi, err := v.span(&v.before, i, v.earlier, figure.all)
	if err != nil {
		return false, err
	}
	return lo > beforeLo+slack || hi < beforeHi-slack, nil
}

func (v *view) span(p **program, i, figures int, of func(figure) (lo, hi float64)) (lo, hi float64, err error) {
	if *p == nil {
		var bounds []bound
		for j, f := range v.figures[:figures] {
			lo, hi := of(f)
			bounds = append(bounds, bound{v.groups.members[j], lo, hi})
		}
		var ok bool
		if *p, ok = newProgram(len(v.groups.sizes), bounds); !ok {
			return 0, 0, ErrAudit
		}
	}
	(*p).pivots = 0
	lo, hi, ok := (*p).span(v.groups.members[i])
	if !ok {
		return 0, 0, ErrAudit
	}
	return lo, hi, nil
}

// margins refuses if the numbers, with earlier ones, bound a withheld cell; see
// [narrows]. They are exact or rounded, and so are earlier ones of the answer's kind.
func (d *decision) margins(ctx context.Context, sets []measureSet, measure string, exact, before bool) error {
	var fresh []figure
	for _, s := range sets {
		if s.measure == measure && s.cell != unionCell {
			fresh = append(fresh, figure{members: s.members, withheld: s.withheld, hidden: s.hidden, exact: exact, policy: d.q.Policy, made: s.made})
		}
	}
	if hides, err := d.hides(ctx, measure, fresh); err != nil || !hides {
		return err
	}
	key := within{measure, before}
	earlier, known := d.within[key]
	if !known {
		var err error
		if earlier, err = d.readWithin(ctx, measure, total(fresh), before); err != nil {
			return err
		}
		d.within[key] = earlier
	}
	found, err := narrows(earlier, fresh)
	if err != nil {
		return err
	}
	if found {
		return ErrMargins.With(fmt.Sprintf("ask for fewer strata, or for those that were asked for before%s", d.ofColumn(measure)))
	}
	return nil
}

// hides reports whether anything of a measure that was kept back, now or before, could be told.
func (d *decision) hides(ctx context.Context, measure string, fresh []figure) (bool, error) {
	if slices.ContainsFunc(fresh, figure.guarded) {
		return true, nil
	}
	before, err := d.earlier(ctx, measure)
	return err == nil && before.hides, err
}

// frameMargins is margins for all that a model shows: exact numbers of each measure. An
// earlier answer of the measure may have been a count, which was rounded, or a sum, which was
// not; the model must do no harm beside either.
func (d *decision) frameMargins(ctx context.Context, sets []measureSet) error {
	done := make(map[string]bool)
	for _, s := range sets {
		if done[s.measure] || s.choice || perPerson(s.measure) > 1 {
			continue
		}
		done[s.measure] = true
		for _, before := range []bool{false, true} {
			if err := d.margins(ctx, sets, s.measure, true, before); err != nil {
				return err
			}
		}
	}
	return nil
}

// within names earlier figures: those of a measure, taken as exact or as rounded.
type within struct {
	measure string
	exact   bool
}

// maxWithin bounds earlier figures times the groups of persons they make, which
// are taken together if they are not all about the persons asked about.
const maxWithin = 1 << 15

// readWithin returns the earlier figures of a measure. Where those would be too
// many to take together it returns those of questions about persons who
// include everybody asked about now, or are among them; and where that is too
// many, of questions about the same.
func (d *decision) readWithin(ctx context.Context, measure string, everybody set, exact bool) ([]figure, error) {
	before, err := d.earlier(ctx, measure)
	if err != nil {
		return nil, err
	}
	var all, nested, same []kept
	for _, question := range before.questions {
		all = append(all, question.figures...)
		outside, missing := question.total.differences(everybody)
		if outside == 0 || missing == 0 {
			nested = append(nested, question.figures...)
		}
		if outside == 0 && missing == 0 {
			same = append(same, question.figures...)
		}
	}
	for _, sets := range [][]kept{all, nested} {
		figures, err := before.figures(sets, exact)
		if err != nil {
			return nil, err
		}
		members := make([]set, len(figures))
		for i, f := range figures {
			members[i] = f.members
		}
		if len(figures)*len(groups(members).sizes) <= maxWithin {
			return figures, nil
		}
	}
	return before.figures(same, exact)
}

// total returns the persons of some figures.
func total(figures []figure) set {
	sets := make([]set, len(figures))
	for i, f := range figures {
		sets[i] = f.members
	}
	return union(sets...)
}
