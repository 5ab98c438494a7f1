package release

import "context"

// nested refuses if the cells of one question, subtracted from a number of
// another that they lie inside, would leave fewer persons than the policy
// allows, but some. Asked by sex and age, and then by sex alone, the cells that
// were withheld the first time would come out, though no two sets are alike.
func (d decision) nested(ctx context.Context, sets []measureSet) error {
	if d.q.Policy.MinDifference <= 1 {
		return nil
	}
	measures := make(map[string][]measureSet)
	for _, s := range sets {
		measures[s.measure] = append(measures[s.measure], s)
	}
	for measure, fresh := range measures {
		if err := d.nestedIn(ctx, measure, fresh); err != nil {
			return err
		}
	}
	return nil
}

// nestedIn compares the new sets of a measure with those of each earlier
// question, which it holds one at a time.
func (d decision) nestedIn(ctx context.Context, measure string, fresh []measureSet) error {
	rows, err := d.tx.Query(ctx, `SELECT query, cell, members FROM release_set WHERE measure = ? ORDER BY query`, measure)
	if err != nil {
		return err
	}
	defer rows.Close()
	var question string
	var earlier []measureSet
	least := d.q.Policy.MinDifference
	leaks := func() bool { return leaves(fresh, earlier, least) || leaves(earlier, fresh, least) }
	for rows.Next() {
		var next string
		var raw []byte
		s := measureSet{measure: measure}
		if err := rows.Scan(&next, &s.cell, &raw); err != nil {
			return err
		}
		if s.members, err = parseSet(raw); err != nil {
			return err
		}
		if next != question {
			if leaks() {
				return ErrDifference
			}
			question, earlier = next, nil
		}
		earlier = append(earlier, s)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if leaks() {
		return ErrDifference
	}
	return nil
}

// leaves reports whether the cells of one question leave fewer than least
// persons, but some, of a number of another when those inside it are taken away.
// Cells of one question have nobody in common.
func leaves(wholes, cells []measureSet, least int) bool {
	for _, whole := range wholes {
		left := len(whole.members)
		for _, c := range cells {
			if c.cell != unionCell && c.members.within(whole.members) {
				left -= len(c.members)
			}
		}
		if left > 0 && left < least && left < len(whole.members) {
			return true
		}
	}
	return false
}
