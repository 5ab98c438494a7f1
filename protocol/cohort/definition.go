package cohort

// Definition is an OHDSI cohort definition, element by element as Circe has it. Its
// members keep Circe's names, without what only ATLAS displays.
//
// A person's entries are found in this order: primary events, their limit, additional
// criteria, qualified limit, inclusion rules, expression limit, end of each entry by
// strategy and censoring, collapse, censor window.
type Definition struct {
	ConceptSets []ConceptSet
	Primary     Primary

	// Additional criteria restrict the primary events; nil for none.
	Additional     *Group
	QualifiedLimit Limit

	Rules           []Rule
	ExpressionLimit Limit

	// End says when an entry ends; without one, with the observation period.
	End EndStrategy

	// Censoring events end an entry on their first day after it began.
	Censoring []Criterion

	// EraPad is how many days apart a person's entries may be to become one.
	EraPad int

	// CensorWindow cuts entries off; either end may be absent.
	CensorWindow Period

	// Idle are the paths of members that stand in the definition and do nothing there,
	// such as an empty list of concepts. They are kept for [Definition.Lint] alone.
	Idle []string
}

// ConceptSet is a named set of concepts, by rule.
type ConceptSet struct {
	ID    int
	Name  string
	Items []Item
}

// Item adds a concept to a set or, excluded, takes it away.
type Item struct {
	Concept     int64
	Excluded    bool
	Descendants bool // with all descendants of the concept
	Mapped      bool // with the concepts that map to these

	// As ATLAS displays them; they mean nothing to evaluation. Standard is S, C
	// (classification) or N, Invalid is V (valid), D (deleted) or U (updated); both
	// may be empty.
	Name, Standard, Invalid string
}

// Limit chooses among a person's events.
type Limit string

// The limits.
const (
	All   Limit = "All"
	First Limit = "First"
	Last  Limit = "Last"
)

// Primary are the criteria one of which an entry begins with.
type Primary struct {
	Criteria []Criterion

	// PriorDays and PostDays are the days of observation required around the event.
	PriorDays, PostDays int

	Limit Limit
}

// Rule is a named inclusion rule.
type Rule struct {
	Name, Description string
	Group             Group
}

// GroupType says how many of a group's parts must hold.
type GroupType string

// The types of groups.
const (
	AllOf   GroupType = "ALL"
	AnyOf   GroupType = "ANY"
	AtLeast GroupType = "AT_LEAST"
	AtMost  GroupType = "AT_MOST"
)

// Group combines criteria about one event. An empty group holds.
type Group struct {
	Type         GroupType
	Count        int // for AtLeast and AtMost
	Criteria     []Correlated
	Demographics []Demographic
	Groups       []Group
}

// Correlated counts the events of a criterion in a window around the event of the group.
type Correlated struct {
	Criterion Criterion
	Start     Window  // for the start of the criterion's event, or what UseEventEnd says
	End       *Window // for its end, nil for any

	SameVisit               bool // RestrictVisit
	IgnoreObservationPeriod bool

	Occurrence Occurrence
}

// Window is a span of days relative to the event of the group.
type Window struct {
	Start, End Endpoint

	// UseIndexEnd counts from the end of the group's event, UseEventEnd compares the end
	// of the criterion's. Nil is Circe's default, which differs between the two windows.
	UseIndexEnd, UseEventEnd *bool
}

// Endpoint is one end of a window: Coeff (-1 before, 1 after) times Days, or, without
// days, as far as the observation period reaches that way.
type Endpoint struct {
	Days  *int
	Coeff int
}

// OccurrenceType compares a number of events.
type OccurrenceType int

// The comparisons, by Circe's numbers.
const (
	Exactly      OccurrenceType = 0
	AtMostTimes  OccurrenceType = 1
	AtLeastTimes OccurrenceType = 2
)

// Occurrence is how many events there must be.
type Occurrence struct {
	Type     OccurrenceType
	Count    int
	Distinct bool

	// CountColumn is what Distinct tells apart; empty for the concept of the domain.
	CountColumn string
}

// Criterion is "an event of this domain that passes the filters".
type Criterion struct {
	Domain Domain

	// ConceptSet is the id of the set of standard concepts, nil for any concept.
	ConceptSet *int

	// First keeps a person's first event of the concept set, before any other filter.
	First bool

	// Filters are in the order of their fields' names; one event must pass all.
	Filters []Filter

	DateAdjustment *DateAdjustment
	Correlated     *Group // about the criterion's own event, nil for none
}

// Filter is one condition on a field of an event or of its person. Exactly one of the
// pointers, as the field's [Kind] says, is set; Concepts for KindConcepts, Flag for
// KindFlag.
type Filter struct {
	Field string // Circe's name, such as ValueAsNumber

	Number   *NumericRange
	Date     *DateRange
	Text     *TextFilter
	Concepts []int64 // any of them; for a type with its Exclude flag, none
	Exclude  bool
	Set      *SetSelection
	Source   *int // id of the concept set that the source concept must be in
	Flag     bool
	Period   *Period

	// Names are what ATLAS displays for Concepts, in their order; they mean nothing to
	// evaluation.
	Names []string
}

// NumericRange is a comparison with numbers: lt, lte, eq, !eq, gt, gte, bt, !bt.
type NumericRange struct {
	Op     string
	Value  float64
	Extent float64 // for bt and !bt, inclusive
}

// DateRange is a comparison with days, by the operators of NumericRange.
type DateRange struct {
	Op            string
	Value, Extent string // YYYY-MM-DD
}

// TextFilter is a comparison with text: startsWith, contains, endsWith, eq or, after !, their
// negation.
type TextFilter struct{ Op, Text string }

// SetSelection is membership of a concept set, or its absence. Without a set the field
// must be absent or present.
type SetSelection struct {
	Set       *int
	Exclusion bool
}

// Period is a span of days, YYYY-MM-DD; either end may be empty.
type Period struct{ Start, End string }

// DateAdjustment moves the days of an event before anything looks at them.
type DateAdjustment struct {
	StartWithEnd bool // start from the event's end
	StartOffset  int  // days
	EndWithStart bool // end from the event's start
	EndOffset    int  // days
}

// Demographic is a condition on the person at the event of the group. Its fields are
// Circe's: Age, Gender, Race, Ethnicity, their concept sets, and the days of the event.
type Demographic struct{ Filters []Filter }

// EndStrategy is how an entry ends. At most one is set.
type EndStrategy struct {
	Offset *DateOffset
	Era    *CustomEra
}

// DateOffset ends an entry some days after the start or the end of its event.
type DateOffset struct {
	FromEnd bool
	Days    int
}

// CustomEra ends an entry with the era of exposure to the drugs of a set.
type CustomEra struct {
	ConceptSet int
	GapDays    int
	Offset     int
	DaysSupply *int // in place of what the exposures say
}
