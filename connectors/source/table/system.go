package table

import (
	"slices"
	"strings"
)

// URIs of code systems.
//
// Source: https://hl7.org/fhir/R4/terminologies-systems.html.
const (
	loinc  = "http://loinc.org"
	snomed = "http://snomed.info/sct"
	rxnorm = "http://www.nlm.nih.gov/research/umls/rxnorm"
	cvx    = "http://hl7.org/fhir/sid/cvx"
	icd10  = "http://hl7.org/fhir/sid/icd-10-cm"
	ucums  = "http://unitsofmeasure.org"
	race   = "urn:oid:2.16.840.1.113883.6.238"

	actCode         = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
	interpretations = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
	categories      = "http://terminology.hl7.org/CodeSystem/observation-category"
	absent          = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
	clinical        = "http://terminology.hl7.org/CodeSystem/condition-clinical"
	allergyClinical = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
)

// systems are the code systems that a mapping and the cells of a column can name, as
// people write them.
var systems = []struct{ name, uri string }{
	{"LOINC", loinc},
	{"SNOMED CT", snomed},
	{"ICD-10-CM", icd10},
	{"RxNorm", rxnorm},
	{"CVX", cvx},
	{"UCUM", ucums},
	{"ICD-10", "http://hl7.org/fhir/sid/icd-10"},
	{"ICD-9-CM", "http://hl7.org/fhir/sid/icd-9-cm"},
	{"ICD-10-PCS", "http://www.cms.gov/Medicare/Coding/ICD10"},
	{"CPT", "http://www.ama-assn.org/go/cpt"},
	{"HCPCS", "urn:oid:2.16.840.1.113883.6.285"},
	{"NDC", "http://hl7.org/fhir/sid/ndc"},
	{"ATC", "http://www.whocc.no/atc"},
	{"SNOMED", snomed},
	{"ICD10CM", icd10},
	{"ICD10", "http://hl7.org/fhir/sid/icd-10"},
	{"ICD9CM", "http://hl7.org/fhir/sid/icd-9-cm"},
}

// localSystem is the name by which a mapping says that codes are the site's own. Their
// system is then the name of the mapping, by which a code map of the site is keyed.
const localSystem = "local"

// uriOf returns the URI of the system that people call name, whatever its case, hyphens
// and blanks. A URI is its own. ok is false for a name that is not known.
func uriOf(name string) (uri string, ok bool) {
	if len(name) > 200 {
		return "", false
	}
	if strings.HasPrefix(name, "http://") || strings.HasPrefix(name, "https://") || strings.HasPrefix(name, "urn:") {
		return name, true
	}
	uri, ok = systemByLetters[letters(name)]
	return uri, ok
}

// systemByLetters are the URIs of systems by the letters of their names.
var systemByLetters = func() map[string]string {
	by := make(map[string]string, len(systems))
	for _, s := range systems {
		by[letters(s.name)] = s.uri
	}
	return by
}()

// letters is s in upper case without anything but letters and digits.
func letters(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z':
			return c - 'a' + 'A'
		case c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
			return c
		}
		return -1
	}, s)
}

// systemNames are the names that a mapping is told to choose from.
func systemNames() []string {
	names := []string{localSystem}
	for _, s := range systems {
		if !slices.Contains(names, s.name) {
			names = append(names, s.name)
		}
	}
	return names
}
