package release

import (
	"context"

	"github.com/trialmesh/trialmesh/localstore/omop"
)

// Whoever asks chooses the range outside of which a person has no value, so a range is a cut like
// the criterion of a cohort: who is in the cohort of those up to 101, and not within a range to 100, lies between.

// Range says of some persons, whom numbers of the answer are about, where their values lie.
type Range struct {
	Column  string
	Within  []omop.PersonID
	Outside []omop.PersonID // those with a value; who has none is in neither
}

// The measures of the two parts of a range, which share their cell.
const (
	withinRange  = "within a range"
	outsideRange = "outside of a range"
)

// unranged refuses if few persons lie outside of a range of the answer's, or between one and those
// whom counts are about, of this answer or earlier ones. It returns what is to be kept of the ranges.
func (d *decision) unranged(ctx context.Context, a Answer, sets []measureSet) (keep []measureSet, err error) {
	least := d.q.Policy.MinDifference
	for i, r := range a.Ranges {
		within, err := newSet(r.Within)
		if err != nil {
			return nil, err
		}
		outside, err := newSet(r.Outside)
		if err != nil {
			return nil, err
		}
		keep = append(keep,
			measureSet{measure: withinRange, cell: i, members: within, choice: true}, measureSet{measure: outsideRange, cell: i, members: outside, choice: true})
		if least <= 1 {
			continue
		}
		if 0 < len(outside) && len(outside) < least {
			return nil, ErrOdd.With(r.Column + ", outside of whose low and high lie the values of some; widen them to hold everybody's")
		}
		refusal := ErrChoice.With(r.Column + ", whose low or high lies close to a criterion of a cohort that was asked about; take the same value, or one that holds everybody's")
		counted, err := d.earlier(ctx, Membership)
		if err != nil {
			return nil, err
		}
		for _, part := range [][2]set{{within, outside}, {outside, within}} {
			for earlier := range counted.near(len(part[0]), least) {
				if earlier.withheld == shownSet && between(earlier.members, part[0], part[1], least) {
					return nil, refusal
				}
			}
			for _, s := range sets {
				if s.counts() && between(s.members, part[0], part[1], least) {
					return nil, refusal
				}
			}
		}
	}
	if least <= 1 {
		return keep, nil
	}
	for _, s := range sets {
		if !s.counts() {
			continue
		}
		for _, part := range [][2]string{{withinRange, outsideRange}, {outsideRange, withinRange}} {
			found, err := d.besideRange(ctx, s.members, part[0], part[1])
			if err != nil {
				return nil, err
			}
			if found {
				return nil, errBetween
			}
		}
	}
	return keep, nil
}

// counts reports whether the set is behind a count that is shown.
func (s measureSet) counts() bool { return s.measure == Membership && !s.withheld && !s.hidden }

// besideRange reports whether few persons lie between a set and a part of an earlier range. There are
// as many ranges as there are columns in all questions, so only those of about its size are read.
func (d *decision) besideRange(ctx context.Context, s set, part, rest string) (found bool, err error) {
	least := d.q.Policy.MinDifference
	rows, err := d.tx.Query(ctx, `SELECT p.members, r.members FROM release_set p JOIN release_set r ON r.query = p.query AND r.cell = p.cell AND r.measure = ?
		WHERE p.measure = ? AND p.size > ? AND p.size < ?`, rest, part, len(s)-least, len(s)+least)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	for !found && rows.Next() {
		var raw [2][]byte
		if err := rows.Scan(&raw[0], &raw[1]); err != nil {
			return false, err
		}
		var of [2]set
		for i := range raw {
			if of[i], err = parseSet(raw[i]); err != nil {
				return false, err
			}
		}
		found = between(s, of[0], of[1], least)
	}
	return found, rows.Err()
}

// between reports whether a set and a part of a range differ by fewer than least persons, some of whom
// lie on the other side of it: those in the set who have no value do not count.
func between(s, part, rest set, least int) bool {
	only, others := s.differences(part)
	if only+others == 0 || only+others >= least {
		return false
	}
	without, _ := s.differences(rest)
	return others > 0 || without < len(s)
}
