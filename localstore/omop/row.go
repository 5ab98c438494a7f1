package omop

import "time"

// Record is what every event row says about itself besides its CDM columns.
type Record struct {
	// Key is the source's name of the record, unique in its table for one person.
	Key Key
	// Person is the source key of the person, as in [Person.Key].
	Person Key
	// Visit is the source key of the visit, or no key. A visit that is not in the
	// store leaves the column empty; putting the row again fills it.
	Visit Key
	// Provider and CareSite are the source keys of who gave the care and of where, as far
	// as the table has a column for them. One that is not in the store is treated likewise.
	Provider, CareSite Key
	// Pointer says where in the raw file, for example "entry[17]" or "line 4". It
	// must not repeat a value.
	Pointer string
	// Invalid and Outlier are findings of the quality checks. Invalid rows are
	// kept and left out of answers; outliers are kept and counted.
	Invalid, Outlier bool
}

// In the rows below, texts longer than their CDM column are cut, a zero time is
// no time, a nil pointer is no value. An optional concept of 0 is stored as NULL
// if there is no source value either, and as 0, "no matching concept", if there is.

// Person is a row of person. ConceptIDs of sex, race and ethnicity are 0 if unknown.
type Person struct {
	Key     Key
	Pointer string

	GenderConceptID    int64
	YearOfBirth        int // 1 to 9999
	MonthOfBirth       int // 1 to 12, or 0 for unknown
	DayOfBirth         int // 1 to 31, or 0 for unknown
	BirthDatetime      time.Time
	RaceConceptID      int64
	EthnicityConceptID int64

	SourceValue                                     string
	GenderSource, RaceSource, EthnicitySource       string
	GenderSourceID, RaceSourceID, EthnicitySourceID int64 // concepts of the above
}

// ObservationPeriod is a span that was made from the events of a person. The store
// keeps one such row of observation_period for a person, and widens it to cover all
// of them. It has none for a person who has a [StatedPeriod].
type ObservationPeriod struct {
	Person        Key
	Start, End    Date
	TypeConceptID int64
}

// StatedPeriod is a row of observation_period as a source has it: only the source
// knows when it would have heard of an event. A person may have several. Events
// outside of them do not change them. [Record.Visit] is not used.
type StatedPeriod struct {
	Record
	Start, End    Date
	TypeConceptID int64
}

// Visit is a row of visit_occurrence. [Record.Visit] is not used.
type Visit struct {
	Record
	ConceptID             int64
	Start                 Date
	StartTime             time.Time
	End                   Date
	EndTime               time.Time
	TypeConceptID         int64
	SourceValue           string
	SourceConceptID       int64
	AdmittedFromConceptID int64
	AdmittedFromSource    string
	DischargedToConceptID int64
	DischargedToSource    string
}

// Condition is a row of condition_occurrence.
type Condition struct {
	Record
	ConceptID       int64
	Start           Date
	StartTime       time.Time
	End             *Date
	EndTime         time.Time
	TypeConceptID   int64
	StatusConceptID int64
	StatusSource    string
	StopReason      string
	SourceValue     string
	SourceConceptID int64
}

// Drug is a row of drug_exposure. DaysSupply is in days, Quantity in the unit of
// the product.
type Drug struct {
	Record
	ConceptID       int64
	Start           Date
	StartTime       time.Time
	End             Date
	EndTime         time.Time
	VerbatimEnd     *Date
	TypeConceptID   int64
	StopReason      string
	Refills         *int
	Quantity        *float64
	DaysSupply      *int
	Sig             string
	RouteConceptID  int64
	RouteSource     string
	LotNumber       string
	SourceValue     string
	SourceConceptID int64
	DoseUnitSource  string
}

// Procedure is a row of procedure_occurrence.
type Procedure struct {
	Record
	ConceptID         int64
	Start             Date
	StartTime         time.Time
	End               *Date
	EndTime           time.Time
	TypeConceptID     int64
	ModifierConceptID int64
	ModifierSource    string
	Quantity          *int
	SourceValue       string
	SourceConceptID   int64
}

