package release

import (
	"context"
	"strings"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// A value that is held in two places has two measures, whose sums are subtracted all the same: a mean of
// all, and one of a copy that few lack. Values are kept as hashes of person and value, whatever the measure,
// so that a copy shows by itself, and two variables of the same persons have next to none in common.

// uncopied refuses if a sum of the answer is of nearly the values of another measure's, of the answer or
// of an earlier one.
func (d *decision) uncopied(ctx context.Context, sets []measureSet) error {
	least := d.q.Policy.MinDifference * perPerson(valuesOf)
	var fresh []measureSet
	for _, s := range sets {
		if strings.HasPrefix(s.measure, valuesOf) && !s.withheld && !s.hidden && !s.choice {
			fresh = append(fresh, s)
		}
	}
	if len(fresh) == 0 || d.q.Policy.MinDifference <= 1 {
		return nil
	}
	for i, s := range fresh {
		for _, other := range fresh[:i] {
			if other.measure != s.measure && copies(s.members, other.members, least) {
				return d.copied(s)
			}
		}
	}
	earlier, err := d.sizesOfValues(ctx)
	if err != nil {
		return err
	}
	for _, e := range earlier {
		var sets []set // once they are needed
		for _, s := range fresh {
			if s.measure == e.measure || !alike(len(s.members), e.size, least) {
				continue
			}
			if sets == nil {
				if sets, err = d.valuesBefore(ctx, e); err != nil {
					return err
				}
			}
			for _, other := range sets {
				if copies(s.members, other, least) {
					return d.copied(s)
				}
			}
		}
	}
	return nil
}

func (d *decision) copied(s measureSet) error {
	return ErrDifference.With(d.answer.named(s.measure, s.cell) + ", nearly all of which are those of another column, of this question or an earlier one; ask for one of the two")
}

// alike reports whether two sets of so many elements may differ by fewer than least.
func alike(one, other, least int) bool { return one-least < other && other < one+least }

// copies reports whether two sets of values differ by some, but fewer than least elements. Those of two variables
// have persons in common, which are half of the elements, and no values.
func copies(one, other set, least int) bool {
	if !alike(len(one), len(other), least) {
		return false
	}
	only, others := one.differences(other)
	return 0 < only+others && only+others < min(least, len(one)/2)
}

// sizedValues are sets of values of a measure.
type sizedValues struct {
	measure string
	size    int
}

// sizesOfValues returns of which measures and how many values sums were, which the index of sets tells.
func (d *decision) sizesOfValues(ctx context.Context) (list []sizedValues, err error) {
	err = d.tx.Each(ctx, `SELECT DISTINCT measure, size FROM release_set WHERE measure LIKE ?`, []any{valuesOf + "%"}, func(rows *sqldb.Rows) error {
		var v sizedValues
		err := rows.Scan(&v.measure, &v.size)
		list = append(list, v)
		return err
	})
	return list, err
}

func (d *decision) valuesBefore(ctx context.Context, v sizedValues) (list []set, err error) {
	err = d.tx.Each(ctx, `SELECT DISTINCT members FROM release_set WHERE measure = ? AND size = ? AND withheld = ?`,
		[]any{v.measure, v.size, shownSet}, func(rows *sqldb.Rows) error {
			var raw []byte
			if err := rows.Scan(&raw); err != nil {
				return err
			}
			s, err := parseSet(raw)
			list = append(list, s)
			return err
		})
	return list, err
}
