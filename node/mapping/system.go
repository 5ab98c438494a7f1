package mapping

import "cmp"

// vocabularies are the OMOP names of the code systems that FHIR names by URI.
//
// Source: https://hl7.org/fhir/R4/terminologies-systems.html, of MedDRA
// https://terminology.hl7.org, and vocabulary_id of OHDSI Athena.
var vocabularies = map[string]string{
	"http://snomed.info/sct":                      "SNOMED",
	"http://loinc.org":                            "LOINC",
	"http://www.nlm.nih.gov/research/umls/rxnorm": "RxNorm",
	"http://hl7.org/fhir/sid/cvx":                 "CVX",
	"http://hl7.org/fhir/sid/icd-10-cm":           "ICD10CM",
	"http://hl7.org/fhir/sid/icd-10":              "ICD10",
	"http://hl7.org/fhir/sid/icd-9-cm":            "ICD9CM",
	"http://www.cms.gov/Medicare/Coding/ICD10":    "ICD10PCS",
	"http://www.ama-assn.org/go/cpt":              "CPT4",
	"urn:oid:2.16.840.1.113883.6.285":             "HCPCS",
	"http://hl7.org/fhir/sid/ndc":                 "NDC",
	"http://www.whocc.no/atc":                     "ATC",
	"http://fdasis.nlm.nih.gov":                   "UNII",
	"https://www.meddra.org":                      "MedDRA",
	"http://unitsofmeasure.org":                   UCUM,
	"urn:oid:2.16.840.1.113883.6.96":              "SNOMED",
	"urn:oid:2.16.840.1.113883.6.1":               "LOINC",
	"urn:oid:2.16.840.1.113883.6.88":              "RxNorm",
	"urn:oid:2.16.840.1.113883.12.292":            "CVX",
	"urn:oid:2.16.840.1.113883.6.90":              "ICD10CM",
	"urn:oid:2.16.840.1.113883.6.103":             "ICD9CM",
	"http://www.icd10data.com/icd10pcs":           "ICD10PCS",
	"http://nucc.org/provider-taxonomy":           "NUCC",
	"https://www.cms.gov/Medicare/Coding/place-of-service-codes/Place_of_Service_Code_Set": "CMS Place of Service",
}

// KnownSystem reports whether OMOP has a vocabulary of a code system that is named as
// FHIR does.
func KnownSystem(system string) bool { return vocabularies[system] != "" }

// VocabularyOf is how a code system is named beside a code: OMOP's name of it, else the
// system as sent, else "None", the vocabulary of what is of none.
func VocabularyOf(system string) string {
	return cmp.Or(vocabularies[system], system, none)
}

// UCUM is the vocabulary of units.
const UCUM = "UCUM"

const none = "None"

// other stands for every code system that is not in the list.
const other = "other"

// Concepts that mapping itself gives, all standard in OHDSI Athena.
const (
	fromEHR = 32817 // type concept "EHR"

	male   = 8507
	female = 8532

	hispanic    = 38003563
	notHispanic = 38003564

	yes = 4188539
	no  = 4188540
)

// races are the OMB categories of US Core, https://hl7.org/fhir/us/core
// ValueSet omb-race-category. "Other race" (2131-1) has no standard concept.
var races = map[string]int64{
	"1002-5": 8657, // American Indian or Alaska Native
	"2028-9": 8515, // Asian
	"2054-5": 8516, // Black or African American
	"2076-8": 8557, // Native Hawaiian or Other Pacific Islander
	"2106-3": 8527, // White
}

var ethnicities = map[string]int64{"2135-2": hispanic, "2186-5": notHispanic}

// classes are the visit concepts of Encounter.class: HL7 v3 ActCode, and the
// words of early Synthea versions.
var classes = map[string]int64{
	"AMB": 9202, "ambulatory": 9202, "outpatient": 9202, "wellness": 9202,
	"EMER": 9203, "emergency": 9203,
	"IMP": 9201, "ACUTE": 9201, "NONAC": 9201, "inpatient": 9201,
	"HH": 581476, // home visit
	"VR": 5083,   // telehealth
}

// operators are the concepts of Quantity.comparator.
var operators = map[string]int64{"<": 4171756, "<=": 4171754, ">=": 4171755, ">": 4172704}