// Measurement is a row of measurement. Number, RangeLow and RangeHigh are in the
// unit of UnitConceptID.
type Measurement struct {
	Record
	ConceptID           int64
	Start               Date
	StartTime           time.Time
	TypeConceptID       int64
	OperatorConceptID   int64 // 0 for none
	Number              *float64
	ValueConceptID      int64 // 0 for none
	UnitConceptID       int64
	RangeLow, RangeHigh *float64
	SourceValue         string
	SourceConceptID     int64
	UnitSource          string
	UnitSourceConceptID int64
	ValueSource         string
}

// Observation is a row of observation: a fact that fits no other table.
type Observation struct {
	Record
	ConceptID          int64
	Start              Date
	StartTime          time.Time
	TypeConceptID      int64
	Number             *float64
	Text               string
	ValueConceptID     int64 // 0 for none
	QualifierConceptID int64
	QualifierSource    string
	UnitConceptID      int64
	UnitSource         string
	SourceValue        string
	SourceConceptID    int64
	ValueSource        string
}

// Death is a row of death. A person has one: the last that was put holds.
type Death struct {
	Person               Key
	Pointer              string
	Date                 Date
	Time                 time.Time
	TypeConceptID        int64
	CauseConceptID       int64
	CauseSource          string
	CauseSourceConceptID int64
}

// Device is a row of device_exposure. Quantity counts, in UnitConceptID if that is set.
type Device struct {
	Record
	ConceptID           int64
	Start               Date
	StartTime           time.Time
	End                 *Date
	EndTime             time.Time
	TypeConceptID       int64
	UniqueID            string // of the UDI: which make and model
	ProductionID        string // of the UDI: which piece
	Quantity            *int
	SourceValue         string
	SourceConceptID     int64
	UnitConceptID       int64
	UnitSource          string
	UnitSourceConceptID int64
}

// Specimen is a row of specimen. Quantity is in the unit of UnitConceptID.
// [Record.Visit] is not used.
type Specimen struct {
	Record
	ConceptID              int64
	Start                  Date
	StartTime              time.Time
	TypeConceptID          int64
	Quantity               *float64
	UnitConceptID          int64
	UnitSource             string
	AnatomicSiteConceptID  int64
	AnatomicSiteSource     string
	DiseaseStatusConceptID int64
	DiseaseStatusSource    string
	SourceID               string // of the sample
	SourceValue            string
}

// VisitDetail is a row of visit_detail, a part of the visit of [Record.Visit].
type VisitDetail struct {
	Record
	ConceptID             int64
	Start                 Date
	StartTime             time.Time
	End                   Date
	EndTime               time.Time
	TypeConceptID         int64
	SourceValue           string
	SourceConceptID       int64
	AdmittedFromConceptID int64
	AdmittedFromSource    string
	DischargedToConceptID int64
	DischargedToSource    string
}

// PayerPlan is a row of payer_plan_period. [Record.Visit] is not used.
type PayerPlan struct {
	Record
	Start, End                       Date
	Payer, Plan, Sponsor, StopReason Coded
	FamilySource                     string
}

// Coded is a concept that need not be there, with what it was made of.
type Coded struct {
	ConceptID       int64
	Source          string
	SourceConceptID int64
}

// Rows of the three tables that follow are of the site: [Record.Person] and [Record.Visit]
// are not used. What would name someone who gives care has no field.

// Location is a row of location.
type Location struct {
	Record
	State            string
	CountryConceptID int64
	CountrySource    string
}

// CareSite is a row of care_site. [Record.CareSite] is not used.
type CareSite struct {
	Record
	Location       Key  // or no key, as [Record.Visit]
	PlaceConceptID *int // what kind of place it is, 0 for one that no concept says
	PlaceSource    string
}

// Provider is a row of provider. [Record.CareSite] is where they usually work.
type Provider struct {
	Record
	SpecialtyConceptID       *int // 0 for one that no concept says
	SpecialtySource          string
	SpecialtySourceConceptID int64
}
