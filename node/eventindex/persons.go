package eventindex

import (
	"slices"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/node/events"
)

// persons are those a segment is about, by their numbers: all that is known of them is in
// the segment, and what older segments have of them is void. Who is no more is among them.
type persons struct {
	id   []int64
	gone []bool

	// Of person i, Null for absent: the columns of personFields.
	columns [][]int64

	// Observation periods, in the order of person and start.
	periodOf                     []uint32 // ordinal
	start, end, periodID, typeID []int64
}

// personFields are the columns of the person table that are kept.
var personFields = []string{
	"year_of_birth", "month_of_birth", "day_of_birth", "gender_concept_id", "race_concept_id", "ethnicity_concept_id",
	"gender_source_concept_id", "race_source_concept_id", "ethnicity_source_concept_id",
}

// newPersons has room for persons, who are gone until they are found.
func newPersons(ids []int64) *persons {
	p := &persons{id: ids, gone: make([]bool, len(ids)), columns: make([][]int64, len(personFields))}
	for i := range p.gone {
		p.gone[i] = true
	}
	for c := range p.columns {
		p.columns[c] = slices.Repeat([]int64{events.Null}, len(ids))
	}
	return p
}

// ordinal returns the place of a person.
func (p *persons) ordinal(id int64) (uint32, bool) {
	// Numbers are given out in order: in a whole store a person is where it would be if
	// none were left out, or close before.
	i, found := slices.BinarySearch(p.id, id)
	return uint32(i), found //nolint:gosec // persons of a segment
}

// addPersons takes rows of the person table.
func (p *persons) addPersons(scanned []omop.Vector) {
	for row, id := range scanned[0].Whole {
		at, known := p.ordinal(id)
		if !known {
			continue
		}
		p.gone[at] = false
		for c, i := range personAt {
			p.columns[c][at] = scanned[i].Whole[row]
		}
	}
}

// addPeriods takes rows of the table of observation periods.
func (p *persons) addPeriods(scanned []omop.Vector) {
	for row, id := range scanned[0].Whole {
		at, known := p.ordinal(scanned[periodAt[0]].Whole[row])
		if !known || p.gone[at] {
			continue
		}
		p.addPeriod(at, scanned[periodAt[1]].Whole[row], scanned[periodAt[2]].Whole[row], id, scanned[periodAt[3]].Whole[row])
	}
}

func (p *persons) addPeriod(at uint32, start, end, id, kind int64) {
	p.periodOf = append(p.periodOf, at)
	p.start, p.end = append(p.start, start), append(p.end, end)
	p.periodID, p.typeID = append(p.periodID, id), append(p.typeID, kind)
}

// sortPeriods puts the periods in order.
func (p *persons) sortPeriods() {
	places := make([]uint32, len(p.periodOf))
	for i := range places {
		places[i] = uint32(i) //nolint:gosec // periods of a segment
	}
	slices.SortFunc(places, func(a, b uint32) int {
		switch {
		case p.periodOf[a] != p.periodOf[b]:
			return sign(p.periodOf[a] < p.periodOf[b])
		case p.start[a] != p.start[b]:
			return sign(p.start[a] < p.start[b])
		case p.periodID[a] != p.periodID[b]:
			return sign(p.periodID[a] < p.periodID[b])
		}
		return 0
	})
	p.periodOf, p.start, p.end = gather(p.periodOf, places), gather(p.start, places), gather(p.end, places)
	p.periodID, p.typeID = gather(p.periodID, places), gather(p.typeID, places)
}

// part returns the persons with ordinals from low up to high, in order and with their
// periods sorted before.
func (p *persons) part(low, high int) *persons {
	out := &persons{id: p.id[low:high], gone: p.gone[low:high], columns: make([][]int64, len(p.columns))}
	for c := range p.columns {
		out.columns[c] = p.columns[c][low:high]
	}
	first, _ := slices.BinarySearch(p.periodOf, uint32(low)) //nolint:gosec // an ordinal
	last, _ := slices.BinarySearch(p.periodOf, uint32(high)) //nolint:gosec // likewise
	out.periodOf = slices.Clone(p.periodOf[first:last])
	for i := range out.periodOf {
		out.periodOf[i] -= uint32(low) //nolint:gosec // likewise
	}
	out.start, out.end, out.periodID, out.typeID = p.start[first:last], p.end[first:last], p.periodID[first:last], p.typeID[first:last]
	return out
}

// Places of columns among omop.Fields.
var (
	personAt = placesOf(omop.PersonTable, personFields...)
	periodAt = placesOf(omop.PeriodTable, "person_id", "observation_period_start_date", "observation_period_end_date", "period_type_concept_id")
)

func placesOf(t omop.Table, names ...string) []int {
	places := make([]int, len(names))
	for i, name := range names {
		places[i] = slices.IndexFunc(omop.Fields(t), func(f omop.Field) bool { return f.Name == name })
	}
	return places
}
