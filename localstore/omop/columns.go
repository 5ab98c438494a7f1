package omop

// row is one row of a batch on its way into a table.
type row interface {
	record() Record
	// concept is what rows of a batch are sorted by.
	concept() int64
	// values are the values of the columns of its table's spec, in order.
	values(person int64, at named) []any
}

// named are the numbers of the rows that a row names besides its person, nil for those that
// it does not name and that are not stored.
type named struct{ visit, provider, careSite, location any }

func (p Person) record() Record       { return Record{Key: p.Key, Person: p.Key, Pointer: p.Pointer} }
func (v Visit) record() Record        { return v.Record }
func (c Condition) record() Record    { return c.Record }
func (d Drug) record() Record         { return d.Record }
func (p Procedure) record() Record    { return p.Record }
func (m Measurement) record() Record  { return m.Record }
func (o Observation) record() Record  { return o.Record }
func (p StatedPeriod) record() Record { return p.Record }
func (d Device) record() Record       { return d.Record }
func (s Specimen) record() Record     { return s.Record }
func (v VisitDetail) record() Record  { return v.Record }
func (p PayerPlan) record() Record    { return p.Record }
func (l Location) record() Record     { return l.Record }
func (c CareSite) record() Record     { return c.Record }
func (p Provider) record() Record     { return p.Record }

// A person has one death, whatever the source calls it.
func (d Death) record() Record { return Record{Key: d.Person, Person: d.Person, Pointer: d.Pointer} }

func (Person) concept() int64        { return 0 }
func (v Visit) concept() int64       { return v.ConceptID }
func (c Condition) concept() int64   { return c.ConceptID }
func (d Drug) concept() int64        { return d.ConceptID }
func (p Procedure) concept() int64   { return p.ConceptID }
func (m Measurement) concept() int64 { return m.ConceptID }
func (o Observation) concept() int64 { return o.ConceptID }
func (Death) concept() int64         { return 0 }
func (StatedPeriod) concept() int64  { return 0 }
func (d Device) concept() int64      { return d.ConceptID }
func (s Specimen) concept() int64    { return s.ConceptID }
func (v VisitDetail) concept() int64 { return v.ConceptID }
func (PayerPlan) concept() int64     { return 0 }
func (Location) concept() int64      { return 0 }
func (CareSite) concept() int64      { return 0 }
func (Provider) concept() int64      { return 0 }

func (p Person) values(int64, named) []any {
	return []any{
		p.GenderConceptID, int64(p.YearOfBirth), intUnless0(int64(p.MonthOfBirth)), intUnless0(int64(p.DayOfBirth)),
		timeOrNil(p.BirthDatetime), p.RaceConceptID, p.EthnicityConceptID, text(p.SourceValue, sourceWidth),
		text(p.GenderSource, sourceWidth), optional(p.GenderSourceID, p.GenderSource),
		text(p.RaceSource, sourceWidth), optional(p.RaceSourceID, p.RaceSource),
		text(p.EthnicitySource, sourceWidth), optional(p.EthnicitySourceID, p.EthnicitySource),
	}
}

func (v Visit) values(person int64, at named) []any {
	return []any{
		person, v.ConceptID, v.Start, timeOrNil(v.StartTime), v.End, timeOrNil(v.EndTime), v.TypeConceptID, at.provider, at.careSite,
		text(v.SourceValue, sourceWidth), optional(v.SourceConceptID, v.SourceValue),
		optional(v.AdmittedFromConceptID, v.AdmittedFromSource), text(v.AdmittedFromSource, sourceWidth),
		optional(v.DischargedToConceptID, v.DischargedToSource), text(v.DischargedToSource, sourceWidth),
	}
}

func (c Condition) values(person int64, at named) []any {
	return []any{
		person, c.ConceptID, c.Start, timeOrNil(c.StartTime), dateOrNil(c.End), timeOrNil(c.EndTime), c.TypeConceptID,
		optional(c.StatusConceptID, c.StatusSource), text(c.StopReason, reasonWidth), at.provider, at.visit,
		text(c.SourceValue, sourceWidth), optional(c.SourceConceptID, c.SourceValue), text(c.StatusSource, sourceWidth),
	}
}

func (d Drug) values(person int64, at named) []any {
	return []any{
		person, d.ConceptID, d.Start, timeOrNil(d.StartTime), d.End, timeOrNil(d.EndTime), dateOrNil(d.VerbatimEnd),
		d.TypeConceptID, text(d.StopReason, reasonWidth), intOrNil(d.Refills), floatOrNil(d.Quantity),
		intOrNil(d.DaysSupply), text(d.Sig, sigWidth), optional(d.RouteConceptID, d.RouteSource),
		text(d.LotNumber, sourceWidth), at.provider, at.visit, text(d.SourceValue, sourceWidth),
		optional(d.SourceConceptID, d.SourceValue), text(d.RouteSource, sourceWidth), text(d.DoseUnitSource, sourceWidth),
	}
}

func (p Procedure) values(person int64, at named) []any {
	return []any{
		person, p.ConceptID, p.Start, timeOrNil(p.StartTime), dateOrNil(p.End), timeOrNil(p.EndTime), p.TypeConceptID,
		optional(p.ModifierConceptID, p.ModifierSource), intOrNil(p.Quantity), at.provider, at.visit, text(p.SourceValue, sourceWidth),
		optional(p.SourceConceptID, p.SourceValue), text(p.ModifierSource, sourceWidth),
	}
}

