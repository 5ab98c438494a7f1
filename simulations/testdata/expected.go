package testdata

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"slices"
)

// Totals are facts about all 266 patients that were counted by others.
type Totals struct {
	Patients  int            `json:"patients"`
	Gender    map[string]int `json:"gender"`
	Deceased  int            `json:"deceased"`
	Resources map[string]int `json:"resources"` // records by FHIR type
	Class     map[string]int `json:"encounter_class"`

	Conditions  []CodePersons `json:"conditions_by_persons"` // the 40 most frequent
	Medications []CodePersons `json:"medications_by_persons"`

	Observations map[string]Statistics `json:"observations"` // by LOINC code, all values
	Components   map[string]Statistics `json:"components"`   // of blood pressures
	LastValue    map[string]Statistics `json:"last_value_per_person"`

	Mapping struct {
		ByResource map[string]Mapped `json:"by_resource"`
	} `json:"omop_mapping"`

	Hospitals map[string]HospitalTotals `json:"hospitals"`
}

// CodePersons is the number of persons who have a code at least once.
type CodePersons struct {
	Code    string `json:"code"`
	Display string `json:"display"`
	Persons int    `json:"persons"`
}

// Statistics describe values in the unit sent; SD is that of a sample (n-1).
type Statistics struct {
	N    int     `json:"n"`
	Mean float64 `json:"mean"`
	SD   float64 `json:"sd"`
	Min  float64 `json:"min"`
	Max  float64 `json:"max"`
}

// Mapped counts records of one FHIR type: how many have a code that the
// vocabulary knows, and how many reach a standard concept.
type Mapped struct {
	Records  int `json:"records"`
	Found    int `json:"source_concept_found"`
	Standard int `json:"standard"`
}

// HospitalTotals adds up the manifest of one hospital's patient bundles.
type HospitalTotals struct {
	Patients  int            `json:"patients"`
	Male      int            `json:"male"`
	Female    int            `json:"female"`
	Deceased  int            `json:"deceased"`
	Resources map[string]int `json:"resources"`
}

// Expected returns the totals. It panics if the embedded file is damaged.
func Expected() Totals {
	data, err := files.ReadFile("synthea/expected.json")
	if err != nil {
		panic(err)
	}
	var t Totals
	if err := json.Unmarshal(data, &t); err != nil {
		panic(fmt.Sprintf("testdata: expected.json: %v", err))
	}
	return t
}

// Manifest returns the rows of manifest.csv, header first: hospital, file, SHA-256,
// patient and the number of resources of each type in each patient bundle.
func Manifest() [][]string {
	data, err := files.ReadFile("synthea/manifest.csv")
	if err != nil {
		panic(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil {
		panic(fmt.Sprintf("testdata: manifest.csv: %v", err))
	}
	return rows
}

// PatientIDs returns the ids of the Patient resources of a hospital, as the manifest has
// them, in the order of its files.
func (h Hospital) PatientIDs() []string {
	rows := Manifest()
	hospital, id := slices.Index(rows[0], "hospital"), slices.Index(rows[0], "patient_id")
	var ids []string
	for _, row := range rows[1:] {
		if row[hospital] == h.Name {
			ids = append(ids, row[id])
		}
	}
	return ids
}
