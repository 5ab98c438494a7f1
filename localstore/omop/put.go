package omop

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Put stores the rows of b as part of tx. A row is known by its table, its person
// and its key: one that is known and unchanged is a duplicate, one that changed
// replaces the earlier row and keeps its number, unless that came from a later file.
// Rows that cannot be stored are listed in the result and do not keep the others out.
//
// On PostgreSQL two transactions that put the same new rows at once end with
// [sqldb.ErrConflict] for the later one; run it again.
func (s *Store) Put(ctx context.Context, tx *sqldb.Tx, b Batch) (Result, error) {
	p := &putting{tx: tx, batch: &b, persons: map[Key]int64{}, merged: map[Key]bool{}, visits: map[rowKey]int64{}, site: map[rowKey]int64{}, changed: people{}}
	if err := p.put(ctx); err != nil {
		return Result{}, fmt.Errorf("omop: put: %w", err)
	}
	return p.result, nil
}

// putting is the state of one Put.
type putting struct {
	tx      *sqldb.Tx
	batch   *Batch
	load    int64
	persons map[Key]int64    // of the batch's rows, as far as they are known
	merged  map[Key]bool     // those of them that are names of another
	visits  map[rowKey]int64 // by the visit's key
	site    map[rowKey]int64 // rows of the site that others name, 0 for those that are not stored
	changed people
	result  Result
}

// entry is a row of the batch with what is known about it.
type entry struct {
	rec     Record
	concept int64
	key     rowKey
	person  int64
	id      int64
	values  []any
	content [8]byte
	earlier int64 // load of another file that makes the row too, 0 for none
}

// stored is what lineage knows about a row.
type stored struct {
	id      int64
	content [8]byte
	claim         // of the pass that has it
	earlier claim // of another file
	merged  bool  // it is a person's who has another name now
}

func (p *putting) put(ctx context.Context) error {
	if p.batch.Mapper == "" || p.batch.At.IsZero() {
		return errors.New("batch names no mapper or no time")
	}
	if err := p.findLoad(ctx); err != nil {
		return err
	}
	for _, t := range tables {
		rows := p.batch.rows(t)
		if err := p.findReferences(ctx, t, rows); err != nil {
			return err
		}
		if err := p.findNamed(ctx, t, rows); err != nil {
			return err
		}
		if err := p.putTable(ctx, t, rows); err != nil {
			return fmt.Errorf("%s: %w", t, err)
		}
		if t == PersonTable {
			if err := p.merge(ctx); err != nil {
				return err
			}
		}
	}
	if err := p.putPeriods(ctx); err != nil {
		return err
	}
	return noteChanges(ctx, p.tx, p.changed)
}

// findLoad gives the pass its number.
func (p *putting) findLoad(ctx context.Context) error {
	const find = "SELECT load_id FROM load WHERE raw = ? AND mapper = ? AND position = ?"
	err := p.tx.QueryRow(ctx, find, p.batch.Raw[:], p.batch.Mapper, p.batch.Position).Scan(&p.load)
	if !errors.Is(err, sqldb.ErrNoRows) {
		return err
	}
	ids, err := allocate(ctx, p.tx, 1)
	if err != nil {
		return err
	}
	p.load = ids[0]
	_, err = p.tx.Exec(ctx, "INSERT INTO load (load_id, raw, mapper, position, loaded_at) VALUES (?, ?, ?, ?, ?)",
		p.load, p.batch.Raw[:], p.batch.Mapper, p.batch.Position, p.batch.At)
	return err
}

// findReferences looks up the persons and visits that rows of t name and that
// are not known yet.
func (p *putting) findReferences(ctx context.Context, t Table, rows []row) error {
	if t == PersonTable || t.ofSite() {
		return nil
	}
	persons, visits := map[rowKey]Key{}, map[rowKey]struct{}{}
	for _, r := range rows {
		rec := r.record()
		if _, ok := p.persons[rec.Person]; !ok && !rec.Person.IsZero() {
			persons[newRowKey(PersonTable, rec.Person, rec.Person)] = rec.Person
		}
		if t != VisitTable && !rec.Visit.IsZero() {
			k := newRowKey(VisitTable, rec.Person, rec.Visit)
			if _, ok := p.visits[k]; !ok {
				visits[k] = struct{}{}
			}
		}
	}
	found, err := lookupPersons(ctx, p.tx, p.batch.Mapper, keysOf(persons))
	if err != nil {
		return err
	}
	for k, s := range found {
		p.persons[persons[k]], p.merged[persons[k]] = s.id, s.merged
	}
	if found, err = lookup(ctx, p.tx, p.batch.Mapper, keysOf(visits)); err != nil {
		return err
	}
	for k, s := range found {
		p.visits[k] = s.id
	}
	return nil
}

