package dataset_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/dataset"
)

const biobank = `
name: biobank
version: freeze 3
person: {column: pid, system: "urn:oid:1.2.3"}
columns:
  - {name: CRP (mg/L), kind: numeric, domain: Measurement, high: 500, unit: mg/L}
  - {name: grade, kind: factor, domain: ConditionOccurrence, levels: [1, low, "2"]}
  - {name: smoker, kind: logical, domain: Observation, true: yes, false: 0}
`

func TestASchemaIsYAMLOrJSON(t *testing.T) {
	t.Parallel()
	want := dataset.Schema{
		Name: "biobank", Version: "freeze 3", Person: dataset.Person{Column: "pid", System: "urn:oid:1.2.3"},
		Columns: []dataset.Column{
			{Name: "CRP (mg/L)", Kind: "numeric", Domain: "Measurement", High: 500, Unit: "mg/L"},
			{Name: "grade", Kind: "factor", Domain: "ConditionOccurrence", Levels: []string{"1", "low", "2"}},
			{Name: "smoker", Kind: "logical", Domain: "Observation", True: "yes", False: "0"},
		},
	}
	got, err := dataset.Parse([]byte(biobank))
	require.NoError(t, err)
	require.Equal(t, want, got)
	raw, err := json.MarshalIndent(want, "", "\t")
	require.NoError(t, err)
	got, err = dataset.Parse(raw)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestASchemaRefuses(t *testing.T) {
	t.Parallel()
	_, err := dataset.Parse(nil)
	require.ErrorContains(t, err, "it is empty")
	_, err = dataset.Parse([]byte(biobank + "\n---\nname: b\n"))
	require.ErrorContains(t, err, "more than one document")
	_, err = dataset.Parse([]byte(biobank + "colour: red\n"))
	require.ErrorContains(t, err, "colour not found")
	_, err = dataset.Parse(make([]byte, dataset.MaxSchema+1))
	require.ErrorContains(t, err, "over 1 MiB")
	for want, change := range map[string]func(s *dataset.Schema){
		"name: 1 to 40":                          func(s *dataset.Schema) { s.Name = "Lung" },
		"version":                                func(s *dataset.Schema) { s.Version = "" },
		"person.column":                          func(s *dataset.Schema) { s.Person.Column = "" },
		"person.system":                          func(s *dataset.Schema) { s.Person.System = "" },
		"columns: 1 to 200":                      func(s *dataset.Schema) { s.Columns = nil },
		"columns[0].name":                        func(s *dataset.Schema) { s.Columns[0].Name = "id" },
		"columns[1].name":                        func(s *dataset.Schema) { s.Columns[1].Name = "age" },
		"columns[0].kind: numeric, factor or":    func(s *dataset.Schema) { s.Columns[0].Kind = "text" },
		"columns[0].domain: that":                func(s *dataset.Schema) { s.Columns[0].Domain = "Genome" },
		"columns[0].low: must lie below high":    func(s *dataset.Schema) { s.Columns[0].Low = 131 },
		"columns[1].levels: 2 to 50":             func(s *dataset.Schema) { s.Columns[1].Levels = []string{"a"} },
		"columns[0].true: only a logical":        func(s *dataset.Schema) { s.Columns[0].True = "1" },
		"columns[1].true: a logical column says": func(s *dataset.Schema) { s.Columns[1] = dataset.Column{Name: "x", Kind: "logical", Domain: "Person"} },
		"columns[1].levels: only a factor has": func(s *dataset.Schema) {
			s.Columns[1].Kind, s.Columns[1].True, s.Columns[1].False = "logical", "1", "2"
		},
		"columns[1].low: only a numeric":          func(s *dataset.Schema) { s.Columns[1].Unit = "kg" },
		"columns[0].unit: one printable line":     func(s *dataset.Schema) { s.Columns[0].Unit = "\x01" },
		"columns[1].levels[1]: one printable":     func(s *dataset.Schema) { s.Columns[1].Levels[1] = "male" },
		"and the larger of them in magnitude wit": func(s *dataset.Schema) { s.Columns[0].High = 1e10 },
	} {
		s := lung()
		change(&s)
		require.ErrorContains(t, s.Validate(), want)
	}
}

// FuzzParse: whatever is read as a schema is one, and reads as the same again.
func FuzzParse(f *testing.F) {
	f.Add([]byte(biobank))
	f.Add([]byte(`{"name":"lung","version":"1","person":{"column":"id","system":"fhir"},"columns":[{"name":"age","kind":"numeric","domain":"Person","high":130}]}`))
	f.Add([]byte("name: &a [*a]"))
	f.Add([]byte("---\n---\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := dataset.Parse(text)
		if err != nil {
			return
		}
		require.NoError(t, s.Validate())
		raw, err := json.Marshal(s)
		require.NoError(t, err)
		again, err := dataset.Parse(raw)
		require.NoError(t, err)
		require.Equal(t, s, again)
	})
}
