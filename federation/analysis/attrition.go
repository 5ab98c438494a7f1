package analysis

import "fmt"

// Attrition counts the persons whom each step of a cohort's making leaves. The cells hold
// the same persons: each those of the one before but for who leaves at its step.
type Attrition struct {
	Steps []string `json:"steps"` // names, 1 or more
}

// count is the attrition as a table of one stratifier, whose levels are the steps.
func (m Attrition) count() Count {
	return Count{By: []Stratifier{{Name: "step", Levels: m.Steps}}}
}

// Words returns the length of the encoded table.
func (m Attrition) Words() int { return m.count().Words() }

// Tabulate is the site's half. The one stratum of a row is the last step that the person
// is in, from 0. It fails on the first bad row, which it names by its index from 0.
func (m Attrition) Tabulate(rows Rows) (Table, error) {
	table, err := m.count().Tabulate(rows)
	if err != nil {
		return Table{}, fmt.Errorf("attrition: %w", err)
	}
	for i := len(table.Cells) - 2; i >= 0; i-- {
		table.Cells[i].N += table.Cells[i+1].N
	}
	return table, nil
}

// AttritionResult is the pooled attrition.
type AttritionResult struct {
	Sites int         `json:"sites"` // sites that were added
	Steps []CountCell `json:"steps"` // each with its name as the one level
}

// Pool turns the sum of the words of sites sites into the result. Sites may withhold
// different steps, and round each, so a step can hold more than the one before. An error
// that wraps [ErrInconsistent] says that some site did not follow the method; so it does
// beyond [MaxPersons] persons over all steps.
func (m Attrition) Pool(sum []uint64, sites int) (AttritionResult, error) {
	pooled, err := m.count().Pool(sum, sites)
	if err != nil {
		return AttritionResult{}, fmt.Errorf("attrition: %w", err)
	}
	return AttritionResult{Sites: sites, Steps: pooled.Cells}, nil
}
