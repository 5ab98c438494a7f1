package omop

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Pass is one mapper's pass over one raw file, as of a [Batch].
type Pass struct {
	Raw      [32]byte
	Mapper   string
	Position int64
}

// Swept is what [Store.Sweep] did.
type Swept struct {
	Rows int64 // removed, without observation periods that are made from events

	// Files are other raw files that make rows which the pass has given up. The rows
	// are theirs now and stand as the pass before had them: the caller loads those
	// files again, which says what they make of them.
	Files [][32]byte
}

// sweepChunk is how many rows one statement removes.
const sweepChunk = 1000

// Sweep ends a pass that is through, as part of tx: the rows that earlier passes over the
// same file have made and this one did not are removed, unless another file makes them.
// Without an earlier pass it does nothing, for the price of one look-up.
//
// A person goes when no row is left that names them, and held, which is given those who
// would go, does not return them: other tables of the site may name them too. Visits that
// are gone are taken out of the rows that had them, as are providers, care sites and
// locations. Observation periods that are made from events are made again for the persons of
// the file.
func (s *Store) Sweep(ctx context.Context, tx *sqldb.Tx, pass Pass, held func(context.Context, *sqldb.Tx, []PersonID) ([]PersonID, error)) (Swept, error) {
	w := &sweeping{tx: tx, persons: people{}, left: people{}, changed: people{}}
	if err := w.findLoads(ctx, pass); err != nil || len(w.old) == 0 {
		return Swept{}, wrapSweep(err)
	}
	// Of two at once neither would see what the other leaves without rows.
	if err := tx.Lock(ctx, "omop/sweep"); err != nil {
		return Swept{}, wrapSweep(err)
	}
	for _, step := range []func(context.Context) error{
		w.handBack, w.removeRows,
		func(ctx context.Context) error { return w.removePersons(ctx, held) },
		w.findPersons, w.makePeriods, w.forgetLoads,
		func(ctx context.Context) error { return noteChanges(ctx, tx, w.changed) },
	} {
		if err := step(ctx); err != nil {
			return Swept{}, wrapSweep(err)
		}
	}
	return w.swept, nil
}

// AheadOfSweep is for a transaction that puts rows before its Sweep of the pass: it comes
// first, so that one that sweeps never waits for another that does while it keeps that one
// from its rows. Without an earlier pass it does nothing.
func (s *Store) AheadOfSweep(ctx context.Context, tx *sqldb.Tx, pass Pass) error {
	w := &sweeping{tx: tx}
	if err := w.findLoads(ctx, pass); err != nil || len(w.old) == 0 {
		return wrapSweep(err)
	}
	return wrapSweep(tx.Lock(ctx, "omop/sweep"))
}

func wrapSweep(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("omop: sweep: %w", err)
}

// sweeping is the state of one Sweep.
type sweeping struct {
	tx      *sqldb.Tx
	load    int64   // of the pass, 0 if it made no row
	old     []int64 // loads of earlier passes over the file
	persons people
	left    people // of whom a stated period went
	changed people
	swept   Swept
}

func (w *sweeping) findLoads(ctx context.Context, pass Pass) error {
	rows, err := w.tx.Query(ctx, "SELECT load_id, mapper, position FROM load WHERE raw = ?", pass.Raw[:])
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id, position int64
		var mapper string
		if err := rows.Scan(&id, &mapper, &position); err != nil {
			return err
		}
		if mapper == pass.Mapper && position == pass.Position {
			w.load = id
		} else {
			w.old = append(w.old, id)
		}
	}
	return rows.Err()
}

// among is the condition that a column is one of ids, and its argument.
func (w *sweeping) among(column string, ids []int64) (string, any) {
	return w.tx.Dialect().Among(column, ids)
}

// within is among for the keys of a table, with the range they lie in: without statistics
// PostgreSQL would rather read the whole table for a thousand of them.
func (w *sweeping) within(column string, ids []int64) (condition string, args []any) {
	if len(ids) == 0 {
		return "1 = 0", nil
	}
	condition, arg := w.among(column, ids)
	return column + " BETWEEN ? AND ? AND " + condition, []any{slices.Min(ids), slices.Max(ids), arg}
}

// handBack gives rows that passes over other files make too to those passes.
func (w *sweeping) handBack(ctx context.Context) error {
	replaced, arg := w.among("load_id", w.old)
	if _, err := w.tx.Exec(ctx, "UPDATE load SET replaced = TRUE WHERE "+replaced, arg); err != nil {
		return err
	}
	condition, arg := w.among("lineage.load_id", w.old)
	rows, err := w.tx.Query(ctx, `SELECT DISTINCT e.raw FROM lineage JOIN load e ON e.load_id = lineage.earlier_load_id AND NOT e.replaced WHERE `+condition, arg)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var raw []byte
		if err := rows.Scan(&raw); err != nil {
			return err
		}
		if len(raw) != len(Pass{}.Raw) {
			return errors.New("load holds a digest of the wrong length")
		}
		w.swept.Files = append(w.swept.Files, [32]byte(raw))
	}
	if err := rows.Err(); err != nil || len(w.swept.Files) == 0 {
		return err
	}
	_, err = w.tx.Exec(ctx, `UPDATE lineage SET load_id = earlier_load_id, earlier_load_id = NULL WHERE `+condition+`
		AND EXISTS (SELECT 1 FROM load e WHERE e.load_id = lineage.earlier_load_id AND NOT e.replaced)`, arg)
	return err
}

