package omop

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Merge says that the persons whom a source calls Retired and Survivor are one: what is
// stored of the first, and what will come under its name, is the survivor's.
type Merge struct {
	Survivor, Retired Key
	Pointer           string // as [Record.Pointer]
}

// lookupPersons is lookup for keys of persons; who was merged is found as the one who
// survived.
func lookupPersons(ctx context.Context, tx *sqldb.Tx, mapper string, keys iter.Seq[rowKey]) (map[rowKey]stored, error) {
	list := slices.Collect(keys)
	found, err := lookup(ctx, tx, mapper, slices.Values(list))
	if err != nil {
		return nil, err
	}
	merged, err := lookupMerged(ctx, tx, list)
	if err != nil {
		return nil, err
	}
	for k, id := range merged {
		found[k] = stored{id: id, merged: true}
	}
	return found, nil
}

// lookupMerged returns whom those of the keys name that were merged.
func lookupMerged(ctx context.Context, tx *sqldb.Tx, keys []rowKey) (map[rowKey]int64, error) {
	merged := map[rowKey]int64{}
	for chunk := range slices.Chunk(keys, lookupChunk) {
		condition, args := amongKeys(tx.Dialect(), chunk)
		rows, err := tx.Query(ctx, "SELECT row_key, person_id FROM merged_person WHERE "+condition, args...)
		if err != nil {
			return nil, err
		}
		if err := collectMerged(rows, merged); err != nil {
			return nil, err
		}
	}
	return merged, nil
}

func collectMerged(rows *sqldb.Rows, merged map[rowKey]int64) error {
	defer rows.Close()
	for rows.Next() {
		var key []byte
		var id int64
		if err := rows.Scan(&key, &id); err != nil {
			return err
		}
		merged[rowKey(key)] = id
	}
	return rows.Err()
}

// dropMerged takes persons from the rows to store whose names are those of others now.
func (p *putting) dropMerged(ctx context.Context, entries map[rowKey]*entry) error {
	merged, err := lookupMerged(ctx, p.tx, slices.Collect(keysOf(entries)))
	if err != nil {
		return err
	}
	for k, id := range merged {
		p.persons[entries[k].rec.Key], p.merged[entries[k].rec.Key] = id, true
		p.result.Superseded++
		delete(entries, k)
	}
	return nil
}

// merge makes the persons one that the batch says are one.
func (p *putting) merge(ctx context.Context) error {
	for _, m := range p.batch.Merges {
		survivor, retired := newRowKey(PersonTable, m.Survivor, m.Survivor), newRowKey(PersonTable, m.Retired, m.Retired)
		found, err := lookupPersons(ctx, p.tx, p.batch.Mapper, slices.Values([]rowKey{survivor, retired}))
		if err != nil {
			return err
		}
		to, known := found[survivor]
		from, stored := found[retired]
		switch {
		case m.Survivor.IsZero() || m.Retired.IsZero():
			p.refuseMerge(m, MissingKey)
		case !known:
			p.refuseMerge(m, UnknownPerson)
		case stored && from.id == to.id: // it was said before
		case from.merged:
			p.refuseMerge(m, MergedElsewhere)
		default:
			if err := p.mergeInto(ctx, m, retired, to.id, from.id); err != nil {
				return fmt.Errorf("merge: %w", err)
			}
		}
	}
	return nil
}

func (p *putting) refuseMerge(m Merge, r Rule) {
	p.result.Refused = append(p.result.Refused, Refusal{Table: PersonTable, Pointer: m.Pointer, Rule: r})
}

