package table

import "github.com/trialmesh/trialmesh/connectors/source/fhir"

// What a table can break besides the rules of package fhir. The values are stable:
// operators filter by them.
const (
	RuleWrongHeader    fhir.Rule = "wrong-header"    // the header has not the columns of the mapping
	RuleAmbiguousTable fhir.Rule = "ambiguous-table" // two mappings are for this header
	RuleMalformedRow   fhir.Rule = "malformed-row"   // quotes that do not match
	RuleRaggedRow      fhir.Rule = "ragged-row"      // more or fewer cells than the header
	RuleRepeatedRow    fhir.Rule = "repeated-row"    // the same row came before
	RuleRepeatedKey    fhir.Rule = "repeated-key"    // another row with the same key came before
	RuleNoPatient      fhir.Rule = "no-patient"      // the patient's cell is empty
	RuleSpreadsheet    fhir.Rule = "spreadsheet"     // what a spreadsheet made of a cell: 1E+05, 44927, 8-Jan, #N/A
	RuleUnknownWord    fhir.Rule = "unknown-word"    // a sex or status that neither FHIR nor codes: knows
)
