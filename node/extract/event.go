package extract

import (
	"cmp"
	"context"
	"encoding/binary"
	"hash/fnv"
	"slices"
	"time"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// together is how many persons are read at once. Their rows are in memory.
const together = 64

// eventFile is a table of events that is being written.
type eventFile struct {
	*file
	of             Table
	start, concept int // columns, concept -1 for none
	visit          bool
	rare           map[int64]bool // concepts that are left out
}

func (w *writer) newEventFile(folder string, t Table, visits bool) (*eventFile, error) {
	e := &eventFile{
		of: t, start: slices.Index(t.Columns, omop.StartColumn(t.Table)), concept: slices.Index(t.Columns, omop.ConceptColumn(t.Table)),
		visit: visits && omop.HasVisit(t.Table),
	}
	titles := append([]string{omop.KeyColumn(t.Table), "person_id"}, t.Columns...)
	if e.visit {
		titles = append(titles, "visit_occurrence_id")
	}
	var err error
	e.file, err = newFile(folder, t.Table.String(), titles)
	return e, err
}

// concept is one of a person's, in a table.
type concept struct {
	table omop.Table
	id    int64
}

// events writes the rows of some persons, in their order and that of their starts, so
// that the order says nothing about when a row came into the store.
func (w *writer) events(ctx context.Context, tx *sqldb.Tx, ids []omop.PersonID, persons []released) error {
	visits := make(map[omop.RowID]int64)
	history := make(map[omop.PersonID][]concept, len(persons))
	for _, e := range w.files {
		rows := make(map[omop.PersonID][]omop.Extracted, len(persons))
		for x, err := range w.cfg.Store.Extract(ctx, tx, e.of.Table, e.of.Columns, ids) {
			if err != nil {
				return err
			}
			rows[x.Person] = append(rows[x.Person], x)
		}
		for _, p := range persons {
			for _, x := range rows[p.id] {
				if err := w.event(e, p, x, visits, history); err != nil {
					return err
				}
			}
		}
	}
	for _, p := range persons {
		w.histories[fingerprint(history[p.id])]++
	}
	return nil
}

// event writes one row, or counts why it does not.
func (w *writer) event(e *eventFile, p released, x omop.Extracted, visits map[omop.RowID]int64, history map[omop.PersonID][]concept) error {
	start, ok := x.Values[e.start].(omop.Date)
	start += p.days
	period := e.of.Table == omop.PeriodTable
	var about int64
	if e.concept >= 0 {
		about, _ = x.Values[e.concept].(int64)
	}
	switch {
	case !ok: // the store has no such row
		return nil
	case start > w.asOf:
		e.After++
		return nil
	case start < p.first && !(period && endsBy(x, p) >= p.first):
		e.Before++
		return nil
	case e.rare[about]:
		e.Rare++
		return nil
	}
	cells := make([]any, 0, len(x.Values)+3)
	cells = append(cells, e.Rows+1, p.pseudonym)
	for _, v := range x.Values {
		moved, cut := w.moved(v, p)
		if cut {
			e.Cut++
		}
		cells = append(cells, moved)
	}
	if e.visit {
		if n, known := visits[x.Visit]; known {
			cells = append(cells, n)
		} else {
			cells = append(cells, nil)
		}
	}
	if e.of.Table == omop.VisitTable {
		visits[x.ID] = e.Rows + 1
	}
	if e.concept >= 0 {
		history[p.id] = append(history[p.id], concept{e.of.Table, about})
	}
	return e.row(cells...)
}

// endsBy returns the last day in a row.
func endsBy(x omop.Extracted, p released) (last omop.Date) {
	last = p.first - 1
	for _, v := range x.Values {
		if day, is := v.(omop.Date); is {
			last = max(last, day+p.days)
		}
	}
	return last
}

// moved returns what is written of a value of a person. cut says that it lay outside of
// what is written and was moved to its edge or, if it is a time, left out.
func (w *writer) moved(v any, p released) (out any, cut bool) {
	switch v := v.(type) {
	case omop.Date:
		day := min(max(v+p.days, p.first), w.asOf)
		cut = day != v+p.days
		if w.spec.Dates.Method == Year {
			day = firstOf(int64(day.Time().Year()))
		}
		return day, cut
	case time.Time:
		at := v.AddDate(0, 0, int(p.days))
		if day := sqldb.DateOf(at); day < p.first || day > w.asOf {
			return nil, true
		}
		return at, false
	}
	return v, false
}

// fingerprint is that of a set of concepts.
func fingerprint(list []concept) uint64 {
	slices.SortFunc(list, func(a, b concept) int { return cmp.Or(cmp.Compare(a.table, b.table), cmp.Compare(a.id, b.id)) })
	h := fnv.New64a()
	var b [16]byte
	for _, c := range slices.Compact(list) {
		binary.BigEndian.PutUint64(b[:8], uint64(c.table))
		binary.BigEndian.PutUint64(b[8:], uint64(c.id))
		_, _ = h.Write(b[:]) // a hash does not fail
	}
	return h.Sum64()
}
