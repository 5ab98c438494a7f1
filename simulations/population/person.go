package population

import "math"

// rowsPerPerson spaces row ids so that they are known without the other
// people. 20 years of monthly visits have 1,440 measurements.
const rowsPerPerson = 4096

// onset is a condition or a treatment that lasts from a day on.
type onset struct {
	concept int64
	from    day
}

// person is one person while the rows are being made.
type person struct {
	source
	*Generator
	h      *History
	id     int64
	traits traits
	born   day

	conditions, drugs []onset
	// offsets are this person's lasting differences from the mean of people
	// alike, in standard deviations.
	pressure, sugar, lipid, filtration float64
}

func (g *Generator) fill(h *History, k int64) {
	p := &person{source: sourceOf(g.seed, k), Generator: g, h: h, id: k + 1, conditions: make([]onset, 0, 5), drugs: make([]onset, 0, 6)}
	p.demographics()
	p.diagnose()
	p.treat()
	p.visits()
}

func (p *person) demographics() {
	t := &p.traits
	t.age = p.drawAge()
	gender := int64(Female)
	if p.chance(0.491) { // 2020 Census
		t.male, gender = 1, Male
	}
	t.bmi = clamp(bmiMean(t.age)*math.Exp(0.21*p.normal()), 11, 75)
	t.decade, t.weight = (t.age-50)/10, (t.bmi-29)/5
	p.pressure, p.sugar, p.lipid, p.filtration = p.normal(), p.normal(), p.normal(), p.normal()
	p.born = p.end - day(t.age*daysPerYear)
	year, month, date := p.born.time().Date()
	ethnicity := int64(ethnicityN)
	if p.chance(hispanic) {
		ethnicity = ethnicityHispanic
	}
	p.h.Person = Person{
		PersonID: p.id, GenderConceptID: gender, YearOfBirth: year, MonthOfBirth: int(month), DayOfBirth: date,
		RaceConceptID: p.drawRace(), EthnicityConceptID: ethnicity,
	}
	p.h.ObservationPeriod = ObservationPeriod{
		ObservationPeriodID: p.id, PersonID: p.id, StartDate: max(p.start, p.born).time(), EndDate: p.end.time(), PeriodTypeConceptID: fromEHR,
	}
}

func (p *person) drawAge() float64 {
	at := p.uniform() * 100
	for _, b := range ageBands {
		if at < b.percent {
			return float64(b.from) + at/b.percent*float64(b.to-b.from)
		}
		at -= b.percent
	}
	return float64(ageBands[len(ageBands)-1].from)
}

func (p *person) drawRace() int64 {
	at := p.uniform() * 100
	for _, r := range races {
		if at < r.percent {
			return r.concept
		}
		at -= r.percent
	}
	return 0
}

// diagnose decides on the conditions and writes their rows.
func (p *person) diagnose() {
	p.h.Conditions = p.h.Conditions[:0]
	t := p.traits
	if t.age >= 18 {
		hypertension := p.has(Hypertension, t.hypertension(), 18)
		diabetes := p.has(Type2Diabetes, t.diabetes(hypertension), 18)
		if diabetes == 0 {
			p.has(Prediabetes, t.prediabetes(), 18)
		}
		p.has(ChronicKidney, t.kidney(hypertension, diabetes), 18)
	}
	p.has(Asthma, t.asthma(), 1)
}

// has draws a condition and, if it is there, when it began: some years ago,
// but not before the age of from. It returns 1 or 0 for the formulas.
func (p *person) has(concept int64, chance, from float64) float64 {
	if !p.chance(chance) || p.traits.age < from {
		return 0
	}
	years := min(p.exponential(8), (p.traits.age-from)*p.uniform())
	began := p.end - day(years*daysPerYear)
	p.conditions = append(p.conditions, onset{concept, began})
	p.h.Conditions = append(p.h.Conditions, Condition{
		ConditionOccurrenceID: p.row(len(p.h.Conditions)), PersonID: p.id, ConditionConceptID: concept,
		ConditionStartDate: began.time(), ConditionTypeConceptID: fromEHR,
	})
	return 1
}

func (p *person) row(n int) int64 { return p.id*rowsPerPerson + int64(n) }

// treat decides on the drugs and writes one row per 90 days within observation.
func (p *person) treat() {
	p.h.Drugs = p.h.Drugs[:0]
	for _, c := range p.conditions {
		switch c.concept {
		case Hypertension:
			if p.chance(p.traits.treated()) {
				first, second := int64(Lisinopril), int64(Amlodipine)
				if p.chance(0.4) {
					first, second = second, first
				}
				p.takes(first, c.from, 1)
				p.takes(second, c.from+180, 0.3)
			}
			p.takes(Atorvastatin, c.from+90, 0.35)
		case Type2Diabetes:
			p.takes(Metformin, c.from, 0.75)
			p.takes(Insulin, c.from+720, 0.25)
			p.takes(Atorvastatin, c.from+90, 0.5)
		case Asthma:
			p.takes(Albuterol, c.from, 0.8)
		}
	}
}

const supply = 90 // days

func (p *person) takes(drug int64, from day, chance float64) {
	if !p.chance(chance) || from > p.end || p.on(p.drugs, drug, p.end) {
		return
	}
	p.drugs = append(p.drugs, onset{drug, from})
	for at := max(from, p.start); at <= p.end; at += supply {
		p.h.Drugs = append(p.h.Drugs, Drug{
			DrugExposureID: p.row(len(p.h.Drugs)), PersonID: p.id, DrugConceptID: drug, DaysSupply: supply,
			DrugExposureStartDate: at.time(), DrugExposureEndDate: min(at+supply-1, p.end).time(), DrugTypeConceptID: fromEHR,
		})
	}
}

// on reports whether something has begun by a day.
func (p *person) on(list []onset, concept int64, at day) bool {
	for _, o := range list {
		if o.concept == concept && o.from <= at {
			return true
		}
	}
	return false
}
