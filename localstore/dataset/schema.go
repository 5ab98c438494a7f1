package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"

	"github.com/trialmesh/trialmesh/protocol/cohort"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// Limits of a schema.
const (
	MaxSchema  = 1 << 20 // bytes
	MaxColumns = 200
)

// Schema says what a data set holds.
type Schema struct {
	// Name is what questions call the set.
	Name string `yaml:"name" json:"name"`

	// Version is the site's own word for what the set is made of, up to 64 bytes.
	Version string `yaml:"version" json:"version"`

	Person  Person   `yaml:"person" json:"person"`
	Columns []Column `yaml:"columns" json:"columns" nullable:"false"`
}

// Person says which column of a file identifies persons, and in which system.
type Person struct {
	Column string `yaml:"column" json:"column"`
	System string `yaml:"system" json:"system" doc:"fhir for ids of FHIR Patients, omop for person_id of a CDM that was loaded, else the authority that gives out the numbers, as in mappings"`
}

// The systems that are no authority.
const (
	FHIR = "fhir" // ids of FHIR Patients
	OMOP = "omop" // person_id of a CDM that was loaded
)

// Column is a typed column of a file.
type Column struct {
	Name   string          `yaml:"name" json:"name"`
	Kind   query.ValueKind `yaml:"kind" json:"kind" enum:"numeric,factor,logical"`
	Domain cohort.Domain   `yaml:"domain" json:"domain" doc:"Domain of OMOP whose scope of consent covers the column"`

	// Low and High bound a number, in Unit; who is beyond is a fault of the file.
	Low  float64 `yaml:"low" json:"low,omitempty"`
	High float64 `yaml:"high" json:"high,omitempty"`
	Unit string  `yaml:"unit" json:"unit,omitempty"`

	Levels []string `yaml:"levels" json:"levels,omitempty" nullable:"false" doc:"Of a factor"`

	// True and False are how a logical column says yes and no.
	True  string `yaml:"true" json:"true,omitempty"`
	False string `yaml:"false" json:"false,omitempty"`
}

// Asked returns the column as a question of the same type asks for it.
func (c Column) Asked(set string) query.Column {
	return query.Column{
		Name: c.Name, From: query.FromDataset, Dataset: set, Column: c.Name, Domain: c.Domain,
		Kind: c.Kind, Low: c.Low, High: c.High, Unit: c.Unit, Levels: c.Levels,
	}
}

// Parse reads a schema, YAML or JSON. The error says what is wrong with it: a schema is
// about no person, so it may be shown whole.
func Parse(text []byte) (Schema, error) {
	var s Schema
	err := errors.New("over 1 MiB")
	if len(text) <= MaxSchema {
		err = parse(text, &s)
	}
	if err == nil {
		err = s.Validate()
	}
	if err != nil {
		return Schema{}, problem.New(problem.Invalid, "schema: "+err.Error())
	}
	return s, nil
}

func parse(text []byte, s *Schema) error {
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		text = bytes.ReplaceAll(text, []byte("\t"), []byte(" ")) // JSON that is indented with tabs is no YAML
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(s); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it is empty")
		}
		return err
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return errors.New("more than one document")
	}
	return nil
}

// Validate reports the first thing that is wrong with the schema, beginning with its path.
func (s Schema) Validate() error {
	switch {
	case !query.ValidDataset(s.Name):
		return errors.New("name: 1 to 40 lower-case letters, digits, hyphens and underscores, a letter first")
	case !query.ValidText(s.Version):
		return fmt.Errorf("version: one printable line of 1 to %d bytes", query.MaxText)
	case !query.ValidText(s.Person.Column):
		return fmt.Errorf("person.column: the column that identifies the person, 1 to %d bytes", query.MaxText)
	case !query.ValidText(s.Person.System):
		return errors.New("person.system: fhir, omop or the authority that gives out the numbers")
	case len(s.Columns) == 0 || len(s.Columns) > MaxColumns:
		return fmt.Errorf("columns: 1 to %d", MaxColumns)
	}
	names := map[string]bool{s.Person.Column: true}
	for i, c := range s.Columns {
		if !query.ValidText(c.Name) || names[c.Name] {
			return fmt.Errorf("columns[%d].name: one printable line of 1 to %d bytes that no other column has", i, query.MaxText)
		}
		names[c.Name] = true
		if err := c.validate(s.Name); err != nil {
			return fmt.Errorf("columns[%d].%w", i, err)
		}
	}
	return nil
}

func (c Column) validate(set string) error {
	switch logical := c.Kind == query.LogicalValues; {
	case !logical && (c.True != "" || c.False != ""):
		return errors.New("true: only a logical column has true and false")
	case logical && (!query.ValidText(c.True) || !query.ValidText(c.False) || c.True == c.False):
		return fmt.Errorf("true: a logical column says how true and false are written, two texts of 1 to %d bytes", query.MaxText)
	}
	return c.Asked(set).CheckType()
}
