package omop

import (
	"context"
	"math"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Batch is what one pass of a mapper over a raw file, or over a part of it, gives
// to the store. Some thousand rows are a good size. It may hold rows of persons
// and visits that were put before.
type Batch struct {
	// Raw is the SHA-256 of the raw file.
	Raw [32]byte
	// Mapper names the mapper and its version, with that of the vocabulary.
	Mapper string
	// At is when the batch is stored.
	At time.Time
	// Position is that of the raw file in the order in which files came. What a later
	// file says of a row stands, whichever is put last.
	Position int64

	Persons      []Person
	Periods      []ObservationPeriod
	Visits       []Visit
	Conditions   []Condition
	Drugs        []Drug
	Procedures   []Procedure
	Measurements []Measurement
	Observations []Observation
	Deaths       []Death
	Stated       []StatedPeriod
	Devices      []Device
	Specimens    []Specimen
	VisitDetails []VisitDetail
	PayerPlans   []PayerPlan
	Locations    []Location
	CareSites    []CareSite
	Providers    []Provider

	// Merges are applied when the persons of the batch are stored, before its events.
	Merges []Merge
	// MayMerge is asked before two stored persons become one, in the transaction of Put;
	// it does what else that takes at the site. Defaults to allowing it.
	MayMerge func(ctx context.Context, tx *sqldb.Tx, survivor, retired PersonID) (bool, error)
}

// Result counts what became of the rows of a batch; Batch.Periods are not counted.
type Result struct {
	Stored     int // new
	Replaced   int // known, with a changed content
	Duplicates int // known, unchanged
	Superseded int // known with another content, of a file that came later: left as they are
	Merged     int // names of persons that are another's now
	Refused    []Refusal

	// Visitless are the pointers of rows that name a visit which is neither in the
	// batch nor in the store. They are stored without one.
	Visitless []string

	// Unnamed are, by column, those of rows that name a provider, a care site or a location
	// which is not there either.
	Unnamed map[string][]string
}

// Rule says why a row was refused.
type Rule string

// The rules.
const (
	MissingKey     Rule = "missing-key"      // of the row or of its person
	UnknownPerson  Rule = "unknown-person"   // neither in the batch nor in the store
	NotFinite      Rule = "not-finite"       // a number is infinite or no number
	DateRange      Rule = "date-range"       // a year outside 1 to 9999
	NumberRange    Rule = "number-range"     // an integer or concept beyond 31 bits or a negative concept
	BirthDateRange Rule = "birth-date-range" // a year, month or day of birth that cannot be

	// Of merges:
	MergeRefused    Rule = "merge-refused"    // by Batch.MayMerge
	MergedElsewhere Rule = "merged-elsewhere" // the retired name was merged with another person before
)

// Refusal is a row that was not stored. It holds no value of the row.
type Refusal struct {
	Table   Table
	Pointer string
	Rule    Rule
}

var (
	firstDay = sqldb.Day(1, time.January, 1)
	lastDay  = sqldb.Day(9999, time.December, 31)
)

// rows returns the rows of the batch for t.
func (b *Batch) rows(t Table) []row {
	switch t {
	case PersonTable:
		return asRows(b.Persons)
	case VisitTable:
		return asRows(b.Visits)
	case ConditionTable:
		return asRows(b.Conditions)
	case DrugTable:
		return asRows(b.Drugs)
	case ProcedureTable:
		return asRows(b.Procedures)
	case MeasurementTable:
		return asRows(b.Measurements)
	case ObservationTable:
		return asRows(b.Observations)
	case DeathTable:
		return asRows(b.Deaths)
	case PeriodTable:
		return asRows(b.Stated)
	case DeviceTable:
		return asRows(b.Devices)
	case SpecimenTable:
		return asRows(b.Specimens)
	case VisitDetailTable:
		return asRows(b.VisitDetails)
	case PayerPlanTable:
		return asRows(b.PayerPlans)
	case LocationTable:
		return asRows(b.Locations)
	case CareSiteTable:
		return asRows(b.CareSites)
	case ProviderTable:
		return asRows(b.Providers)
	default:
		panic("omop: no such table")
	}
}

func asRows[T row](in []T) []row {
	out := make([]row, len(in))
	for i, r := range in {
		out[i] = r
	}
	return out
}

// check returns the rule that a row of t breaks, if any.
func check(t Table, r row) (Rule, bool) {
	if rec := r.record(); rec.Key.IsZero() || rec.Person.IsZero() && !t.ofSite() {
		return MissingKey, true
	}
	if p, ok := r.(Person); ok && !plausibleBirth(p) {
		return BirthDateRange, true
	}
	if r.concept() < 0 {
		return NumberRange, true
	}
	if p, ok := r.(StatedPeriod); ok && p.End < p.Start {
		return DateRange, true
	}
	if p, ok := r.(PayerPlan); ok && p.End < p.Start {
		return DateRange, true
	}
	for _, v := range r.values(0, named{}) {
		switch v := v.(type) {
		case float64:
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return NotFinite, true
			}
		case Date:
			if v < firstDay || v > lastDay {
				return DateRange, true
			}
		case time.Time:
			if y := v.Year(); y < 1 || y > 9999 {
				return DateRange, true
			}
		case int64:
			if v < math.MinInt32 || v > math.MaxInt32 {
				return NumberRange, true
			}
		}
	}
	return "", false
}

func plausibleBirth(p Person) bool {
	return p.YearOfBirth >= 1 && p.YearOfBirth <= 9999 &&
		p.MonthOfBirth >= 0 && p.MonthOfBirth <= 12 && p.DayOfBirth >= 0 && p.DayOfBirth <= 31
}
