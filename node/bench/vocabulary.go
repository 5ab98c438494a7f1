package bench

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// term is a code that the made-up records use.
type term struct {
	code   string
	domain string
	unit   string // UCUM, of a measured value
	low    float64
	high   float64
}

// The codes. Their concepts are numbered in the range that OMOP leaves to sites, and
// have no names but their codes: those of the terminologies are their owners'.
var (
	findings = []term{ // LOINC
		{"8867-4", "Measurement", "/min", 50, 110},
		{"9279-1", "Measurement", "/min", 10, 24},
		{"8310-5", "Measurement", "Cel", 36, 39},
		{"8480-6", "Measurement", "mm[Hg]", 95, 175},
		{"8462-4", "Measurement", "mm[Hg]", 55, 105},
		{"29463-7", "Measurement", "kg", 45, 120},
		{"8302-2", "Measurement", "cm", 150, 195},
		{"39156-5", "Measurement", "kg/m2", 18, 40},
		{"59408-5", "Measurement", "%", 88, 100},
		{"2345-7", "Measurement", "mg/dL", 65, 220},
		{"4548-4", "Measurement", "%", 4, 11},
		{"2160-0", "Measurement", "mg/dL", 0.5, 2.5},
		{"3094-0", "Measurement", "mg/dL", 6, 40},
		{"2951-2", "Measurement", "mmol/L", 130, 148},
		{"2823-3", "Measurement", "mmol/L", 3, 5.8},
		{"2075-0", "Measurement", "mmol/L", 95, 110},
		{"17861-6", "Measurement", "mg/dL", 8, 11},
		{"718-7", "Measurement", "g/dL", 8, 17},
		{"6690-2", "Measurement", "10*3/uL", 3, 15},
		{"777-3", "Measurement", "10*3/uL", 100, 450},
		{"2093-3", "Measurement", "mg/dL", 120, 300},
		{"2085-9", "Measurement", "mg/dL", 25, 90},
		{"2571-8", "Measurement", "mg/dL", 50, 400},
		{"1742-6", "Measurement", "U/L", 8, 90},
		{"1920-8", "Measurement", "U/L", 8, 80},
		{"1988-5", "Measurement", "mg/L", 0, 120},
	}
	diagnoses = []term{ // ICD-10-CM, each mapped to one of disorders
		{code: "I10"},
		{code: "E11.9"},
		{code: "E78.5"},
		{code: "J45.909"},
		{code: "N18.30"},
		{code: "I48.91"},
		{code: "F32.9"},
		{code: "M54.50"},
		{code: "J44.9"},
		{code: "K21.9"},
		{code: "G43.909"},
		{code: "D64.9"},
	}
	disorders = []string{ // SNOMED CT
		"38341003", "44054006", "55822004", "195967001", "433144002", "49436004",
		"35489007", "279039007", "13645005", "235595009", "37796009", "271737000",
	}
	medicines = []string{"314076", "860975", "617312", "197361", "310965", "855332", "966571", "312961", "745679", "198211"} // RxNorm
)

// The code systems, as FHIR names them.
const (
	loinc  = "http://loinc.org"
	icd    = "http://hl7.org/fhir/sid/icd-10-cm"
	rxnorm = "http://www.nlm.nih.gov/research/umls/rxnorm"
	ucum   = "http://unitsofmeasure.org"
)

// firstConcept is the first number of concepts of a site's own.
const firstConcept = 2_000_000_001

// writeVocabulary writes a release with just those codes to dir, as Athena does.
func writeVocabulary(dir string) error {
	var concepts, maps strings.Builder
	concepts.WriteString("concept_id\tconcept_name\tdomain_id\tvocabulary_id\tconcept_class_id\tstandard_concept\tconcept_code\tvalid_start_date\tvalid_end_date\tinvalid_reason\n")
	maps.WriteString("concept_id_1\tconcept_id_2\trelationship_id\tvalid_start_date\tvalid_end_date\tinvalid_reason\n")
	next := firstConcept
	add := func(vocabulary, domain, standard, code string) int {
		fmt.Fprintf(&concepts, "%d\t%s %s\t%s\t%s\tBench\t%s\t%s\t19700101\t20991231\t\n", next, vocabulary, code, domain, vocabulary, standard, code)
		next++
		return next - 1
	}
	units := map[string]bool{}
	for _, f := range findings {
		add("LOINC", f.domain, "S", f.code)
		if !units[f.unit] {
			add("UCUM", "Unit", "S", f.unit)
			units[f.unit] = true
		}
	}
	for i, d := range diagnoses {
		from, to := add("ICD10CM", "Condition", "", d.code), add("SNOMED", "Condition", "S", disorders[i])
		fmt.Fprintf(&maps, "%d\t%d\tMaps to\t19700101\t20991231\t\n", from, to)
	}
	for _, m := range medicines {
		add("RxNorm", "Drug", "S", m)
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "CONCEPT.csv"), []byte(concepts.String()), 0o600),
		os.WriteFile(filepath.Join(dir, "CONCEPT_RELATIONSHIP.csv"), []byte(maps.String()), 0o600),
	)
}
