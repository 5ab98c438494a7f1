package eventindex

import (
	"slices"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/node/events"
)

// eraGap is how many days may lie between two records of an era.
const eraGap = 30

// exposure is a record on its way into an era.
type exposure struct {
	person     uint32
	concept    int64
	start, end int64
	id         int64
}

func compareExposures(a, b exposure) int {
	switch {
	case a.person != b.person:
		return sign(a.person < b.person)
	case a.concept != b.concept:
		return sign(a.concept < b.concept)
	case a.start != b.start:
		return sign(a.start < b.start)
	case a.id != b.id:
		return sign(a.id < b.id)
	}
	return 0
}

// conditionEras makes the eras of conditions: records of one concept with up to 30 days
// between them, of which one without an end lasts a day. Records without a concept make
// none, as nothing says that two are of the same condition. An era has the number of its
// first record. Source: OHDSI CommonDataModel 5.4, derived elements, condition_era.
func conditionEras(d *domain, conditions *rows) *rows {
	list := make([]exposure, 0, conditions.len())
	for i, concept := range conditions.concept {
		if concept == 0 || concept == events.Null {
			continue
		}
		end := conditions.end[i]
		if end == events.Null {
			end = conditions.start[i] + 1
		}
		list = append(list, exposure{conditions.person[i], concept, conditions.start[i], end, conditions.id[i]})
	}
	slices.SortFunc(list, compareExposures)
	out := newRows(d)
	for len(list) > 0 {
		n, end := joined(list, eraGap)
		out.addEra(list[0], end, list[0].id, int64(n))
		list = list[n:]
	}
	return out
}

// joined returns how many records at the beginning of list lie together, each beginning
// at most gap days after the end of those before, and where they end.
func joined(list []exposure, gap int64) (n int, end int64) {
	end = list[0].end
	for n = 1; n < len(list); n++ {
		next := list[n]
		if next.person != list[0].person || next.concept != list[0].concept || next.start > end+gap {
			break
		}
		end = max(end, next.end)
	}
	return n, end
}

// addEra appends an era and its attributes.
func (r *rows) addEra(first exposure, end, id int64, attributes ...int64) {
	r.person, r.concept = append(r.person, first.person), append(r.concept, first.concept)
	r.start, r.end = append(r.start, first.start), append(r.end, end)
	r.id, r.visit = append(r.id, id), append(r.visit, events.Null)
	for i, a := range attributes {
		r.attr[i].Whole = append(r.attr[i].Whole, a)
	}
}

// ingredientsMost is how many ingredients of a drug have an era with a number of its own.
const ingredientsMost = 64

// drugEras makes the eras of ingredients: exposures with up to 30 days between them. An
// exposure ends as it says, else after its days of supply, else after a day; one with a
// negative supply is none. Exposures that overlap are first put together, so that the gap
// days of an era are those within it on which nobody was exposed. An era has the number
// of its first exposure, times 64, and the place of the ingredient among those of the
// drug. Source: OHDSI CommonDataModel 5.4, derived elements, drug_era.
func drugEras(d *domain, drugs *rows, ingredients map[int64][]int64) *rows {
	supplies := drugs.attr[supplyAt].Whole
	var list []exposure
	for i, concept := range drugs.concept {
		supply, end := supplies[i], drugs.end[i]
		if supply != events.Null && supply < 0 || concept == 0 {
			continue
		}
		if end == events.Null {
			end = drugs.start[i] + 1
			if supply != events.Null && supply > 0 {
				end = drugs.start[i] + supply
			}
		}
		for n, ingredient := range ingredients[concept] {
			list = append(list, exposure{drugs.person[i], ingredient, drugs.start[i], end, drugs.id[i]*ingredientsMost + int64(min(n, ingredientsMost-1))})
		}
	}
	slices.SortFunc(list, compareExposures)
	out := newRows(d)
	for len(list) > 0 {
		n, end := joined(list, eraGap)
		exposed := int64(0)
		for rest := list[:n]; len(rest) > 0; {
			m, until := joined(rest, 0)
			exposed += until - rest[0].start
			rest = rest[m:]
		}
		out.addEra(list[0], end, list[0].id, int64(n), end-list[0].start-exposed)
		list = list[n:]
	}
	return out
}

// supplyAt is the place of days_supply among the attributes of drug exposures.
var supplyAt = func() int {
	d := ofTable("", omop.DrugTable, "drug_concept_id", "drug_exposure_start_date", "drug_exposure_end_date")
	i, _ := d.has("days_supply")
	return i
}()

// joinVisits fills in the type of the visit of each event, if the person has such a visit.
func joinVisits(d *domain, r, visits *rows, found map[int64]uint32) {
	at, joins := d.has(visitConcept)
	if !joins {
		return
	}
	types := make([]int64, r.len())
	for i, v := range r.visit {
		types[i] = events.Null
		if place, ok := found[v]; ok && visits.person[place] == r.person[i] {
			types[i] = visits.concept[place]
		}
	}
	r.attr[at] = omop.Vector{Whole: types}
}

// byID returns the places of rows by their numbers.
func (r *rows) byID() map[int64]uint32 {
	m := make(map[int64]uint32, r.len())
	for i, id := range r.id {
		m[id] = uint32(i) //nolint:gosec // rows of a segment
	}
	return m
}