// mergeInto gives the rows of the person from, 0 for none, to another.
func (p *putting) mergeInto(ctx context.Context, m Merge, retired rowKey, to, from int64) error {
	persons := []int64{to}
	if from != 0 {
		persons = append(persons, from)
	}
	if err := lockPersons(ctx, p.tx, persons); err != nil {
		return err
	}
	if from == 0 {
		if err := p.reserve(ctx, retired); err != nil {
			return err
		}
	} else {
		if may := p.batch.MayMerge; may != nil {
			allowed, err := may(ctx, p.tx, PersonID{to}, PersonID{from})
			if err != nil {
				return err
			}
			if !allowed {
				p.refuseMerge(m, MergeRefused)
				return nil
			}
		}
		p.changed.add(to, from)
		if err := p.move(ctx, retired, to, from); err != nil {
			return err
		}
	}
	for name, id := range p.persons {
		if id == from {
			p.persons[name], p.merged[name] = to, true
		}
	}
	p.persons[m.Retired], p.merged[m.Retired] = to, true
	p.result.Merged++
	_, err := p.tx.Exec(ctx, "INSERT INTO merged_person (row_key, person_id, load_id, pointer) VALUES (?, ?, ?, ?)", retired[:], to, p.load, m.Pointer)
	return err
}

// reserve waits for transactions that are storing the person of a name at this moment:
// what they store would not be seen here. [sqldb.ErrConflict] says that one has.
func (p *putting) reserve(ctx context.Context, name rowKey) error {
	if p.tx.Dialect() != sqldb.Postgres {
		return nil
	}
	ids, err := allocate(ctx, p.tx, 1)
	if err != nil {
		return err
	}
	if _, err := p.tx.Exec(ctx, "INSERT INTO lineage (row_id, row_key, table_id, content, load_id, pointer) VALUES (?, ?, ?, ?, ?, '')",
		ids[0], name[:], int64(PersonTable), make([]byte, 8), p.load); err != nil {
		return err
	}
	_, err = p.tx.Exec(ctx, "DELETE FROM lineage WHERE row_id = ?", ids[0])
	return err
}

// stillApart fails with [sqldb.ErrConflict] if another transaction has merged one of the
// persons that were just stored.
func (p *putting) stillApart(ctx context.Context, stored []*entry) error {
	if p.tx.Dialect() != sqldb.Postgres {
		return nil
	}
	keys := make([]rowKey, len(stored))
	for i, e := range stored {
		keys[i] = e.key
	}
	merged, err := lookupMerged(ctx, p.tx, keys)
	if err == nil && len(merged) > 0 {
		err = fmt.Errorf("%w: a person was merged meanwhile", sqldb.ErrConflict)
	}
	return err
}

// move gives the rows of a person to another and removes the person.
func (p *putting) move(ctx context.Context, retired rowKey, to, from int64) error {
	for _, t := range tables {
		if t == PersonTable || t == DeathTable || t == PeriodTable || t.ofSite() {
			continue
		}
		if _, err := p.tx.Exec(ctx, "UPDATE "+t.String()+" SET person_id = ? WHERE person_id = ?", to, from); err != nil {
			return err
		}
	}
	if err := p.moveDeath(ctx, retired, to, from); err != nil {
		return err
	}
	if _, err := p.tx.Exec(ctx, "UPDATE merged_person SET person_id = ? WHERE person_id = ?", to, from); err != nil {
		return err
	}
	if err := p.movePeriods(ctx, to, from); err != nil {
		return err
	}
	if _, err := p.tx.Exec(ctx, "DELETE FROM person WHERE person_id = ?", from); err != nil {
		return err
	}
	return p.forget(ctx, retired)
}

// forget removes what is known about a row that is no more.
func (p *putting) forget(ctx context.Context, k rowKey) error {
	if _, err := p.tx.Exec(ctx, "DELETE FROM quality WHERE row_id IN (SELECT row_id FROM lineage WHERE row_key = ?)", k[:]); err != nil {
		return err
	}
	_, err := p.tx.Exec(ctx, "DELETE FROM lineage WHERE row_key = ?", k[:])
	return err
}

// moveDeath keeps the survivor's death, else takes the other one, under whatever name
// of that person it came.
func (p *putting) moveDeath(ctx context.Context, retired rowKey, to, from int64) error {
	var dead int
	if err := p.tx.QueryRow(ctx, "SELECT count(*) FROM death WHERE person_id = ?", to).Scan(&dead); err != nil {
		return err
	}
	if dead == 0 {
		_, err := p.tx.Exec(ctx, "UPDATE death SET person_id = ? WHERE person_id = ?", to, from)
		return err
	}
	if _, err := p.tx.Exec(ctx, "DELETE FROM death WHERE person_id = ?", from); err != nil {
		return err
	}
	names := [][]byte{retired[:]}
	for name, err := range scanAll(ctx, p.tx, "SELECT row_key FROM merged_person WHERE person_id = ?", []any{from}, func(rows *sqldb.Rows) (name []byte, err error) {
		err = rows.Scan(&name)
		return name, err
	}) {
		if err != nil {
			return err
		}
		names = append(names, name)
	}
	for _, name := range names {
		if err := p.forgetDeath(ctx, rowKey(name)); err != nil {
			return err
		}
	}
	return nil
}