func (p *putting) putTable(ctx context.Context, t Table, rows []row) error {
	if len(rows) == 0 {
		return nil
	}
	entries := p.prepare(t, rows)
	if t == PersonTable {
		if err := p.dropMerged(ctx, entries); err != nil {
			return err
		}
	}
	known, err := lookup(ctx, p.tx, p.batch.Mapper, func(yield func(rowKey) bool) {
		for k := range entries {
			if !yield(k) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	var fresh, changed, confirmed, yielded []*entry
	own := claim{p.load, p.batch.Position, true}
	for k, e := range entries {
		old, ok := known[k]
		e.id, e.earlier = old.id, old.under(own)
		later := old.position > own.position
		switch {
		case !ok:
			fresh = append(fresh, e)
		case old.content == e.content && !later:
			p.result.Duplicates++
			if old.load != own.load {
				confirmed = append(confirmed, e)
			}
		case !later:
			changed = append(changed, e)
		case old.content == e.content:
			p.result.Duplicates++
			yielded = append(yielded, e)
		default:
			p.result.Superseded++
			yielded = append(yielded, e)
		}
		if later && e.earlier == old.earlier.load {
			yielded = yielded[:len(yielded)-1] // it is known
		}
	}
	if t == DeathTable && len(fresh) > 0 {
		if fresh, err = p.oneDeath(ctx, fresh); err != nil {
			return err
		}
	}
	// The order of the index by concept: its pages are then written once each.
	slices.SortFunc(fresh, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.concept, b.concept), cmp.Compare(a.person, b.person), slices.Compare(a.key[:], b.key[:]))
	})
	ids, err := allocate(ctx, p.tx, len(fresh))
	if err != nil {
		return err
	}
	for i, e := range fresh {
		e.id = ids[i]
	}
	if err := p.confirm(ctx, confirmed); err != nil {
		return err
	}
	if err := p.yield(ctx, yielded); err != nil {
		return err
	}
	if t.ofSite() {
		if err := p.noteNaming(ctx, t, changed); err != nil {
			return err
		}
	}
	if err := p.remove(ctx, t, changed); err != nil {
		return err
	}
	all := slices.Concat(fresh, changed)
	if !t.ofSite() {
		for _, e := range all {
			p.changed.add(e.whose(t))
		}
	}
	if err := p.insert(ctx, t, all); err != nil {
		return err
	}
	if t == PersonTable {
		if err := p.stillApart(ctx, all); err != nil {
			return err
		}
	}
	for _, e := range entries {
		switch t {
		case PersonTable:
			p.persons[e.rec.Key] = e.id
		case VisitTable:
			p.visits[e.key] = e.id
		case LocationTable, CareSiteTable, ProviderTable:
			p.site[e.key] = e.id
		}
	}
	p.result.Stored += len(fresh)
	p.result.Replaced += len(changed)
	return nil
}

// prepare checks and completes rows. Of several rows with one key in a batch the
// last one counts, the others are duplicates.
func (p *putting) prepare(t Table, rows []row) map[rowKey]*entry {
	out := make(map[rowKey]*entry, len(rows))
	for _, r := range rows {
		rec := r.record()
		rule, bad := check(t, r)
		person, known := p.persons[rec.Person]
		if !bad && !known && t != PersonTable && !t.ofSite() {
			rule, bad = UnknownPerson, true
		}
		if bad {
			p.result.Refused = append(p.result.Refused, Refusal{Table: t, Pointer: rec.Pointer, Rule: rule})
			continue
		}
		e := &entry{rec: rec, concept: r.concept(), key: newRowKey(t, rec.Person, rec.Key), person: person, values: r.values(person, p.names(t, r))}
		e.content = digest(e.values, rec.Invalid, rec.Outlier)
		if _, twice := out[e.key]; twice {
			p.result.Duplicates++
		}
		out[e.key] = e
	}
	return out
}

// remove deletes the rows that are about to be replaced.
func (p *putting) remove(ctx context.Context, t Table, changed []*entry) error {
	if len(changed) == 0 {
		return nil
	}
	ids, keys := make([]int64, len(changed)), make([]int64, len(changed))
	for i, e := range changed {
		ids[i], keys[i] = e.id, e.tableKey(t)
	}
	for _, d := range []struct {
		table, column string
		ids           []int64
	}{{t.String(), specs[t].key, keys}, {"lineage", "row_id", ids}, {"quality", "row_id", ids}} {
		cond, arg := p.tx.Dialect().Among(d.column, d.ids)
		if _, err := p.tx.Exec(ctx, "DELETE FROM "+d.table+" WHERE "+cond, arg); err != nil {
			return err
		}
	}
	return nil
}

// whose is the person of the row.
func (e *entry) whose(t Table) int64 {
	if t == PersonTable {
		return e.id
	}
	return e.person
}

// tableKey is the row's primary key in its own table.
func (e *entry) tableKey(t Table) int64 {
	if t == DeathTable {
		return e.person
	}
	return e.id
}

func (p *putting) insert(ctx context.Context, t Table, entries []*entry) error {
	if len(entries) == 0 {
		return nil
	}
	sp := specs[t]
	width := 1 + len(sp.columns)
	rows := each(entries, width, func(args []any, e *entry) bool {
		args[0] = e.tableKey(t)
		copy(args[1:], e.values)
		return true
	})
	if _, err := p.tx.Insert(ctx, sp.name, append([]string{sp.key}, sp.columns...), rows); err != nil {
		return err
	}
	lineage := each(entries, 7, func(args []any, e *entry) bool {
		args[0], args[1], args[2], args[3], args[4], args[5], args[6] = e.id, e.key[:], int64(t), e.content[:], p.load, e.rec.Pointer, intUnless0(e.earlier)
		return true
	})
	if _, err := p.tx.Insert(ctx, "lineage", []string{"row_id", "row_key", "table_id", "content", "load_id", "pointer", "earlier_load_id"}, lineage); err != nil {
		return err
	}
	quality := each(entries, 3, func(args []any, e *entry) bool {
		args[0], args[1], args[2] = e.id, !e.rec.Invalid, e.rec.Outlier
		return e.rec.Invalid || e.rec.Outlier
	})
	_, err := p.tx.Insert(ctx, "quality", []string{"row_id", "is_valid", "is_outlier"}, quality)
	return err
}

// each yields one row of arguments for every entry for which fill returns true.
func each(entries []*entry, width int, fill func(args []any, e *entry) bool) iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		args := make([]any, width)
		for _, e := range entries {
			if fill(args, e) && !yield(args) {
				return
			}
		}
	}
}

func keysOf[V any](m map[rowKey]V) iter.Seq[rowKey] {
	return func(yield func(rowKey) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}
