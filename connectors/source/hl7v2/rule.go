package hl7v2

import "github.com/trialmesh/trialmesh/connectors/source/fhir"

// What a message can break besides the rules of package fhir. The values are stable:
// operators filter by them.
const (
	RuleOutsideMessage     fhir.Rule = "outside-message"     // text before the first MSH, or between frames
	RuleMalformedHeader    fhir.Rule = "malformed-header"    // an MSH whose delimiters cannot be told apart
	RuleMalformedSegment   fhir.Rule = "malformed-segment"   // a line that does not begin with a segment's name
	RuleUnsupportedCharset fhir.Rule = "unsupported-charset" // MSH-18 names a character set this package does not read
	RuleUnsupportedVersion fhir.Rule = "unsupported-version" // MSH-12 is not 2.1 to 2.9
	RuleNoPatient          fhir.Rule = "no-patient"          // clinical data without an identified patient
	RuleBatchCount         fhir.Rule = "batch-count"         // BTS-1 is not the number of messages that came
)
