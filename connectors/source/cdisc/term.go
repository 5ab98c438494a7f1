package cdisc

import "github.com/trialmesh/trialmesh/connectors/source/fhir"

// URIs of code systems.
//
// Source: https://hl7.org/fhir/R4/terminologies-systems.html and, of MedDRA,
// https://terminology.hl7.org.
const (
	loinc      = "http://loinc.org"
	snomed     = "http://snomed.info/sct"
	medDRA     = "https://www.meddra.org"
	ucumSystem = "http://unitsofmeasure.org"
	raceSystem = "urn:oid:2.16.840.1.113883.6.238"

	interpretations    = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
	categories         = "http://terminology.hl7.org/CodeSystem/observation-category"
	absentReason       = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
	clinicalStatus     = "http://terminology.hl7.org/CodeSystem/condition-clinical"
	verificationStatus = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
)

// vitalSigns are the LOINC codes of terms of CDISC's codelist Vital Signs Test Code (C66741).
// A position (VSPOS) or place (VSLOC) makes no other code of them.
//
// Source: the profiles of vital signs in https://hl7.org/fhir/R4/observation-vitalsigns.html,
// to which HL7's and CDISC's "FHIR to CDISC Joint Mapping Implementation Guide" 1.0 maps VS.
// PULSE is taken for the heart rate, for which FHIR has one profile.
var vitalSigns = map[string]string{
	"SYSBP":  "8480-6",
	"DIABP":  "8462-4",
	"PULSE":  "8867-4",
	"HR":     "8867-4",
	"RESP":   "9279-1",
	"TEMP":   "8310-5",
	"HEIGHT": "8302-2",
	"WEIGHT": "29463-7",
	"BMI":    "39156-5",
	"HDCIRC": "9843-4",
	"OXYSAT": "2708-6",
}

// categoryOf are FHIR's categories of observations by domain.
var categoryOf = map[string]string{
	"LB": "laboratory", "MB": "laboratory", "PC": "laboratory", "IS": "laboratory", "VS": "vital-signs",
	"QS": "survey", "FT": "survey", "RS": "survey", "SC": "social-history", "PE": "exam", "EG": "procedure",
}

// flags are HL7's interpretations of CDISC's codelist Reference Range Indicator (C78736).
var flags = map[string]string{"NORMAL": "N", "ABNORMAL": "A", "LOW": "L", "HIGH": "H", "LOW LOW": "LL", "HIGH HIGH": "HH"}

// routes are the SNOMED CT concepts of frequent terms of CDISC's codelist Route of
// Administration (C66729).
//
// Source: https://hl7.org/fhir/R4/valueset-route-codes.html, by the names of the concepts.
var routes = map[string]string{
	"ORAL": "26643006", "SUBLINGUAL": "37839007", "BUCCAL": "54471007", "RECTAL": "37161004", "VAGINAL": "16857009",
	"INTRAVENOUS": "47625008", "INTRAMUSCULAR": "78421000", "SUBCUTANEOUS": "34206005", "INTRADERMAL": "372464004", "INTRATHECAL": "72607000",
	"TOPICAL": "6064005", "TRANSDERMAL": "45890007", "NASAL": "46713006", "OPHTHALMIC": "54485002", "AURICULAR (OTIC)": "10547007",
	"RESPIRATORY (INHALATION)": "447694001",
}

// one is a concept of a single code.
func one(system, code string) fhir.CodeableConcept {
	return fhir.CodeableConcept{Coding: []fhir.Coding{{System: system, Code: code}}}
}

// inCategory is a list of one category of observations; empty for none.
func inCategory(code string) []fhir.CodeableConcept {
	if code == "" {
		return nil
	}
	return []fhir.CodeableConcept{one(categories, code)}
}
