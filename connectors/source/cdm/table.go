package cdm

import (
	_ "embed"
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// fields lists the fields of CDM 5.4: table, field, required, type, and the domain of
// the concepts in it. From inst/csv/OMOP_CDMv5.4_Field_Level.csv of
// OHDSI/CommonDataModel, commit f853f6e39c61 (Apache-2.0), in lower case.
//
//go:embed fields.csv
var fields string

// Kind is what becomes of the rows of a table.
type Kind int

// The kinds.
const (
	Other      Kind = iota // no store of this project has a place for it
	Stored                 // Read yields its rows
	Derived                // is computed from stored tables
	Vocabulary             // says nothing about people
)

// kinds has the tables that are not [Other].
var kinds = map[string]Kind{
	"person": Stored, "observation_period": Stored, "visit_occurrence": Stored, "condition_occurrence": Stored,
	"drug_exposure": Stored, "procedure_occurrence": Stored, "measurement": Stored, "observation": Stored, "death": Stored,
	"device_exposure": Stored, "specimen": Stored, "visit_detail": Stored, "payer_plan_period": Stored,
	"location": Stored, "care_site": Stored, "provider": Stored,
	"condition_era": Derived, "drug_era": Derived, "dose_era": Derived,
	"concept": Vocabulary, "vocabulary": Vocabulary, "domain": Vocabulary, "concept_class": Vocabulary,
	"concept_relationship": Vocabulary, "relationship": Vocabulary, "concept_synonym": Vocabulary,
	"concept_ancestor": Vocabulary, "source_to_concept_map": Vocabulary, "drug_strength": Vocabulary,
}

// needed are the columns, after the key and the person, without which a row of a
// table says nothing.
var needed = map[string][]string{
	"person": {"year_of_birth"}, "observation_period": {"observation_period_start_date", "observation_period_end_date"},
	"visit_occurrence": {"visit_start_date"}, "condition_occurrence": {"condition_start_date"},
	"drug_exposure": {"drug_exposure_start_date"}, "procedure_occurrence": {"procedure_date"},
	"measurement": {"measurement_date"}, "observation": {"observation_date"}, "death": {"death_date"},
	"device_exposure": {"device_exposure_start_date"}, "specimen": {"specimen_date"}, "visit_detail": {"visit_detail_start_date"},
	"payer_plan_period": {"payer_plan_period_start_date", "payer_plan_period_end_date"},
}

// withheld are the columns that are [Column.Withheld].
var withheld = map[string][]string{
	"location":  {"address_1", "address_2", "city", "zip", "county", "location_source_value", "latitude", "longitude"},
	"care_site": {"care_site_name", "care_site_source_value"},
	"provider": {
		"provider_name", "npi", "dea", "year_of_birth", "gender_concept_id", "provider_source_value", "gender_source_value", "gender_source_concept_id",
	},
}

// renamed are columns of CDM 5.3 by the name they have in 5.4.
var renamed = map[string]string{
	"admitting_source_concept_id": "admitted_from_concept_id", "admitting_source_value": "admitted_from_source_value",
	"discharge_to_concept_id": "discharged_to_concept_id", "discharge_to_source_value": "discharged_to_source_value",
	"visit_detail_parent_id": "parent_visit_detail_id", "reveue_code_source_value": "revenue_code_source_value",
}

// Table is a table of the CDM.
type Table struct {
	Name    string
	Kind    Kind
	Columns []Column // in the CDM's order; the first is the key

	index    map[string]int
	required int
}

// Stage says when a table can be loaded: after all those of a lower stage, as its rows
// refer to theirs: location, care_site, then provider and person, then what people have
// directly, then events, which may belong to a visit.
func (t *Table) Stage() int {
	switch t.Name {
	case "location":
		return 0
	case "care_site":
		return 1
	case "provider", "person":
		return PersonStage
	case "observation_period", "payer_plan_period", "death", "visit_occurrence":
		return PersonStage + 1
	}
	return PersonStage + 2
}

// Stages is how many stages there are. Of other sources too, people are loaded in
// PersonStage, and what refers to them in the two that follow.
const (
	Stages      = 5
	PersonStage = 2
)

// Column is a column of a [Table].
type Column struct {
	Name   string
	Domain string // of the concepts in it, empty if it is none or any

	// Withheld: it says more of who gives care, and of where, than any question asks. It is
	// not to be stored, nor copied out of a database.
	Withheld bool

	Required bool // the CDM wants a value
	needed   bool // the row says nothing without it
	format   format
	width    int // of a text in characters, 0 for any
}

// StoredTable returns the table of that name, in whatever case, if Read yields its rows, else nil.
func StoredTable(name string) *Table {
	if t := model()[strings.ToLower(name)]; t != nil && t.Kind == Stored {
		return t
	}
	return nil
}

// Column returns the column that has the name, in whatever case, in 5.4 or in 5.3.
func (t *Table) Column(name string) (c Column, ok bool) {
	name = strings.ToLower(name)
	if now, old := renamed[name]; old {
		name = now
	}
	i, ok := t.index[name]
	if !ok {
		return Column{}, false
	}
	return t.Columns[i], true
}

// Time reports whether c holds dates or times.
func (c Column) Time() bool { return c.format == day || c.format == moment }

// Concept reports whether c holds concepts, and whether these have to be standard.
func (c Column) Concept() (concept, standard bool) {
	concept = strings.HasSuffix(c.Name, "_concept_id")
	return concept, concept && !strings.HasSuffix(c.Name, "_source_concept_id")
}

// model is the CDM by the names of its tables.
var model = sync.OnceValue(func() map[string]*Table {
	rows, err := csv.NewReader(strings.NewReader(fields)).ReadAll()
	if err != nil {
		panic(err) // the file is part of the program
	}
	tables := map[string]*Table{}
	for _, f := range rows[1:] {
		t := tables[f[0]]
		if t == nil {
			t = &Table{Name: f[0], Kind: kinds[f[0]], index: map[string]int{}}
			tables[t.Name] = t
		}
		c := Column{Name: f[1], Required: f[2] == "Yes", Domain: f[4]}
		c.Withheld = slices.Contains(withheld[t.Name], c.Name)
		c.format, c.width = formatOf(f[3])
		c.needed = t.Kind == Stored && (len(t.Columns) == 0 || c.Name == "person_id")
		for _, name := range needed[t.Name] {
			c.needed = c.needed || c.Name == name
		}
		if c.Required {
			t.required++
		}
		t.index[c.Name] = len(t.Columns)
		t.Columns = append(t.Columns, c)
	}
	return tables
})

// formatOf reads a data type of the CDM, such as varchar(50).
func formatOf(name string) (format, int) {
	switch name {
	case "integer":
		return whole, 0
	case "float":
		return number, 0
	case "date":
		return day, 0
	case "datetime":
		return moment, 0
	case "varchar(max)":
		return text, 0
	}
	width, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(name, "varchar("), ")"))
	if err != nil {
		panic(fmt.Sprintf("cdm: data type %q", name)) // the file is part of the program
	}
	return text, width
}
