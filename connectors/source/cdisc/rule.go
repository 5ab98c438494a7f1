package cdisc

import "github.com/trialmesh/trialmesh/connectors/source/fhir"

// What a data set can break besides the rules of package fhir. The values are stable:
// operators filter by them.
const (
	RuleNotCDISC           fhir.Rule = "not-cdisc"           // no data set of SDTM or ADaM
	RuleUnsupportedVersion fhir.Rule = "unsupported-version" // of Dataset-JSON or SAS transport
	RuleMalformedXPORT     fhir.Rule = "malformed-xport"     // headers that do not follow each other, impossible lengths
	RuleMalformedRow       fhir.Rule = "malformed-row"       // quotes that do not match
	RuleRaggedRow          fhir.Rule = "ragged-row"          // more or fewer values than variables
	RuleRowCount           fhir.Rule = "row-count"           // a data set has not as many rows as it says
	RuleWrongDomain        fhir.Rule = "wrong-domain"        // DOMAIN or RDOMAIN is not two letters
	RuleNoPatient          fhir.Rule = "no-patient"          // USUBJID or STUDYID is empty
	RuleRepeatedRow        fhir.Rule = "repeated-row"        // the same row came before
	RuleRepeatedKey        fhir.Rule = "repeated-key"        // another row with the same key came before
	RuleStudyDayOnly       fhir.Rule = "study-day-only"      // a study day without a date
)
