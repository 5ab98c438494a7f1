package omop

import (
	"context"
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// span is a person's observation period in the store.
type span struct {
	start, end Date
	concept    int64
	stored     bool
	stated     bool // by a source: it is not touched
}

// putPeriods widens the observation periods of the persons of the batch that no
// source has stated, and removes them where the batch states some.
func (p *putting) putPeriods(ctx context.Context) error {
	want := map[int64]span{}
	if err := p.findPeriodPersons(ctx); err != nil {
		return err
	}
	if err := lockPersons(ctx, p.tx, p.periodPersons()); err != nil {
		return err
	}
	if err := p.dropMade(ctx); err != nil {
		return err
	}
	for _, o := range p.batch.Periods {
		person, ok := p.persons[o.Person]
		switch {
		case !ok:
			p.refusePeriod(UnknownPerson)
		case o.Start < firstDay || o.End > lastDay || o.End < o.Start:
			p.refusePeriod(DateRange)
		default:
			s, seen := want[person]
			if !seen {
				s = span{start: o.Start, end: o.End, concept: o.TypeConceptID}
			}
			want[person] = span{start: min(s.start, o.Start), end: max(s.end, o.End), concept: s.concept}
		}
	}
	have, err := p.storedPeriods(ctx, want)
	if err != nil {
		return err
	}
	return p.writePeriods(ctx, want, have)
}

// isStated is the condition that a source has stated a row of observation_period.
const isStated = "EXISTS (SELECT 1 FROM lineage stated WHERE stated.row_id = observation_period_id)"

// lockPersons keeps other transactions from the periods of persons, and from merging
// them, until this one ends: a period is read, widened and written. It returns
// [sqldb.ErrConflict] if another has just merged one. SQLite has one writer at a time.
func lockPersons(ctx context.Context, tx *sqldb.Tx, persons []int64) error {
	if tx.Dialect() != sqldb.Postgres || len(persons) == 0 {
		return nil
	}
	cond, arg := tx.Dialect().Among("person_id", persons)
	n, err := tx.Exec(ctx, "SELECT 1 FROM person WHERE "+cond+" ORDER BY person_id FOR UPDATE", arg)
	if err == nil && n < int64(len(persons)) {
		return fmt.Errorf("%w: a person was merged or removed meanwhile", sqldb.ErrConflict)
	}
	return err
}

// periodPersons returns the persons of whom the batch has periods, ascending.
func (p *putting) periodPersons() []int64 {
	var persons []int64
	add := func(key Key) {
		if id, ok := p.persons[key]; ok {
			persons = append(persons, id)
		}
	}
	for _, o := range p.batch.Periods {
		add(o.Person)
	}
	for _, s := range p.batch.Stated {
		add(s.Person)
	}
	slices.Sort(persons)
	return slices.Compact(persons)
}

// dropMade removes what was made from the events of persons of whom a stated period is
// stored.
func (p *putting) dropMade(ctx context.Context) error {
	persons := p.periodPersons()
	if len(p.batch.Stated) == 0 || len(persons) == 0 {
		return nil
	}
	cond, arg := p.tx.Dialect().Among("person_id", persons)
	n, err := p.tx.Exec(ctx, "DELETE FROM observation_period WHERE "+cond+" AND NOT "+isStated+` AND EXISTS (SELECT 1 FROM observation_period s
		JOIN lineage l ON l.row_id = s.observation_period_id WHERE s.person_id = observation_period.person_id)`, arg)
	if n > 0 {
		p.changed.add(persons...)
	}
	return err
}

// refusePeriod lists a period; it has no pointer, being made from many records.
func (p *putting) refusePeriod(r Rule) {
	p.result.Refused = append(p.result.Refused, Refusal{Table: PeriodTable, Rule: r})
}

func (p *putting) findPeriodPersons(ctx context.Context) error {
	rows := make([]row, 0, len(p.batch.Periods))
	for _, o := range p.batch.Periods {
		if _, ok := p.persons[o.Person]; !ok {
			rows = append(rows, Death{Person: o.Person}) // any row that names the person
		}
	}
	return p.findReferences(ctx, DeathTable, rows)
}

func (p *putting) storedPeriods(ctx context.Context, want map[int64]span) (map[int64]span, error) {
	ids := make([]int64, 0, len(want))
	for id := range want {
		ids = append(ids, id)
	}
	cond, arg := p.tx.Dialect().Among("person_id", ids)
	rows, err := p.tx.Query(ctx, `SELECT person_id, observation_period_start_date, observation_period_end_date, `+isStated+`
		FROM observation_period WHERE `+cond, arg)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	have := make(map[int64]span, len(want))
	for rows.Next() {
		var id int64
		s := span{stored: true}
		if err := rows.Scan(&id, &s.start, &s.end, &s.stated); err != nil {
			return nil, err
		}
		have[id] = s
	}
	return have, rows.Err()
}

func (p *putting) writePeriods(ctx context.Context, want, have map[int64]span) error {
	var fresh []int64
	for person, w := range want {
		h := have[person]
		switch {
		case h.stated:
		case !h.stored:
			fresh = append(fresh, person)
		case w.start < h.start || w.end > h.end:
			p.changed.add(person)
			if _, err := p.tx.Exec(ctx, `UPDATE observation_period SET observation_period_start_date = ?, observation_period_end_date = ?
				WHERE person_id = ?`, min(w.start, h.start), max(w.end, h.end), person); err != nil {
				return err
			}
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	p.changed.add(fresh...)
	slices.Sort(fresh)
	ids, err := allocate(ctx, p.tx, len(fresh))
	if err != nil {
		return err
	}
	_, err = p.tx.Insert(ctx, "observation_period",
		[]string{"observation_period_id", "person_id", "observation_period_start_date", "observation_period_end_date", "period_type_concept_id"},
		func(yield func([]any) bool) {
			for i, person := range fresh {
				w := want[person]
				if !yield([]any{ids[i], person, w.start, w.end, w.concept}) {
					return
				}
			}
		})
	return err
}
