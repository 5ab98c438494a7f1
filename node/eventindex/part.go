package eventindex

import (
	"context"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/node/events"
	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// source of a domain among omop.Fields: where its columns are.
type source struct {
	person, concept, start, end, visit int // -1 for none
	attr                               []int
	by                                 []events.Column // by attribute: itself if its column has the number of a row of the site, else ""
	provider, careSite                 int             // -1 for none
}

// sources are by place in domains.
var sources = func() []source {
	out := make([]source, len(domains))
	for i := range domains {
		d := &domains[i]
		if d.table == 0 {
			continue
		}
		fields := omop.Fields(d.table)
		find := func(name string) int {
			for at, f := range fields {
				if f.Name == name && name != "" {
					return at
				}
			}
			return -1
		}
		s := source{person: find("person_id"), concept: find(d.concept), start: find(d.start), end: find(d.end), visit: find(d.visit), provider: find("provider_id"), careSite: find("care_site_id")}
		if d.name == cohort.VisitOccurrence {
			s.visit = 0
		}
		for _, a := range d.attributes {
			column, by := find(string(a.name)), events.Column("")
			switch a.name {
			case specialty:
				column, by = s.provider, a.name
			case placeOfService, careSiteID:
				column, by = s.careSite, a.name
			}
			s.attr, s.by = append(s.attr, column), append(s.by, by)
		}
		out[i] = s
	}
	return out
}()

// take appends a scanned row of a person to r.
func (r *rows) take(s *source, scanned []omop.Vector, row int, person uint32, named *care) {
	at := func(column int) int64 {
		if column < 0 {
			return omop.Null
		}
		return scanned[column].Whole[row]
	}
	r.person, r.concept = append(r.person, person), append(r.concept, at(s.concept))
	r.start, r.end = append(r.start, at(s.start)), append(r.end, at(s.end))
	r.id, r.visit = append(r.id, scanned[0].Whole[row]), append(r.visit, at(s.visit))
	for i, column := range s.attr {
		if column < 0 {
			continue // it is joined later
		}
		if by := s.by[i]; by != "" {
			r.attr[i].Whole = append(r.attr[i].Whole, named.of(by, scanned[column].Whole[row]))
			continue
		}
		from, to := &scanned[column], &r.attr[i]
		switch {
		case from.Whole != nil:
			to.Whole = append(to.Whole, from.Whole[row])
		case from.Number != nil:
			to.Number = append(to.Number, from.Number[row])
		default:
			to.Text, to.Absent = append(to.Text, from.Text[row]), append(to.Absent, from.Absent[row])
		}
	}
}

// Vocabulary is what the index needs of the site's vocabularies.
type Vocabulary interface {
	// Version names the release that is loaded.
	Version(ctx context.Context) (string, error)

	// Ingredients returns the RxNorm ingredients of drugs, ascending; none at all if no
	// hierarchy of concepts is loaded.
	Ingredients(ctx context.Context, drugs []int64) (map[int64][]int64, error)

	// Hierarchy reports whether a hierarchy of concepts is loaded.
	Hierarchy(ctx context.Context) (bool, error)
}

// writeEvents writes all domains of a segment. load gives the rows of a domain that has a
// table; ingredients are nil if eras of drugs cannot be made.
func (w *segmentWriter) writeEvents(ctx context.Context, load func(place int) (*rows, error), ingredients func(*rows) (map[int64][]int64, error)) error {
	var visits *rows
	var found map[int64]uint32
	for i := range domains {
		d := &domains[i]
		if d.table == 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		r, err := load(i)
		if err != nil {
			return err
		}
		if d.name == cohort.VisitOccurrence {
			visits, found = r, r.byID()
		}
		joinVisits(d, r, visits, found)
		if err := w.rows(d, r); err != nil {
			return err
		}
		switch d.name {
		case cohort.ConditionOccurrence:
			err = w.rows(&domains[place(cohort.ConditionEra)], conditionEras(&domains[place(cohort.ConditionEra)], r))
		case cohort.DrugExposure:
			var of map[int64][]int64
			if of, err = ingredients(r); err == nil && of != nil {
				err = w.rows(&domains[place(cohort.DrugEra)], drugEras(&domains[place(cohort.DrugEra)], r, of))
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}
