package ccda

import (
	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/connectors/source/hl7v2"
)

// What a document can break besides the rules of package fhir. The values are stable:
// operators filter by them.
const (
	RuleMalformedXML        fhir.Rule = "malformed-xml"           // not XML 1.0; the rest of the document is not read
	RuleForbiddenDTD        fhir.Rule = "forbidden-dtd"           // a document type declaration, which CDA has none of
	RuleUndeclaredNamespace fhir.Rule = "undeclared-namespace"    // a prefix without xmlns, or no xmlns at all
	RuleNotClinicalDocument fhir.Rule = "not-a-clinical-document" // XML of another kind
	RuleUnsupportedCharset  fhir.Rule = hl7v2.RuleUnsupportedCharset
	RuleNoPatient           fhir.Rule = hl7v2.RuleNoPatient
)
