package report

import (
	"strings"

	"github.com/trialmesh/trialmesh/localstore/omop"
)

// rule is what a check is, before it is run. about is its description, with %s for
// the table.
type rule struct {
	category    Category
	subcategory Subcategory
	about       string
	threshold   float64 // percent
	severity    Severity
}

// rules are the checks of rows by what can be wrong with them. Thresholds are those of
// the OHDSI DataQualityDashboard, inst/csv/OMOP_CDMv5.4_Table_Level.csv and
// _Field_Level.csv of commit 2f81ca9eb736 (Apache-2.0), where it has the check, named
// behind.
var rules = map[omop.Defect]rule{
	omop.GenderConcept: {Conformance, Value, "Persons whose gender is neither of the CDM's two concepts nor 0", 0, Flag}, // isStandardValidConcept
	omop.UnknownUnit:   {Conformance, Value, "Rows of %s with a unit that the vocabulary does not have", 5, Flag},        // standardConceptRecordCompleteness

	omop.OrphanPerson: {Conformance, Relational, "Rows of %s of a person who is not stored", 0, Reject}, // isForeignKey
	omop.OrphanVisit:  {Conformance, Relational, "Rows of %s in a visit that is not stored", 0, Flag},   // isForeignKey
	omop.OtherVisit:   {Conformance, Relational, "Rows of %s in the visit of another person", 0, Reject},

	omop.UnknownGender:  {Completeness, "", "Persons without a known gender", 5, Flag}, // standardConceptRecordCompleteness
	omop.PartialBirth:   {Completeness, "", "Persons of whose birth month or day is missing", 100, Log},
	omop.NoPeriod:       {Completeness, "", "Persons without an observation period", 0, Flag}, // measurePersonCompleteness
	omop.NoVisits:       {Completeness, "", "Persons without a visit", 95, Log},               // measurePersonCompleteness
	omop.NoConditions:   {Completeness, "", "Persons without a condition", 95, Log},           // measurePersonCompleteness
	omop.NoMeasurements: {Completeness, "", "Persons without a measurement", 95, Log},         // measurePersonCompleteness
	omop.NoConcept:      {Completeness, "", "Rows of %s without a standard concept", 5, Flag}, // standardConceptRecordCompleteness
	omop.Visitless:      {Completeness, "", "Rows of %s in no visit", 100, Log},               // measureValueCompleteness
	omop.NoValue:        {Completeness, "", "Rows of %s with neither a number nor a concept as value", 100, Log},
	omop.NoUnit:         {Completeness, "", "Numbers of %s without a unit", 5, Flag},

	omop.MarkedInvalid: {Plausibility, Atemporal, "Rows of %s that a load has marked invalid and answers leave out", 1, Flag},
	omop.MarkedOutlier: {Plausibility, Atemporal, "Rows of %s that a load has flagged as implausible", 5, Log},

	omop.ImpossibleBirth: {Plausibility, Temporal, "Persons born before 1850 or in the future", 1, Reject},      // plausibleValueLow, High
	omop.BeforeBirth:     {Plausibility, Temporal, "Rows of %s before the birth of the person", 1, Reject},      // plausibleAfterBirth
	omop.AfterDeath:      {Plausibility, Temporal, "Rows of %s more than 60 days after the death", 1, Reject},   // plausibleBeforeDeath
	omop.InFuture:        {Plausibility, Temporal, "Rows of %s more than a day in the future", 1, Reject},       // plausibleValueHigh
	omop.EndBeforeStart:  {Plausibility, Temporal, "Rows of %s that end before they start", 1, Flag},            // plausibleStartBeforeEnd
	omop.OutsidePeriod:   {Plausibility, Temporal, "Rows of %s in no observation period of the person", 5, Log}, // as Achilles analyses 410 to 1810
}

// The checks that are not of one row.
const (
	ruleRepeat      = "repeat"
	ruleGender      = "implausible-gender"
	ruleBodyMass    = "body-mass-index"
	ruleUnit        = "wrong-unit"
	ruleImpossible  = "impossible-value"
	ruleImplausible = "implausible-value"
	ruleNoConcept   = "no-concept"
	ruleInFuture    = "in-future"
)

// BodyMassTolerance is by what part a body mass index may differ from what weight and
// height of the day give: both are rounded, and the weight may be another one.
const BodyMassTolerance = 0.05

// others are those checks, and of outliers those by method.
var others = map[string]rule{
	ruleBodyMass:    {Conformance, Computational, "Body mass indices that differ by over 5 % from weight and height of the same day", 1, Flag},
	ruleUnit:        {Conformance, Value, "Numbers in a unit that the variable does not have", 1, Flag},                                      // plausibleUnitConceptIds
	ruleImpossible:  {Plausibility, Atemporal, "Numbers that no living person has", 1, Reject},                                               // plausibleValueLow, High
	ruleImplausible: {Plausibility, Atemporal, "Numbers that are possible and rare outside of emergencies", 5, Log},                          // plausibleValueLow, High
	ruleRepeat:      {Plausibility, Uniqueness, "Rows of %s that say what another one says: person, concept, code, time and value", 1, Flag}, // Kahn et al., uniqueness
	ruleGender:      {Plausibility, Atemporal, "Rows of %s that persons of the other gender have", 5, Flag},                                  // plausibleGender
	iqr:             {Plausibility, Atemporal, "Numbers outside of Tukey's fences", 5, Flag},
	robustZ:         {Plausibility, Atemporal, "Numbers with a large robust z-score", 5, Log},
	ruleNoConcept:   {Completeness, "", "Variables of %s without a standard concept", 5, Flag},
	ruleInFuture:    {Plausibility, Temporal, "Variables of %s with points more than a day in the future", 0, Flag},
}

// byName finds a rule as quality.yaml names it.
func byName(name string) (rule, bool) {
	if r, ok := others[name]; ok {
		return r, true
	}
	r, ok := rules[omop.Defect(name)]
	return r, ok
}

// check makes the check of a rule for a table.
func (r rule) check(table, name, field string, of, found int64) Check {
	return Check{
		ID: table + "." + name, Category: r.category, Subcategory: r.subcategory, Description: strings.ReplaceAll(r.about, "%s", table), Table: table, Field: field,
		Denominator: of, Violations: found, Threshold: r.threshold, Severity: r.severity,
	}
}
