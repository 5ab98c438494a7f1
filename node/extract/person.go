package extract

import (
	"cmp"
	"context"
	"slices"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/extract/anonymity"
)

// person is who may be in the extract: 32 bytes each.
type person struct {
	id        omop.PersonID
	pseudonym int64
	days      omop.Date // by which dates are moved
	record    int32     // of the table of quasi-identifiers
	old       bool
}

// people are those who may be in the extract, in the order of their pseudonyms, and
// what everybody's quasi-identifiers are.
type people struct {
	list       []person
	table      *anonymity.Table
	population *anonymity.Table
}

// gather reads everybody in the store. Those whom permits names become records.
func (w *writer) gather(ctx context.Context, tx *sqldb.Tx) (*people, error) {
	held, err := w.sensitive(ctx, tx)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(w.spec.Sensitive))
	for i, s := range w.spec.Sensitive {
		names[i] = s.Name
	}
	p := &people{}
	if p.table, err = anonymity.NewTable(w.spec.attributes(), names); err != nil {
		return nil, err
	}
	if p.population, err = anonymity.NewTable(w.spec.attributes(), nil); err != nil {
		return nil, err
	}
	d := newDisguise(w.cfg.Key, w.spec.Dates)
	// Everybody gets a pseudonym, in the order of the store, so that it does not depend
	// on who else is in the extract.
	taken := make(map[int64]struct{})
	sensitive := make([]int64, len(held))
	for who, err := range w.cfg.Store.Persons(ctx, tx) {
		if err != nil {
			return nil, err
		}
		id := d.pseudonym(who.ID, func(n int64) bool { _, is := taken[n]; return is })
		taken[id] = struct{}{}
		days := d.days(who.ID)
		k := knownOf(who, days, w.asOf)
		quasi := w.spec.pick(k)
		if err := p.population.Add(quasi, nil); err != nil {
			return nil, err
		}
		if !w.cfg.Permits(who.ID) {
			continue
		}
		for i := range held {
			sensitive[i] = held[i][who.ID]
		}
		p.list = append(p.list, person{who.ID, id, days, int32(p.table.Records()), k.old})
		if err := p.table.Add(quasi, sensitive); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(p.list, func(a, b person) int { return cmp.Compare(a.pseudonym, b.pseudonym) })
	return p, nil
}

// sensitive returns, for each sensitive attribute, the value of everybody who has one:
// the first of its concepts that they have, counted from 1.
func (w *writer) sensitive(ctx context.Context, tx *sqldb.Tx) ([]map[omop.PersonID]int64, error) {
	held := make([]map[omop.PersonID]int64, len(w.spec.Sensitive))
	for i, s := range w.spec.Sensitive {
		held[i] = make(map[omop.PersonID]int64)
		for h, err := range w.cfg.Store.Holders(ctx, tx, s.Table, s.Concepts) {
			if err != nil {
				return nil, err
			}
			at := int64(slices.Index(s.Concepts, h.ConceptID)) + 1
			if now, some := held[i][h.Person]; !some || at < now {
				held[i][h.Person] = at
			}
		}
	}
	return held, nil
}
