package mapping

import (
	"cmp"
	"slices"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/localstore/omop"
)

// patient maps a Patient to person and, if the day is known, death.
func (m *mapping) patient(p *fhir.Patient) {
	if p.BirthDate.IsZero() {
		m.problem(NoBirthDate, "birthDate")
		return
	}
	born := p.BirthDate.At
	row := omop.Person{
		Key: PersonKey(m.record.ID), Pointer: m.pointer(), SourceValue: m.record.ID,
		YearOfBirth: born.Year(), BirthDatetime: clock(p.BirthDate), GenderSource: p.Gender,
	}
	if p.BirthDate.Precision >= fhir.PrecisionMonth {
		row.MonthOfBirth = int(born.Month())
	}
	if p.BirthDate.Precision >= fhir.PrecisionDay {
		row.DayOfBirth = born.Day()
	}
	switch p.Gender {
	case "male":
		row.GenderConceptID = male
	case "female":
		row.GenderConceptID = female
	}
	row.RaceConceptID, row.RaceSource = category(races, p.Race, p.RaceText)
	row.EthnicityConceptID, row.EthnicitySource = category(ethnicities, p.Ethnicity, p.EthnicityText)
	m.batch.Persons = append(m.batch.Persons, row)

	switch {
	case !p.Died.IsZero():
		m.batch.Deaths = append(m.batch.Deaths, omop.Death{
			Person: row.Key, Pointer: m.pointer(), Date: day(p.Died), Time: clock(p.Died), TypeConceptID: fromEHR,
		})
	case p.Deceased != nil && *p.Deceased:
		m.problem(NoDate, "deceasedDateTime")
	}
}

// category is the one concept among codes and what was sent. Several different
// ones are 0, since the CDM has one column for them.
func category(concepts map[string]int64, codes []fhir.Coding, text string) (int64, string) {
	var found []int64
	source := text
	for i, c := range codes {
		if i == 0 {
			source = cmp.Or(c.Code, text)
		}
		if id := concepts[c.Code]; id != 0 && !slices.Contains(found, id) {
			found = append(found, id)
		}
	}
	if len(found) != 1 {
		return 0, source
	}
	return found[0], source
}

// encounter maps an Encounter to visit_occurrence. One that has not ended yet
// ends, as far as is known, when it began.
func (m *mapping) encounter(e *fhir.Encounter) {
	row, ok := m.of(e.Subject, fhir.Reference{}, "subject")
	if !ok {
		return
	}
	if e.Period.Start.IsZero() {
		m.problem(NoDate, "period.start")
		return
	}
	row.Key = key(m.record.Type, m.record.ID)
	row.Provider, row.CareSite = providerKey(e.Participant...), placeKey([]fhir.Reference{e.Location}, e.ServiceProvider)
	row.Invalid = slices.Contains([]string{"entered-in-error", "cancelled", "planned"}, e.Status)
	end := firstOf(e.Period.End, e.Period.Start)
	visit := omop.Visit{
		Record: row, ConceptID: classes[e.Class.Code], TypeConceptID: fromEHR, SourceValue: e.Class.Code,
		Start: day(e.Period.Start), StartTime: clock(e.Period.Start), End: day(end), EndTime: clock(end),
	}
	if len(e.Discharge.Coding) > 0 {
		visit.DischargedToSource = e.Discharge.Coding[0].Code
	}
	m.batch.Visits = append(m.batch.Visits, visit)
}
