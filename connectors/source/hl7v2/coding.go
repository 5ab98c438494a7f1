package hl7v2

import (
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// systems are the URIs of the coding systems of HL7 table 0396, and of names that
// senders use for them.
//
// Source: https://terminology.hl7.org/CodeSystem-v2-0396.html and
// https://hl7.org/fhir/R4/terminologies-systems.html.
var systems = map[string]string{
	"LN": loinc, "LOINC": loinc, "LNC": loinc,
	"SCT": snomed, "SCT2": snomed, "SNOMED": snomed, "SNOMED CT": snomed, "SNOMED-CT": snomed, "SNOMEDCT": snomed,
	"I9": "http://hl7.org/fhir/sid/icd-9-cm", "I9C": "http://hl7.org/fhir/sid/icd-9-cm", "I9CDX": "http://hl7.org/fhir/sid/icd-9-cm",
	"ICD9": "http://hl7.org/fhir/sid/icd-9-cm", "ICD-9": "http://hl7.org/fhir/sid/icd-9-cm", "ICD9CM": "http://hl7.org/fhir/sid/icd-9-cm",
	"I10": "http://hl7.org/fhir/sid/icd-10", "ICD10": "http://hl7.org/fhir/sid/icd-10", "ICD-10": "http://hl7.org/fhir/sid/icd-10",
	"I10C": "http://hl7.org/fhir/sid/icd-10-cm", "ICD10CM": "http://hl7.org/fhir/sid/icd-10-cm", "ICD-10-CM": "http://hl7.org/fhir/sid/icd-10-cm",
	"I10P": "http://www.cms.gov/Medicare/Coding/ICD10", "ICD10PCS": "http://www.cms.gov/Medicare/Coding/ICD10",
	"C4": "http://www.ama-assn.org/go/cpt", "CPT": "http://www.ama-assn.org/go/cpt", "CPT4": "http://www.ama-assn.org/go/cpt",
	"HPC": "urn:oid:2.16.840.1.113883.6.285", "HCPCS": "urn:oid:2.16.840.1.113883.6.285",
	"RXNORM": "http://www.nlm.nih.gov/research/umls/rxnorm",
	"NDC":    "http://hl7.org/fhir/sid/ndc", "CVX": "http://hl7.org/fhir/sid/cvx", "MVX": "http://hl7.org/fhir/sid/mvx",
	"ATC": "http://www.whocc.no/atc", "WC": "http://www.whocc.no/atc",
	"UCUM": ucum, "CDCREC": race, "HL70005": race,
	"NCIT": "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl", "FDAUNII": "http://fdasis.nlm.nih.gov", "UNII": "http://fdasis.nlm.nih.gov",
	"ICDO": "http://terminology.hl7.org/CodeSystem/icd-o-3", "ICDO3": "http://terminology.hl7.org/CodeSystem/icd-o-3",
	"ISO3166_1": "urn:iso:std:iso:3166",
}

const (
	loinc  = "http://loinc.org"
	snomed = "http://snomed.info/sct"
	ucum   = "http://unitsofmeasure.org"
	race   = "urn:oid:2.16.840.1.113883.6.238"

	tables          = "http://terminology.hl7.org/CodeSystem/v2-" // and the table's number
	actCode         = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
	interpretations = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
)

// systemOf is the URI of the system that CWE.3 names. A name that is not in the table
// (L, 99LAB, WinPath) is kept as sent: it is what a site's own code map is keyed by.
func systemOf(name, code string) string {
	if uri, ok := systems[strings.ToUpper(name)]; ok {
		return uri
	}
	if number, ok := strings.CutPrefix(name, "HL7"); ok && len(number) == 4 && strings.Trim(number, "0123456789") == "" {
		return tables + number
	}
	switch {
	case name == "SNM3" && len(code) >= 6 && strings.Trim(code, "0123456789") == "":
		return snomed // codes of SNOMED 3 begin with the letter of an axis; these are concept ids
	case isOID(name):
		return "urn:oid:" + name
	}
	return name
}

func isOID(s string) bool {
	return len(s) > 4 && strings.Count(s, ".") >= 3 && s[0] >= '0' && s[0] <= '2' && strings.Trim(s, "0123456789.") == ""
}

// concept reads a CWE, CE, CNE, or a plain coded value: up to three codings and the
// original text. A coding without a code but with a text gives only the text.
func concept(f field) fhir.CodeableConcept {
	c := fhir.CodeableConcept{Text: f.at(9).text()}
	if f.empty() {
		return c
	}
	coding(f, &c, [5]int{1, 2, 3, 7, 14})
	coding(f, &c, [5]int{4, 5, 6, 8, 17})
	coding(f, &c, [5]int{10, 11, 12, 13, 20})
	return c
}

// coding adds the coding whose code, display, system, version and system's OID stand
// in the components given.
func coding(f field, c *fhir.CodeableConcept, at [5]int) {
	code, display := f.at(at[0]).text(), f.at(at[1]).text()
	if code == "" {
		if c.Text == "" {
			c.Text = display
		}
		return
	}
	name, oid := f.at(at[2]).text(), f.at(at[4]).text()
	system := systemOf(name, code)
	if system == name && isOID(oid) {
		system = "urn:oid:" + oid
	}
	c.Coding = append(c.Coding, fhir.Coding{System: system, Code: code, Display: display, Version: f.at(at[3]).text()})
}

// concepts reads every repetition.
func concepts(f field) []fhir.CodeableConcept {
	var all []fhir.CodeableConcept
	for _, one := range f.repeats() {
		if c := concept(one); !c.IsZero() {
			all = append(all, c)
		}
	}
	return all
}

// withSystem gives the codings of c that came without a system the one of the table
// that the field's definition binds it to.
func withSystem(c fhir.CodeableConcept, system string) fhir.CodeableConcept {
	for i := range c.Coding {
		if c.Coding[i].System == "" {
			c.Coding[i].System = system
		}
	}
	return c
}

// unitOf reads the units of a CWE: the code in the system it was sent with. A code
// without a system is left so, as most such are UCUM, and mapping tries that.
func unitOf(f field) fhir.Quantity {
	c := concept(f)
	if len(c.Coding) == 0 {
		return fhir.Quantity{Unit: c.Text}
	}
	u := c.Coding[0]
	for _, other := range c.Coding {
		if other.System == ucum {
			u = other
		}
	}
	q := fhir.Quantity{Unit: u.Display, System: u.System, Code: u.Code}
	if q.Unit == "" {
		q.Unit = u.Code
	}
	return q
}

// one is a concept of a single code.
func one(system, code string) fhir.CodeableConcept {
	return fhir.CodeableConcept{Coding: []fhir.Coding{{System: system, Code: code}}}
}