// removeRows removes what the earlier passes still have, but for persons.
func (w *sweeping) removeRows(ctx context.Context) error {
	for _, t := range slices.Backward(tables) { // what refers comes first
		if t == PersonTable {
			continue
		}
		for _, load := range w.old {
			if err := w.removeTable(ctx, t, load); err != nil {
				return fmt.Errorf("%s: %w", t, err)
			}
		}
	}
	return nil
}

// removeTable removes the rows of a table that one pass has made. Each part begins behind
// the one before: what was removed is looked at no more, also where it stays in the index
// until the transaction ends.
func (w *sweeping) removeTable(ctx context.Context, t Table, load int64) error {
	for last := int64(0); ; {
		rows, err := w.lineage(ctx, "SELECT row_id, row_key FROM lineage WHERE load_id = ? AND table_id = ? AND row_id > ? ORDER BY row_id LIMIT ?", load, int64(t), last, sweepChunk)
		if err != nil || len(rows) == 0 {
			return err
		}
		if err := w.removeChunk(ctx, t, rows); err != nil {
			return err
		}
		last = rows[len(rows)-1].id
	}
}

// lineageRow is what is asked of lineage here.
type lineageRow struct {
	id  int64
	key []byte
}

func (w *sweeping) lineage(ctx context.Context, query string, args ...any) (list []lineageRow, err error) {
	rows, err := w.tx.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var r lineageRow
		if err := rows.Scan(&r.id, &r.key); err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

func (w *sweeping) removeChunk(ctx context.Context, t Table, rows []lineageRow) error {
	ids := make([]int64, len(rows))
	for i, r := range rows {
		ids[i] = r.id
	}
	keys := ids
	var persons []int64
	var err error
	switch {
	case t.ofSite():
		err = w.leaveSite(ctx, t, ids)
	case t == DeathTable:
		keys, err = w.personsOf(ctx, rows)
		persons = keys
	default:
		condition, args := w.within(specs[t].key, ids)
		persons, err = w.ids(ctx, "SELECT DISTINCT person_id FROM "+specs[t].name+" WHERE "+condition, args...)
	}
	if err != nil {
		return err
	}
	w.persons.add(persons...)
	w.changed.add(persons...)
	if t == PeriodTable {
		w.left.add(persons...)
	}
	if t == VisitTable {
		if err := w.leaveVisits(ctx, persons, ids); err != nil {
			return err
		}
	}
	w.swept.Rows += int64(len(ids))
	return w.delete(ctx, t, keys, ids)
}

// delete removes rows of a table by its keys, and what stands beside them by row_id.
func (w *sweeping) delete(ctx context.Context, t Table, keys, ids []int64) error {
	for _, d := range []struct {
		table, column string
		ids           []int64
	}{{specs[t].name, specs[t].key, keys}, {"lineage", "row_id", ids}, {"quality", "row_id", ids}} {
		condition, args := w.within(d.column, d.ids)
		if _, err := w.tx.Exec(ctx, "DELETE FROM "+d.table+" WHERE "+condition, args...); err != nil {
			return err
		}
	}
	return nil
}

// personsOf finds the persons of deaths, whose table has no row number: the keys of one
// person's rows begin alike. Of keys that begin like those of two persons nobody is
// returned.
func (w *sweeping) personsOf(ctx context.Context, rows []lineageRow) (persons []int64, err error) {
	for _, r := range rows {
		low, high := rowKey(r.key), rowKey(r.key)
		for i := 8; i < len(low); i++ {
			low[i], high[i] = 0, 0xff
		}
		found, err := w.ids(ctx, `SELECT row_id FROM lineage WHERE row_key BETWEEN ? AND ? AND table_id = ?
			UNION ALL SELECT person_id FROM merged_person WHERE row_key BETWEEN ? AND ?`, low[:], high[:], int64(PersonTable), low[:], high[:])
		if err != nil {
			return nil, err
		}
		if len(found) == 1 {
			persons = append(persons, found[0])
		}
	}
	return persons, nil
}

// leaveVisits takes visits out of the rows of their persons.
func (w *sweeping) leaveVisits(ctx context.Context, persons, visits []int64) error {
	whose, who := w.among("person_id", persons)
	which, visit := w.among("visit_occurrence_id", visits)
	for _, t := range tables {
		if !slices.Contains(specs[t].columns, "visit_occurrence_id") {
			continue
		}
		none := "NULL"
		if t == VisitDetailTable {
			none = strconv.FormatInt(noVisit, 10)
		}
		if _, err := w.tx.Exec(ctx, "UPDATE "+specs[t].name+" SET visit_occurrence_id = "+none+" WHERE "+whose+" AND "+which, who, visit); err != nil {
			return err
		}
	}
	return nil
}

// lockPersons keeps Put from persons until tx ends, as Put does.
func (w *sweeping) lockPersons(ctx context.Context, persons []int64) error {
	if w.tx.Dialect() != sqldb.Postgres {
		return nil
	}
	condition, arg := w.among("person_id", persons)
	_, err := w.tx.Exec(ctx, "SELECT 1 FROM person WHERE "+condition+" ORDER BY person_id FOR UPDATE", arg)
	return err
}

func (w *sweeping) ids(ctx context.Context, query string, args ...any) (ids []int64, err error) {
	rows, err := w.tx.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// forgetLoads removes the passes that have no row left.
func (w *sweeping) forgetLoads(ctx context.Context) error {
	_, err := w.tx.Exec(ctx, `DELETE FROM load WHERE replaced AND NOT EXISTS (SELECT 1 FROM lineage WHERE lineage.load_id = load.load_id)
		AND NOT EXISTS (SELECT 1 FROM merged_person WHERE merged_person.load_id = load.load_id)`)
	return err
}
