package wearable

import "github.com/trialmesh/trialmesh/connectors/source/fhir"

// The rules of this package, besides those of package fhir.
const (
	RuleUnknownWearable fhir.Rule = "unknown-wearable"  // a maker that this package does not read
	RuleUnknownPayload  fhir.Rule = "unknown-payload"   // nothing in the payload is known, or it is another maker's
	RuleUnknownMeasure  fhir.Rule = "unknown-measure"   // a kind of value that this package does not know
	RuleNotKept         fhir.Rule = "not-kept"          // known, and no series of numbers: a place, a note, a profile
	RuleUndated         fhir.Rule = "undated"           // values whose day is not in the payload
	RuleMissingTimezone fhir.Rule = "missing-timezone"  // times of day without an offset, and no timezone named
	RuleEndBeforeStart  fhir.Rule = "end-before-start"  // an interval that ends before it begins
	RuleInvalidUnit     fhir.Rule = "invalid-unit"      // a unit that the measure cannot have
	RuleUnitMismatch    fhir.Rule = "unit-mismatch"     // weight and BMI that no person has: probably other units
	RuleSeveralUsers    fhir.Rule = "several-users"     // a second user in a document of one patient
	RuleAmbiguousUser   fhir.Rule = "ambiguous-user"    // the maker does not know whose value it is
	RuleRepeatedPoint   fhir.Rule = "repeated-point"    // a value that came before; named once a variable
	RuleConflict        fhir.Rule = "conflicting-point" // another value for the same time; the first counts
	RuleRefused         fhir.Rule = "refused-request"   // the maker answered with an error
)