func (m Measurement) values(person int64, at named) []any {
	return []any{
		person, m.ConceptID, m.Start, timeOrNil(m.StartTime), m.TypeConceptID, intUnless0(m.OperatorConceptID),
		floatOrNil(m.Number), intUnless0(m.ValueConceptID), optional(m.UnitConceptID, m.UnitSource),
		floatOrNil(m.RangeLow), floatOrNil(m.RangeHigh), at.provider, at.visit, text(m.SourceValue, sourceWidth),
		optional(m.SourceConceptID, m.SourceValue), text(m.UnitSource, sourceWidth),
		optional(m.UnitSourceConceptID, m.UnitSource), text(m.ValueSource, sourceWidth),
	}
}

func (o Observation) values(person int64, at named) []any {
	return []any{
		person, o.ConceptID, o.Start, timeOrNil(o.StartTime), o.TypeConceptID, floatOrNil(o.Number),
		text(o.Text, stringWidth), intUnless0(o.ValueConceptID), optional(o.QualifierConceptID, o.QualifierSource),
		optional(o.UnitConceptID, o.UnitSource), at.provider, at.visit, text(o.SourceValue, sourceWidth),
		optional(o.SourceConceptID, o.SourceValue), text(o.UnitSource, sourceWidth),
		text(o.QualifierSource, sourceWidth), text(o.ValueSource, sourceWidth),
	}
}

func (d Death) values(int64, named) []any {
	return []any{
		d.Date, timeOrNil(d.Time), intUnless0(d.TypeConceptID), optional(d.CauseConceptID, d.CauseSource),
		text(d.CauseSource, sourceWidth), optional(d.CauseSourceConceptID, d.CauseSource),
	}
}

func (p StatedPeriod) values(person int64, _ named) []any {
	return []any{person, p.Start, p.End, p.TypeConceptID}
}

func (d Device) values(person int64, at named) []any {
	return []any{
		person, d.ConceptID, d.Start, timeOrNil(d.StartTime), dateOrNil(d.End), timeOrNil(d.EndTime), d.TypeConceptID,
		text(d.UniqueID, deviceWidth), text(d.ProductionID, deviceWidth), intOrNil(d.Quantity), at.provider, at.visit, text(d.SourceValue, sourceWidth),
		optional(d.SourceConceptID, d.SourceValue), optional(d.UnitConceptID, d.UnitSource), text(d.UnitSource, sourceWidth),
		optional(d.UnitSourceConceptID, d.UnitSource),
	}
}

func (s Specimen) values(person int64, _ named) []any {
	return []any{
		person, s.ConceptID, s.Start, timeOrNil(s.StartTime), s.TypeConceptID, floatOrNil(s.Quantity), optional(s.UnitConceptID, s.UnitSource),
		optional(s.AnatomicSiteConceptID, s.AnatomicSiteSource), optional(s.DiseaseStatusConceptID, s.DiseaseStatusSource),
		text(s.SourceID, sourceWidth), text(s.SourceValue, sourceWidth), text(s.UnitSource, sourceWidth),
		text(s.AnatomicSiteSource, sourceWidth), text(s.DiseaseStatusSource, sourceWidth),
	}
}

// noVisit is the visit of a visit_detail whose visit is not stored: the CDM wants one.
const noVisit int64 = 0

func (v VisitDetail) values(person int64, at named) []any {
	if at.visit == nil {
		at.visit = noVisit
	}
	return []any{
		person, v.ConceptID, v.Start, timeOrNil(v.StartTime), v.End, timeOrNil(v.EndTime), v.TypeConceptID, at.provider, at.careSite, at.visit,
		text(v.SourceValue, sourceWidth), optional(v.SourceConceptID, v.SourceValue),
		optional(v.AdmittedFromConceptID, v.AdmittedFromSource), text(v.AdmittedFromSource, sourceWidth),
		optional(v.DischargedToConceptID, v.DischargedToSource), text(v.DischargedToSource, sourceWidth),
	}
}

func (p PayerPlan) values(person int64, _ named) []any {
	values := []any{person, p.Start, p.End}
	for _, c := range []Coded{p.Payer, p.Plan, p.Sponsor} {
		values = append(values, c.values()...)
	}
	return append(append(values, text(p.FamilySource, sourceWidth)), p.StopReason.values()...)
}

func (c Coded) values() []any {
	return []any{optional(c.ConceptID, c.Source), text(c.Source, sourceWidth), optional(c.SourceConceptID, c.Source)}
}

func (l Location) values(int64, named) []any {
	return []any{text(l.State, stateWidth), optional(l.CountryConceptID, l.CountrySource), text(l.CountrySource, countryWidth)}
}

func (c CareSite) values(_ int64, at named) []any {
	return []any{intOrNil(c.PlaceConceptID), at.location, text(c.PlaceSource, sourceWidth)}
}

func (p Provider) values(_ int64, at named) []any {
	return []any{
		intOrNil(p.SpecialtyConceptID), at.careSite, text(p.SpecialtySource, sourceWidth), optional(p.SpecialtySourceConceptID, p.SpecialtySource),
	}
}
