package population

// visits writes the visits, more of them the more conditions there are, and
// what was measured at each.
func (p *person) visits() {
	p.h.Visits, p.h.Measurements = p.h.Visits[:0], p.h.Measurements[:0]
	interval := daysPerYear / (0.9 + 0.7*float64(len(p.conditions))) // mean days between visits
	for at := max(p.start, p.born); ; {
		at += day(clamp(p.exponential(interval), 30, 3*daysPerYear))
		if at > p.end {
			return
		}
		visit := p.row(len(p.h.Visits))
		p.h.Visits = append(p.h.Visits, Visit{
			VisitOccurrenceID: visit, PersonID: p.id, VisitConceptID: Outpatient,
			StartDate: at.time(), EndDate: at.time(), VisitTypeConceptID: fromEHR,
		})
		p.measure(at, visit)
	}
}

// measure writes the measurements of one visit. Each is a mean of people alike on
// that day, plus what sets this person apart, plus the error of the moment.
func (p *person) measure(at day, visit int64) {
	has := func(condition int64) float64 { return indicator(p.on(p.conditions, condition, at)) }
	takes := func(drug int64) float64 { return indicator(p.on(p.drugs, drug, at)) }
	t := p.traits
	age := t.age - float64(p.end-at)/daysPerYear
	adult := indicator(age >= 18)
	older := max(0, age-18)

	systolic := 91 + 0.9*min(age, 18) + 0.28*older + 0.30*(t.bmi-27)*adult + 3*t.male*adult +
		16*has(Hypertension) - 8*takes(Lisinopril) - 8*takes(Amlodipine) + 7*p.pressure + 6*p.normal()
	diastolic := 30 + 0.36*systolic + 6*p.normal()
	p.add(at, visit, Systolic, unitMercury, clamp(systolic, 70, 240), 1)
	p.add(at, visit, Diastolic, unitMercury, clamp(diastolic, 35, 140), 1)
	p.add(at, visit, BodyMassIndex, unitBMI, clamp(t.bmi+0.4*p.normal(), 10, 80), 10)
	if adult == 0 {
		return
	}
	a1c := 5.25 + 0.004*older + 0.02*(t.bmi-27) + 0.45*has(Prediabetes) + 2.6*has(Type2Diabetes) -
		0.9*takes(Metformin) - 0.7*takes(Insulin) + (0.20+0.6*has(Type2Diabetes))*p.sugar + 0.12*p.normal()
	ldl := 112 + 0.15*min(older, 40) + 0.5*(t.bmi-27) - 42*takes(Atorvastatin) + 26*p.lipid + 8*p.normal()
	egfr := 112 - 0.75*older - 34*has(ChronicKidney) + 11*p.filtration + 4*p.normal()
	p.add(at, visit, HemoglobinA1c, unitPercent, clamp(a1c, 3.8, 16), 10)
	p.add(at, visit, LDLCholesterol, unitMilligramPerDeciliter, clamp(ldl, 20, 320), 1)
	p.add(at, visit, EGFR, unitGFR, clamp(egfr, 5, 140), 1)
}

func (p *person) add(at day, visit, concept, unit int64, value, parts float64) {
	p.h.Measurements = append(p.h.Measurements, Measurement{
		MeasurementID: p.row(len(p.h.Measurements)), PersonID: p.id, MeasurementConceptID: concept,
		MeasurementDate: at.time(), MeasurementTypeConceptID: fromEHR,
		ValueAsNumber: round(value, parts), UnitConceptID: unit, VisitOccurrenceID: visit,
	})
}

func indicator(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