// forgetDeath removes what is known about the death that came under a name: the keys of
// one name's rows begin alike.
func (p *putting) forgetDeath(ctx context.Context, name rowKey) error {
	low, high := name, name
	for i := 8; i < len(low); i++ {
		low[i], high[i] = 0, 0xff
	}
	const which = "row_key BETWEEN ? AND ? AND table_id = ?"
	args := []any{low[:], high[:], int64(DeathTable)}
	if _, err := p.tx.Exec(ctx, "DELETE FROM quality WHERE row_id IN (SELECT row_id FROM lineage WHERE "+which+")", args...); err != nil {
		return err
	}
	_, err := p.tx.Exec(ctx, "DELETE FROM lineage WHERE "+which, args...)
	return err
}

// oneDeath takes new deaths out of persons whose death is known under another name, and
// of two of one person that under a merged name.
func (p *putting) oneDeath(ctx context.Context, fresh []*entry) ([]*entry, error) {
	persons, dead := make([]int64, len(fresh)), map[int64]bool{}
	for i, e := range fresh {
		persons[i] = e.person
	}
	cond, arg := p.tx.Dialect().Among("person_id", persons)
	for id, err := range scanAll(ctx, p.tx, "SELECT person_id FROM death WHERE "+cond, []any{arg}, func(rows *sqldb.Rows) (id int64, err error) {
		err = rows.Scan(&id)
		return id, err
	}) {
		if err != nil {
			return nil, err
		}
		dead[id] = true
	}
	slices.SortStableFunc(fresh, func(a, b *entry) int { return order(p.merged[a.rec.Person]) - order(p.merged[b.rec.Person]) })
	return slices.DeleteFunc(fresh, func(e *entry) bool {
		known := dead[e.person]
		if known {
			p.result.Superseded++
		}
		dead[e.person] = true
		return known
	}), nil
}

// order puts what is false before what is true.
func order(b bool) int {
	if b {
		return 1
	}
	return 0
}

// movePeriods gives the survivor the periods that a source stated of either, or, if
// there are none, one over those that were made of both.
func (p *putting) movePeriods(ctx context.Context, to, from int64) error {
	const both = "person_id IN (?, ?)"
	var stated int
	if err := p.tx.QueryRow(ctx, "SELECT count(*) FROM observation_period WHERE "+both+" AND "+isStated, to, from).Scan(&stated); err != nil {
		return err
	}
	if stated > 0 {
		if _, err := p.tx.Exec(ctx, "DELETE FROM observation_period WHERE "+both+" AND NOT "+isStated, to, from); err != nil {
			return err
		}
		_, err := p.tx.Exec(ctx, "UPDATE observation_period SET person_id = ? WHERE person_id = ?", to, from)
		return err
	}
	var first, last *Date
	if err := p.tx.QueryRow(ctx, "SELECT min(observation_period_start_date), max(observation_period_end_date) FROM observation_period WHERE "+both, to, from).
		Scan(&first, &last); err != nil || first == nil {
		return err
	}
	var keep int64
	if err := p.tx.QueryRow(ctx, "SELECT min(observation_period_id) FROM observation_period WHERE "+both, to, from).Scan(&keep); err != nil {
		return err
	}
	if _, err := p.tx.Exec(ctx, "DELETE FROM observation_period WHERE "+both+" AND observation_period_id <> ?", to, from, keep); err != nil {
		return err
	}
	_, err := p.tx.Exec(ctx, `UPDATE observation_period SET person_id = ?, observation_period_start_date = ?, observation_period_end_date = ?
		WHERE observation_period_id = ?`, to, first, last, keep)
	return err
}
