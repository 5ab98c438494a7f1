package omop

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// This file is about rows of the site that rows of persons name: who gave the care, and where.

// references returns the rows of the site that a row of t names, by their tables.
func references(t Table, r row) map[Table]Key {
	rec, named := r.record(), map[Table]Key{}
	if !rec.Provider.IsZero() && hasColumn(t, specs[ProviderTable].key) && t != ProviderTable {
		named[ProviderTable] = rec.Provider
	}
	if !rec.CareSite.IsZero() && hasColumn(t, specs[CareSiteTable].key) {
		named[CareSiteTable] = rec.CareSite
	}
	if c, ok := r.(CareSite); ok && !c.Location.IsZero() {
		named[LocationTable] = c.Location
	}
	return named
}

// siteKey is the key in lineage of a row of the site.
func siteKey(t Table, key Key) rowKey { return newRowKey(t, Key{}, key) }

// findNamed looks up the rows of the site that rows of t name and that are not known yet.
// It keeps others from changing them until the transaction ends: who names them has to be
// noted with the change.
func (p *putting) findNamed(ctx context.Context, t Table, rows []row) error {
	ask := map[Table]map[rowKey]struct{}{}
	for _, r := range rows {
		for of, key := range references(t, r) {
			k := siteKey(of, key)
			if _, known := p.site[k]; known {
				continue
			}
			if ask[of] == nil {
				ask[of] = map[rowKey]struct{}{}
			}
			ask[of][k] = struct{}{}
		}
	}
	for _, of := range slices.Sorted(maps.Keys(ask)) {
		found, err := lookup(ctx, p.tx, p.batch.Mapper, keysOf(ask[of]))
		if err != nil {
			return err
		}
		var ids []int64
		for k := range ask[of] {
			if s, ok := found[k]; ok {
				p.site[k] = s.id
				ids = append(ids, s.id)
			} else {
				p.site[k] = 0
			}
		}
		if err := lockSite(ctx, p.tx, of, ids, "SHARE"); err != nil {
			return err
		}
	}
	return nil
}

// lockSite locks rows of the site. It returns [sqldb.ErrConflict] if another transaction
// has just removed or replaced one. SQLite has one writer at a time.
func lockSite(ctx context.Context, tx *sqldb.Tx, t Table, ids []int64, mode string) error {
	if tx.Dialect() != sqldb.Postgres || len(ids) == 0 {
		return nil
	}
	cond, arg := tx.Dialect().Among(specs[t].key, ids)
	n, err := tx.Exec(ctx, "SELECT 1 FROM "+specs[t].name+" WHERE "+cond+" ORDER BY "+specs[t].key+" FOR "+mode, arg)
	if err == nil && n < int64(len(ids)) {
		return fmt.Errorf("%w: a row of %s was changed meanwhile", sqldb.ErrConflict, t)
	}
	return err
}

// names are the numbers of what a row of t names. What is not stored is noted.
func (p *putting) names(t Table, r row) named {
	var at named
	rec := r.record()
	if !rec.Visit.IsZero() {
		if id, ok := p.visits[newRowKey(VisitTable, rec.Person, rec.Visit)]; ok {
			at.visit = id
		} else {
			p.result.Visitless = append(p.result.Visitless, rec.Pointer)
		}
	}
	for of, key := range references(t, r) {
		id := p.site[siteKey(of, key)]
		switch {
		case id == 0:
			p.unnamed(of, rec.Pointer)
		case of == ProviderTable:
			at.provider = id
		case of == CareSiteTable:
			at.careSite = id
		case of == LocationTable:
			at.location = id
		}
	}
	return at
}

func (p *putting) unnamed(of Table, pointer string) {
	if p.result.Unnamed == nil {
		p.result.Unnamed = map[string][]string{}
	}
	column := specs[of].key
	p.result.Unnamed[column] = append(p.result.Unnamed[column], pointer)
}

// naming are the tables with persons whose rows name rows of t, which is one of the site.
func naming(t Table) []Table {
	return slices.DeleteFunc(slices.Clone(tables), func(of Table) bool { return of.ofSite() || !hasColumn(of, specs[t].key) })
}

// whoNames returns the persons whose rows name some rows of the site.
func whoNames(ctx context.Context, tx *sqldb.Tx, t Table, ids []int64) (persons []int64, err error) {
	condition, arg := tx.Dialect().Among(specs[t].key, ids)
	for _, of := range naming(t) {
		for id, err := range scanAll(ctx, tx, "SELECT DISTINCT person_id FROM "+specs[of].name+" WHERE "+condition, []any{arg}, func(rows *sqldb.Rows) (id int64, err error) {
			err = rows.Scan(&id)
			return id, err
		}) {
			if err != nil {
				return nil, err
			}
			persons = append(persons, id)
		}
	}
	return persons, nil
}

// noteNaming notes that whoever names changed rows of the site has changed.
func (p *putting) noteNaming(ctx context.Context, t Table, changed []*entry) error {
	if len(changed) == 0 {
		return nil
	}
	ids := make([]int64, len(changed))
	for i, e := range changed {
		ids[i] = e.id
	}
	if err := lockSite(ctx, p.tx, t, ids, "UPDATE"); err != nil {
		return err
	}
	persons, err := whoNames(ctx, p.tx, t, ids)
	p.changed.add(persons...)
	return err
}

// leaveSite takes rows of the site that go out of the rows that name them.
func (w *sweeping) leaveSite(ctx context.Context, t Table, ids []int64) error {
	if err := lockSite(ctx, w.tx, t, ids, "UPDATE"); err != nil {
		return err
	}
	persons, err := whoNames(ctx, w.tx, t, ids)
	if err != nil {
		return err
	}
	w.changed.add(persons...)
	condition, arg := w.among(specs[t].key, ids)
	for _, of := range tables {
		if of == t || !hasColumn(of, specs[t].key) {
			continue
		}
		if _, err := w.tx.Exec(ctx, "UPDATE "+specs[of].name+" SET "+specs[t].key+" = NULL WHERE "+condition, arg); err != nil {
			return err
		}
	}
	return nil
}

// siteConcepts are the columns with what is asked of rows of the site.
var siteConcepts = map[Table]string{ProviderTable: "specialty_concept_id", CareSiteTable: "place_of_service_concept_id"}

// SiteConcepts returns what providers specialize in, or of what kind care sites are, by their
// numbers: [Null] where nothing says so. Nil are all of them. It is for package
// node/eventindex, as [Store.Scan] is.
func (s *Store) SiteConcepts(ctx context.Context, tx *sqldb.Tx, t Table, ids []int64) (map[int64]int64, error) {
	query, args := "SELECT "+specs[t].key+", "+siteConcepts[t]+" FROM "+specs[t].name, []any(nil)
	if ids != nil {
		condition, arg := tx.Dialect().Among(specs[t].key, ids)
		query, args = query+" WHERE "+condition, []any{arg}
	}
	found := map[int64]int64{}
	err := tx.Each(ctx, query, args, func(rows *sqldb.Rows) error {
		var id int64
		var concept *int64
		err := rows.Scan(&id, &concept)
		found[id] = orElse(concept, Null)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("omop: concepts of %s: %w", t, err)
	}
	return found, nil
}
