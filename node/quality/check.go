package quality

import (
	"time"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Check marks the rows of b and returns how often each rule was broken. Persons and
// deaths of b are learned first.
func (c *Checker) Check(b *omop.Batch) map[Rule]int {
	c.Learn(b)
	k := &check{Checker: c, found: map[Rule]int{}, seen: map[fact]omop.Key{}}
	for i := range b.Visits {
		r := &b.Visits[i]
		k.span(&r.Record, r.Start, &r.End)
	}
	for i := range b.Conditions {
		r := &b.Conditions[i]
		k.span(&r.Record, r.Start, r.End)
		k.duplicate(r.Record, fact{table: omop.ConditionTable, concept: r.ConceptID, source: r.SourceValue, day: r.Start, at: r.StartTime.UnixMicro()})
	}
	for i := range b.Drugs {
		r := &b.Drugs[i]
		k.span(&r.Record, r.Start, &r.End)
		k.duplicate(r.Record, fact{table: omop.DrugTable, concept: r.ConceptID, source: r.SourceValue, day: r.Start, at: r.StartTime.UnixMicro()})
	}
	for i := range b.Procedures {
		r := &b.Procedures[i]
		k.span(&r.Record, r.Start, r.End)
		k.duplicate(r.Record, fact{table: omop.ProcedureTable, concept: r.ConceptID, source: r.SourceValue, day: r.Start, at: r.StartTime.UnixMicro()})
	}
	for i := range b.Measurements {
		r := &b.Measurements[i]
		k.span(&r.Record, r.Start, nil)
		k.value(r)
		f := fact{table: omop.MeasurementTable, concept: r.ConceptID, source: r.SourceValue, day: r.Start, at: r.StartTime.UnixMicro(), text: r.ValueSource}
		if r.Number != nil {
			f.number = *r.Number
		}
		k.duplicate(r.Record, f)
	}
	for i := range b.Observations {
		r := &b.Observations[i]
		k.span(&r.Record, r.Start, nil)
		f := fact{table: omop.ObservationTable, concept: r.ConceptID, source: r.SourceValue, day: r.Start, at: r.StartTime.UnixMicro(), text: r.ValueSource}
		if r.Number != nil {
			f.number = *r.Number
		}
		k.duplicate(r.Record, f)
	}
	k.moreEvents(b)
	return k.found
}

// moreEvents checks when the other events took place.
func (k *check) moreEvents(b *omop.Batch) {
	for i := range b.Devices {
		r := &b.Devices[i]
		k.span(&r.Record, r.Start, r.End)
		k.duplicate(r.Record, fact{table: omop.DeviceTable, concept: r.ConceptID, source: r.SourceValue, day: r.Start, at: r.StartTime.UnixMicro(), text: r.UniqueID})
	}
	for i := range b.Specimens {
		r := &b.Specimens[i]
		k.span(&r.Record, r.Start, nil)
		k.duplicate(r.Record, fact{table: omop.SpecimenTable, concept: r.ConceptID, source: r.SourceValue, day: r.Start, at: r.StartTime.UnixMicro(), text: r.SourceID})
	}
	for i := range b.VisitDetails {
		r := &b.VisitDetails[i]
		k.span(&r.Record, r.Start, &r.End)
	}
}

// Learn remembers when the persons of b lived.
func (c *Checker) Learn(b *omop.Batch) {
	for _, p := range b.Persons {
		if len(c.lives) >= maxPersons {
			return
		}
		l := life{birth: sqldb.Day(p.YearOfBirth, time.Month(max(p.MonthOfBirth, 1)), max(p.DayOfBirth, 1)), death: never}
		c.lives[p.Key] = l
	}
	for _, d := range b.Deaths {
		if l, ok := c.lives[d.Person]; ok {
			l.death = d.Date
			c.lives[d.Person] = l
		}
	}
}

// check is the state of one Check.
type check struct {
	*Checker
	found map[Rule]int
	seen  map[fact]omop.Key
}

// fact is what makes two rows of different records say the same.
type fact struct {
	person  omop.Key
	table   omop.Table
	concept int64
	source  string
	day     omop.Date
	at      int64
	number  float64
	text    string
}

func (k *check) reject(r *omop.Record, rule Rule) {
	r.Invalid = true
	k.found[rule]++
}

func (k *check) flag(r *omop.Record, rule Rule) {
	r.Outlier = true
	k.found[rule]++
}

// span checks when a row took place.
func (k *check) span(r *omop.Record, start omop.Date, end *omop.Date) {
	l, known := k.lives[r.Person]
	if known && start < l.birth {
		k.reject(r, BeforeBirth)
	}
	if known && l.death != never && start > l.death+Grace {
		k.reject(r, AfterDeath)
	}
	if start > k.tomorrow {
		k.reject(r, InFuture)
	}
	if end != nil && *end < start {
		k.flag(r, EndBeforeStart)
	}
}

func (k *check) duplicate(r omop.Record, f fact) {
	f.person = r.Person
	if key, ok := k.seen[f]; ok && key != r.Key {
		k.found[Duplicate]++
		return
	}
	k.seen[f] = r.Key
}
