package variable

import (
	"bytes"
	"cmp"
	"math"

	"go.yaml.in/yaml/v3"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/reference"
)

// document is a list as YAML.
type document struct {
	Variables []struct {
		System   string `yaml:"system"`
		Code     string `yaml:"code"`
		Display  string `yaml:"display"`
		Concept  int64  `yaml:"concept"`
		Category string `yaml:"category"`
		From     string `yaml:"valid_from"`
		To       string `yaml:"valid_to"`
		Units    []struct {
			Unit     string   `yaml:"unit"`
			Concepts []int64  `yaml:"concepts"`
			Low      *float64 `yaml:"low"`
			High     *float64 `yaml:"high"`
			Min      *float64 `yaml:"min"`
			Max      *float64 `yaml:"max"`
		} `yaml:"units"`
	} `yaml:"variables"`
}

// maxYAML bounds a YAML file, in bytes: aliases make what is read larger than the file.
const maxYAML = 1 << 20

// parseYAML reads a list as YAML. The line of an entry is its number.
func parseYAML(content []byte) ([]entry, error) {
	if len(content) > maxYAML {
		return nil, reference.Faults{{Line: 1, What: "a YAML file has at most 1 MiB; use CSV"}}
	}
	var d document
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(&d); err != nil {
		return nil, reference.Faults{{Line: 1, What: err.Error()}}
	}
	var faults reference.Faults
	var list []entry
	for i, one := range d.Variables {
		e := entry{Variable: Variable{System: one.System, Code: one.Code, Display: one.Display, Concept: one.Concept, Category: one.Category}, line: i + 1}
		var err error
		if e.From, err = sqldb.ParseDate(cmp.Or(one.From, Always.String())); err != nil {
			faults.Add(e.line, "valid_from is not a date, YYYY-MM-DD")
		}
		if e.To, err = sqldb.ParseDate(cmp.Or(one.To, Forever.String())); err != nil {
			faults.Add(e.line, "valid_to is not a date, YYYY-MM-DD")
		}
		for _, u := range one.Units {
			least, most := or(u.Min, math.Inf(-1)), or(u.Max, math.Inf(1))
			e.Units = append(e.Units, Unit{Code: u.Unit, Concepts: u.Concepts, Low: or(u.Low, least), High: or(u.High, most), Min: least, Max: most})
			e.units = append(e.units, e.line)
		}
		list = append(list, e)
	}
	return list, faults.Err()
}

func or(n *float64, none float64) float64 {
	if n == nil {
		return none
	}
	return *n
}
