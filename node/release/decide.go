package release

import (
	"context"
	"errors"
	"time"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// decision is one question before the gate, inside one transaction.
type decision struct {
	tx  *sqldb.Tx
	q   Question
	now time.Time
}

// unionCell is the place of the union of a question's released cells.
const unionCell = -1

func (d decision) decide(ctx context.Context, a Answer) (Released, error) {
	used, err := newSet(a.Used)
	if err != nil {
		return Released{}, err
	}
	if earlier, found, err := d.repeat(ctx, used); found || err != nil {
		return earlier, err
	}
	if err := d.budget(ctx); err != nil {
		return Released{}, err
	}
	table, err := d.suppress(a.Table)
	if err != nil {
		return Released{}, err
	}
	sets, err := releasedSets(table, a)
	if err != nil {
		return Released{}, err
	}
	if err := d.compare(ctx, sets); err != nil {
		return Released{}, err
	}
	if err := d.nested(ctx, sets); err != nil {
		return Released{}, err
	}
	words, err := analysis.Encode(table)
	if err != nil {
		return Released{}, err
	}
	if err := d.remember(ctx, words, used, sets); err != nil {
		return Released{}, err
	}
	return Released{words: words, used: a.Used}, nil
}

// repeat answers a question that was answered before with the same numbers, as
// long as everyone in them may still be used. Once enough persons have come or
// gone for a new answer to give nobody away, the question counts as new.
func (d decision) repeat(ctx context.Context, used set) (Released, bool, error) {
	policy, err := policyText(d.q.Policy)
	if err != nil {
		return Released{}, false, err
	}
	var words, before []byte
	err = d.tx.QueryRow(ctx, `SELECT words, used FROM release WHERE question = ? AND rule = '' AND policy = ?
		ORDER BY released_at DESC, query LIMIT 1`, d.q.Same.String(), policy).Scan(&words, &before)
	if errors.Is(err, sqldb.ErrNoRows) {
		return Released{}, false, nil
	}
	if err != nil {
		return Released{}, false, err
	}
	earlier, err := parseSet(before)
	if err != nil {
		return Released{}, false, err
	}
	gone, come := earlier.differences(used)
	switch {
	case gone == 0 && come < max(d.q.Policy.MinDifference, 1):
		r, err := restore(words, before)
		if err != nil {
			return Released{}, false, err
		}
		return r, true, d.remember(ctx, r.words, earlier, nil)
	case gone+come < d.q.Policy.MinDifference:
		return Released{}, false, ErrChanged
	}
	return Released{}, false, nil
}

// budget counts the different questions of the researcher that were decided on
// the data, each once for every policy it was asked under. Refusals count too: a
// caller who may raise the threshold could read a count off where they begin.
func (d decision) budget(ctx context.Context) error {
	if d.q.Policy.MaxQuestions == 0 {
		return nil
	}
	var n int
	policy, err := policyText(d.q.Policy)
	if err != nil {
		return err
	}
	if err := d.tx.QueryRow(ctx, `SELECT count(*) FROM (SELECT DISTINCT question, policy FROM release
		WHERE researcher = ? AND trial = ? AND rule <> ? AND NOT (question = ? AND policy = ?)) AS others`,
		d.q.Researcher, d.q.Trial, ErrBudget.Rule, d.q.Same.String(), policy).Scan(&n); err != nil {
		return err
	}
	if n >= d.q.Policy.MaxQuestions {
		return ErrBudget
	}
	return nil
}

// suppress withholds small and dominated cells and rounds counts. A count that
// would round to less than the threshold is withheld too: with 11 and 5, a
// released 10 would be a number below the threshold and give away 11 or 12.
func (d decision) suppress(t analysis.Table) (analysis.Table, error) {
	out := analysis.Table{Cells: make([]analysis.Cell, len(t.Cells))}
	released := 0
	for i, c := range t.Cells {
		switch {
		case c.N > 0 && c.N < int64(d.q.Policy.MinCell), dominated(c, d.q.Policy.MaxShare):
			c = c.Withhold()
		case len(c.Sums) == 0:
			if c = c.Round(int64(d.q.Policy.Rounding)); c.N < int64(d.q.Policy.MinCell) && t.Cells[i].N > 0 {
				c = c.Withhold()
			}
		}
		if !c.Withheld && c.N > 0 {
			released++
		}
		out.Cells[i] = c
	}
	if released == 0 {
		return out, ErrCells
	}
	return out, nil
}

// dominated reports whether one person has more than the allowed share, in
// percent, of a cell's sum. A cell of one measured person is always dominated.
func dominated(c analysis.Cell, maxShare int) bool {
	return maxShare > 0 && c.N > 0 && 100*c.Largest > float64(maxShare)
}

// measureSet is a set of persons that a released number is about.
type measureSet struct {
	measure string
	cell    int
	members set
}

// releasedSets returns the sets behind the cells that are released, and their
// union per measure.
func releasedSets(t analysis.Table, a Answer) ([]measureSet, error) {
	var sets []measureSet
	for measure, cells := range a.Sets {
		if len(cells) != len(t.Cells) {
			return nil, errors.New("release: the answer's sets and cells do not match")
		}
		var all set
		for i, persons := range cells {
			if t.Cells[i].Withheld || len(persons) == 0 {
				continue
			}
			s, err := newSet(persons)
			if err != nil {
				return nil, err
			}
			sets = append(sets, measureSet{measure, i, s})
			all = union(all, s)
		}
		sets = append(sets, measureSet{measure, unionCell, all})
	}
	return sets, nil
}

// compare refuses if a number could be subtracted from an earlier one of the
// same measure to leave fewer persons than the policy allows, but some.
func (d decision) compare(ctx context.Context, sets []measureSet) error {
	least := d.q.Policy.MinDifference
	if least <= 1 {
		return nil
	}
	for _, s := range sets {
		// Sets whose sizes differ by least or more differ by at least as much.
		rows, err := d.tx.Query(ctx, `SELECT members FROM release_set WHERE measure = ? AND size BETWEEN ? AND ?`,
			s.measure, len(s.members)-least+1, len(s.members)+least-1)
		if err != nil {
			return err
		}
		for rows.Next() {
			var raw []byte
			if err := rows.Scan(&raw); err != nil {
				rows.Close()
				return err
			}
			earlier, err := parseSet(raw)
			if err != nil {
				rows.Close()
				return err
			}
			only, others := s.members.differences(earlier)
			if n := only + others; n > 0 && n < least {
				rows.Close()
				return ErrDifference
			}
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return err
		}
	}
	return nil
}

func (d decision) remember(ctx context.Context, words []uint64, used set, sets []measureSet) error {
	if err := d.insert(ctx, "", "", wordsToBytes(words), used.bytes()); err != nil {
		return err
	}
	for _, s := range sets {
		if _, err := d.tx.Exec(ctx, `INSERT INTO release_set (query, measure, cell, size, members) VALUES (?, ?, ?, ?, ?)`,
			d.q.ID.String(), s.measure, s.cell, len(s.members), s.members.bytes()); err != nil {
			return err
		}
	}
	return nil
}

func (d decision) refuse(ctx context.Context, why *problem.Error) error {
	return d.insert(ctx, why.Rule, why.Public, nil, nil)
}

func (d decision) insert(ctx context.Context, rule, public string, words, used []byte) error {
	policy, err := policyText(d.q.Policy)
	if err != nil {
		return err
	}
	_, err = d.tx.Exec(ctx, `INSERT INTO release (query, question, trial, researcher, policy, rule, public, words, used, released_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, d.q.ID.String(), d.q.Same.String(), d.q.Trial, d.q.Researcher,
		policy, rule, public, words, used, d.now.Unix())
	return err
}
