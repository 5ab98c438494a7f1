package population

import (
	"slices"
	"time"
)

// History is all rows of one person. Rows of each table are in order of
// visit; conditions, drugs and measurements refer to a visit or to 0.
type History struct {
	Person            Person
	ObservationPeriod ObservationPeriod
	Visits            []Visit
	Conditions        []Condition
	Drugs             []Drug
	Measurements      []Measurement
}

// Clone returns a copy that shares nothing with h.
func (h *History) Clone() History {
	c := *h
	c.Visits, c.Conditions = slices.Clone(h.Visits), slices.Clone(h.Conditions)
	c.Drugs, c.Measurements = slices.Clone(h.Drugs), slices.Clone(h.Measurements)
	return c
}

// Person is a row of person. IDs count from 1.
type Person struct {
	PersonID           int64
	GenderConceptID    int64
	YearOfBirth        int
	MonthOfBirth       int
	DayOfBirth         int
	RaceConceptID      int64
	EthnicityConceptID int64
}

// ObservationPeriod is a row of observation_period.
type ObservationPeriod struct {
	ObservationPeriodID int64
	PersonID            int64
	StartDate, EndDate  time.Time // UTC midnight
	PeriodTypeConceptID int64
}

// Visit is a row of visit_occurrence, of one day.
type Visit struct {
	VisitOccurrenceID  int64
	PersonID           int64
	VisitConceptID     int64
	StartDate, EndDate time.Time
	VisitTypeConceptID int64
}

// Condition is a row of condition_occurrence: a diagnosis and when it was made.
type Condition struct {
	ConditionOccurrenceID  int64
	PersonID               int64
	ConditionConceptID     int64
	ConditionStartDate     time.Time
	ConditionTypeConceptID int64
}

// Drug is a row of drug_exposure: one dispensing.
type Drug struct {
	DrugExposureID        int64
	PersonID              int64
	DrugConceptID         int64 // ingredient
	DrugExposureStartDate time.Time
	DrugExposureEndDate   time.Time
	DrugTypeConceptID     int64
	DaysSupply            int
}

// Measurement is a row of measurement. The unit belongs to the concept.
type Measurement struct {
	MeasurementID            int64
	PersonID                 int64
	MeasurementConceptID     int64
	MeasurementDate          time.Time
	MeasurementTypeConceptID int64
	ValueAsNumber            float64 // rounded as a device or laboratory would
	UnitConceptID            int64
	VisitOccurrenceID        int64
}
