package omop

import (
	"context"
	"maps"
	"slices"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// removePersons removes the persons whom only replaced passes have made, if nothing names
// them. They may have been left by an earlier sweep, because of rows that went with this one.
func (w *sweeping) removePersons(ctx context.Context, held func(context.Context, *sqldb.Tx, []PersonID) ([]PersonID, error)) error {
	query := "SELECT lineage.row_id FROM load JOIN lineage ON lineage.load_id = load.load_id WHERE load.replaced AND lineage.table_id = ?" +
		" AND NOT EXISTS (SELECT 1 FROM merged_person WHERE person_id = lineage.row_id)"
	for _, t := range tables {
		switch {
		case t == PersonTable, t.ofSite():
		case t == PeriodTable:
			query += " AND NOT EXISTS (SELECT 1 FROM observation_period WHERE person_id = lineage.row_id AND " + isStated + ")"
		default:
			query += " AND NOT EXISTS (SELECT 1 FROM " + specs[t].name + " WHERE person_id = lineage.row_id)"
		}
	}
	gone, err := w.ids(ctx, query, int64(PersonTable))
	if err != nil || len(gone) == 0 {
		return err
	}
	if err := w.lockPersons(ctx, gone); err != nil {
		return err
	}
	if gone, err = w.ids(ctx, query, int64(PersonTable)); err != nil { // somebody may have named one meanwhile
		return err
	}
	ask := make([]PersonID, len(gone))
	for i, id := range gone {
		ask[i] = PersonID{id}
	}
	keep, err := held(ctx, w.tx, ask)
	if err != nil {
		return err
	}
	stays := make(map[PersonID]bool, len(keep))
	for _, id := range keep {
		stays[id] = true
	}
	gone = slices.DeleteFunc(gone, func(id int64) bool { return stays[PersonID{id}] })
	w.changed.add(gone...)
	for chunk := range slices.Chunk(gone, sweepChunk) {
		condition, arg := w.among("person_id", chunk)
		if _, err := w.tx.Exec(ctx, "DELETE FROM observation_period WHERE "+condition, arg); err != nil {
			return err
		}
		if err := w.delete(ctx, PersonTable, chunk, chunk); err != nil {
			return err
		}
		for _, id := range chunk {
			delete(w.persons, id)
		}
	}
	w.swept.Rows += int64(len(gone))
	return nil
}

// findPersons adds the persons of whom the pass has rows: those may have been moved in time.
func (w *sweeping) findPersons(ctx context.Context) error {
	for _, t := range tables {
		if specs[t].start == "" {
			continue
		}
		ids, err := w.ids(ctx, "SELECT DISTINCT t.person_id FROM lineage l JOIN "+specs[t].name+" t ON t."+specs[t].key+" = l.row_id WHERE l.load_id = ? AND l.table_id = ?",
			w.load, int64(t))
		if err != nil {
			return err
		}
		w.persons.add(ids...)
	}
	return nil
}

// madeType is the type of a period that is made of events: 32817 is EHR, as node/mapping
// has it.
const madeType = 32817

// makeMissing makes observation periods of the events of persons who have none, as a
// stated one went.
func (w *sweeping) makeMissing(ctx context.Context, persons []int64, spans map[int64]span) error {
	condition, arg := w.among("person_id", persons)
	have, err := w.ids(ctx, "SELECT DISTINCT person_id FROM observation_period WHERE "+condition, arg)
	if err != nil {
		return err
	}
	for _, person := range have {
		delete(w.left, person)
	}
	persons = slices.DeleteFunc(slices.Clone(persons), func(id int64) bool {
		_, lacks := w.left[id]
		_, lives := spans[id]
		return !lacks || !lives
	})
	if len(persons) == 0 {
		return nil
	}
	w.changed.add(persons...)
	ids, err := allocate(ctx, w.tx, len(persons))
	if err != nil {
		return err
	}
	for i, person := range persons {
		s := spans[person]
		if _, err := w.tx.Exec(ctx, `INSERT INTO observation_period (observation_period_id, person_id, observation_period_start_date, observation_period_end_date, period_type_concept_id)
			VALUES (?, ?, ?, ?, ?)`, ids[i], person, s.start, s.end, madeType); err != nil {
			return err
		}
	}
	return nil
}

// makePeriods makes the observation periods of the persons again that no source has
// stated, from the first to the last valid event that is there; those without one go.
func (w *sweeping) makePeriods(ctx context.Context) error {
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(w.persons)), sweepChunk) {
		if err := w.lockPersons(ctx, chunk); err != nil {
			return err
		}
		condition, arg := w.among("person_id", chunk)
		spans, err := w.spans(ctx, condition, arg)
		if err != nil {
			return err
		}
		for _, person := range chunk {
			var n int64
			if s, ok := spans[person]; ok {
				n, err = w.tx.Exec(ctx, `UPDATE observation_period SET observation_period_start_date = ?, observation_period_end_date = ?
					WHERE person_id = ? AND (observation_period_start_date <> ? OR observation_period_end_date <> ?) AND NOT `+isStated,
					s.start, s.end, person, s.start, s.end)
			} else {
				n, err = w.tx.Exec(ctx, "DELETE FROM observation_period WHERE person_id = ? AND NOT "+isStated, person)
			}
			if err != nil {
				return err
			}
			if n > 0 {
				w.changed.add(person)
			}
		}
		if len(w.left) > 0 {
			if err := w.makeMissing(ctx, chunk, spans); err != nil {
				return err
			}
		}
	}
	return nil
}

// spans returns from when to when there are valid events of persons.
func (w *sweeping) spans(ctx context.Context, condition string, arg any) (map[int64]span, error) {
	query, args := "SELECT person_id, min(first_day), max(last_day) FROM (", []any{}
	for _, t := range tables {
		sp := specs[t]
		if sp.start == "" {
			continue
		}
		end := sp.start
		if t == VisitTable {
			end = "CASE WHEN visit_end_date > visit_start_date THEN visit_end_date ELSE visit_start_date END"
		}
		if len(args) > 0 {
			query += " UNION ALL "
		}
		query += "SELECT person_id, " + sp.start + " AS first_day, " + end + " AS last_day FROM " + sp.name + " WHERE " + condition +
			" AND NOT EXISTS (SELECT 1 FROM quality WHERE row_id = " + sp.key + " AND NOT is_valid)"
		args = append(args, arg)
	}
	rows, err := w.tx.Query(ctx, query+") AS events GROUP BY person_id", args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	spans := map[int64]span{}
	for rows.Next() {
		var id int64
		var s span
		if err := rows.Scan(&id, &s.start, &s.end); err != nil {
			return nil, err
		}
		spans[id] = s
	}
	return spans, rows.Err()
}
