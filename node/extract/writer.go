package extract

import (
	"context"
	"errors"
	"slices"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/extract/anonymity"
)

// writer is one extract under way.
type writer struct {
	cfg      Config
	spec     Spec
	asOf     omop.Date
	manifest Manifest

	solution  *anonymity.Solution
	persons   *file
	deaths    *file // nil if they are not written
	files     []*eventFile
	histories map[uint64]int // persons by the fingerprint of their concepts
}

func newWriter(cfg Config) *writer {
	w := &writer{cfg: cfg, spec: cfg.Spec, asOf: sqldb.DateOf(cfg.Now.UTC()), histories: make(map[uint64]int)}
	if cfg.Spec.AsOf != nil {
		w.asOf = *cfg.Spec.AsOf
	}
	return w
}

// released is a person who is written.
type released struct {
	person
	values [5]int64  // of the quasi-identifiers as they are written, in the order of quasiNames
	first  omop.Date // no day of theirs before is written
}

// run writes the tables into a folder, "" for a dry run, from one snapshot, and fills
// the manifest.
func (w *writer) run(ctx context.Context, folder string) error {
	return w.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		all, err := w.gather(ctx, tx)
		if err != nil {
			return err
		}
		solution, err := anonymity.Search(all.table, w.spec.Goal)
		if err != nil {
			return err
		}
		w.solution = solution
		kept := slices.DeleteFunc(all.list, func(p person) bool { return solution.Reason(int(p.record)) != anonymity.Kept })
		if err := w.open(folder, kept); err != nil {
			return errors.Join(err, w.close())
		}
		if err := w.tables(ctx, tx, kept); err != nil {
			return errors.Join(err, w.close())
		}
		if err := w.close(); err != nil {
			return err
		}
		w.describe(all, len(kept))
		return nil
	})
}

// release returns what is written of some persons.
func (w *writer) release(persons []person) []released {
	list := make([]released, len(persons))
	for n, p := range persons {
		r := released{person: p, values: [5]int64{anyYear}}
		for i, name := range w.spec.Quasi {
			r.values[quasiAt(name)] = w.solution.Value(int(p.record), i)
		}
		r.first = firstOf(r.values[0])
		if p.old { // whatever the band: days before would say how old
			r.first = max(r.first, firstOf(oldestYear(w.asOf)))
		}
		list[n] = r
	}
	return list
}

// open begins the tables.
func (w *writer) open(folder string, kept []person) (err error) {
	if w.persons, err = newFile(folder, omop.PersonTable.String(),
		[]string{"person_id", "gender_concept_id", "year_of_birth", "race_concept_id", "ethnicity_concept_id"}); err != nil {
		return err
	}
	if w.anyDead(kept) {
		if w.deaths, err = newFile(folder, omop.DeathTable.String(), append([]string{"person_id"}, deathColumns...)); err != nil {
			return err
		}
	}
	visits := false
	for _, t := range w.spec.Tables {
		visits = visits || t.Table == omop.VisitTable
		e, err := w.newEventFile(folder, t, visits)
		if err != nil {
			return err
		}
		w.files = append(w.files, e)
	}
	return nil
}

// anyDead reports whether a death is written of any of those who are kept.
func (w *writer) anyDead(kept []person) bool {
	at := slices.Index(w.spec.Quasi, death)
	return at >= 0 && slices.ContainsFunc(kept, func(p person) bool { return w.solution.Value(int(p.record), at) != 0 })
}

// tables writes all rows.
func (w *writer) tables(ctx context.Context, tx *sqldb.Tx, kept []person) error {
	if err := w.rare(ctx, tx, kept); err != nil {
		return err
	}
	for i := 0; i < len(kept); i += together {
		group := w.release(kept[i:min(i+together, len(kept))])
		for _, p := range group {
			if err := w.persons.row(p.pseudonym, p.values[1], p.values[0], p.values[2], p.values[3]); err != nil {
				return err
			}
		}
		ids := idsOf(kept[i:min(i+together, len(kept))])
		if err := w.died(ctx, tx, ids, group); err != nil {
			return err
		}
		if err := w.events(ctx, tx, ids, group); err != nil {
			return err
		}
		w.cfg.Progress(int64(i+len(group)), int64(len(kept)))
	}
	return nil
}

// rare finds the concepts that too few of those who are written have.
func (w *writer) rare(ctx context.Context, tx *sqldb.Tx, kept []person) error {
	if w.spec.Rare == 0 {
		return nil
	}
	for _, e := range w.files {
		if e.concept < 0 {
			continue
		}
		counts := make(map[int64]int)
		for i := 0; i < len(kept); i += together {
			if err := w.cfg.Store.ConceptPersons(ctx, tx, e.of.Table, idsOf(kept[i:min(i+together, len(kept))]), counts); err != nil {
				return err
			}
		}
		e.rare = make(map[int64]bool)
		for concept, persons := range counts {
			if persons < w.spec.Rare {
				e.rare[concept] = true
			}
		}
	}
	return nil
}

func idsOf(persons []person) []omop.PersonID {
	ids := make([]omop.PersonID, len(persons))
	for i, p := range persons {
		ids[i] = p.id
	}
	return ids
}

// died writes the deaths of some persons.
func (w *writer) died(ctx context.Context, tx *sqldb.Tx, ids []omop.PersonID, persons []released) error {
	if w.deaths == nil {
		return nil
	}
	dead := make(map[omop.PersonID][]any)
	for x, err := range w.cfg.Store.Extract(ctx, tx, omop.DeathTable, deathColumns, ids) {
		if err != nil {
			return err
		}
		dead[x.Person] = x.Values
	}
	for _, p := range persons {
		if p.values[4] == 0 {
			continue
		}
		values := dead[p.id]
		if values == nil {
			return errors.New("a death is missing from the snapshot")
		}
		day, _ := w.moved(values[0], p)
		if err := w.deaths.row(p.pseudonym, day, values[1]); err != nil {
			return err
		}
	}
	return nil
}

// close ends the tables, also after an error.
func (w *writer) close() error {
	var errs []error
	for _, f := range w.all() {
		errs = append(errs, f.finish())
	}
	return errors.Join(errs...)
}

// all are the tables that were begun.
func (w *writer) all() (list []*file) {
	for _, f := range []*file{w.persons, w.deaths} {
		if f != nil {
			list = append(list, f)
		}
	}
	for _, e := range w.files {
		list = append(list, e.file)
	}
	return list
}
