package release

import (
	"context"
	"errors"
	"fmt"

	"github.com/trialmesh/trialmesh/federation/analysis"
)

// unionCell is the place of the union of a question's released cells.
const unionCell = -1

// measureSet is a set of persons that a number is about.
type measureSet struct {
	measure string
	cell    int
	members set

	withheld bool   // the number is kept back
	spare    bool   // only so that others do not come out: the mark says nothing of the threshold
	hidden   bool   // no number is about it, but two shown ones would tell it
	choice   bool   // whose values are cut in the way that limits names, see [Choice]
	made     made   // what is known of the set without its number
	limits   string // under which the number is shown or kept back; "" for sets that only come along
}

// judgedSets returns the sets behind the cells that are released and their
// union, per measure, and those behind the cells of the answer's own measure
// that are withheld.
func (d *decision) judgedSets(t analysis.Table, a Answer) ([]measureSet, error) {
	var sets []measureSet
	for measure, cells := range d.behind {
		if len(cells) < len(t.Cells) || len(cells) > len(t.Cells) && a.Frame == nil {
			return nil, errors.New("release: the answer's sets and cells do not match")
		}
		under := ""
		if measure == a.Measure {
			under = limits(d.q.Policy)
		}
		var all set
		for i, s := range cells {
			withheld := i < len(t.Cells) && t.Cells[i].Withheld
			if len(s) == 0 || withheld && measure != a.Measure {
				continue
			}
			sets = append(sets, measureSet{measure: measure, cell: i, members: s, withheld: withheld, spare: withheld && !d.small[i], made: d.made(a, i), limits: under})
			if !withheld {
				all = union(all, s)
			}
		}
		if a.Nested && measure == a.Measure {
			sets = append(sets, d.leavers(a, cells)...)
		}
		if len(all) > 0 {
			sets = append(sets, measureSet{measure: measure, cell: unionCell, members: all, limits: under})
		}
	}
	return append(sets, d.chosen(a)...), nil
}

// compare refuses if a number is about nearly the same persons as an earlier
// one of its measure: the two would be subtracted, or, where one is withheld, the
// step over the threshold would tell. It also refuses if other limits were
// asked for the same persons or nearly the same, released or not: with limits
// to choose, each a comparison, a count could be found like a number in a
// guessing game.
func (d *decision) compare(ctx context.Context, sets []measureSet) error {
	if d.q.Policy.MinDifference <= 1 {
		return nil
	}
	for _, s := range sets {
		if s.hidden {
			continue
		}
		if s.choice {
			if err := d.unchosen(ctx, s); err != nil {
				return err
			}
			continue
		}
		if s.cell == unionCell {
			if err := d.compareOne(ctx, s); err != nil {
				return err
			}
			continue
		}
		key := fmt.Sprint(s.measure, s.cell, s.withheld)
		if _, known := d.compared[key]; !known {
			d.compared[key] = d.compareOne(ctx, s)
		}
		if err := d.compared[key]; err != nil {
			return err
		}
	}
	return nil
}

func (d *decision) compareOne(ctx context.Context, s measureSet) error {
	// Sets whose sizes differ by least or more differ by at least as much.
	least := d.q.Policy.MinDifference * perPerson(s.measure)
	before, err := d.memory.of(ctx, d.tx, s.measure)
	if err != nil {
		return err
	}
	var same, near, beside bool
	for e := range before.near(len(s.members), least) {
		withheld := e.withheld != shownSet
		only, others := s.members.differences(e.members)
		switch n := only + others; {
		case n >= least:
		case s.limits != "" && e.limits != "" && s.limits != e.limits && (n == 0 || s.withheld && withheld):
			return ErrLimits.With(d.answer.named(s.measure, s.cell))
		case n == 0:
			same = true
		case s.spare:
		case !s.withheld && !withheld:
			near = true
		case !s.withheld || !withheld:
			beside = true
		}
	}
	switch {
	case near && !same:
		return ErrDifference.With(d.apart(s.measure, s.cell))
	case beside && !same:
		return ErrNear.With(d.apart(s.measure, s.cell))
	}
	return nil
}

// audit refuses if the released numbers, with those of all earlier questions,
// add up to something about a few persons; see [infers].
func (d *decision) audit(ctx context.Context, sets []measureSet) error {
	if d.q.Policy.MinDifference <= 1 {
		return nil
	}
	if err := d.auditChoices(ctx, sets); err != nil {
		return err
	}
	fresh := make(map[string][]set)
	for _, s := range sets {
		if !s.withheld && !s.hidden && !s.choice && s.cell != unionCell {
			fresh[s.measure] = append(fresh[s.measure], s.members)
		}
	}
	for measure, cells := range fresh {
		before, err := d.memory.of(ctx, d.tx, measure)
		if err != nil {
			return err
		}
		found, err := infersWithin(&d.spent, before.released, cells, d.q.Policy.MinDifference*perPerson(measure))
		if err != nil {
			return err
		}
		if found {
			return ErrDifference
		}
	}
	return nil
}

// What the column "withheld" of a stored set says of its number.
const (
	shownSet    = iota
	withheldSet // in an answer that shows others
	hiddenSet   // there is none; see [measureSet]
	refusedSet  // with its whole answer
)

func (d *decision) insertSets(ctx context.Context, sets []measureSet, refused bool) error {
	for _, s := range sets {
		withheld := shownSet
		switch {
		case s.hidden:
			withheld = hiddenSet
		case s.withheld && refused:
			withheld = refusedSet
		case s.withheld:
			withheld = withheldSet
		}
		if _, err := d.tx.Exec(ctx, `INSERT INTO release_set (query, measure, cell, size, members, withheld, limits, whole, levels)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			d.q.ID.String(), s.measure, s.cell, len(s.members), s.members.bytes(), withheld, s.limits, s.made.whole, s.made.text()); err != nil {
			return err
		}
	}
	return nil
}
