package anonymity

import "math"

// Measured is what the classes of a released table are.
type Measured struct {
	Records int `json:"records"`
	Classes int `json:"classes"`
	K       int `json:"k"` // records of the smallest class

	Sensitive []Diversity `json:"sensitive,omitempty"`
}

// Diversity is that of a sensitive attribute in the class where it is least.
type Diversity struct {
	Name     string  `json:"name"`
	L        int     `json:"l"`        // values
	EntropyL float64 `json:"entropyL"` // e to the entropy
}

// Risk estimates the chance that a released record is given its name again by someone
// who knows the quasi-identifiers of people (El Emam, "Guide to the De-Identification
// of Personal Health Information", 2013, chapter 16). It counts nothing that can be
// known beside the quasi-identifiers.
type Risk struct {
	// Prosecutor is the highest chance for a person who is known to be in the table: 1
	// by the size of the smallest class.
	Prosecutor float64 `json:"prosecutor"`
	// Journalist is the highest chance for a person of whom that is not known: 1 by the
	// least number of people in the population who look as a class does.
	Journalist float64 `json:"journalist"`
	// Marketer is the expected share of records that are named rightly when all are
	// matched with the population.
	Marketer float64 `json:"marketer"`
}

// Measure returns what the classes of the records that s keeps are.
func (s *Solution) Measure() Measured {
	list, of := s.table.classes(s.Levels)
	m := Measured{}
	for _, c := range s.kept(list, of) {
		m.Classes++
		m.Records += c.records
		if m.K == 0 || c.records < m.K {
			m.K = c.records
		}
		for i, values := range c.values {
			d := Diversity{s.table.sensitive[i], len(values), math.Exp(entropy(values, c.records))}
			if len(m.Sensitive) == i {
				m.Sensitive = append(m.Sensitive, d)
				continue
			}
			m.Sensitive[i].L = min(m.Sensitive[i].L, d.L)
			m.Sensitive[i].EntropyL = min(m.Sensitive[i].EntropyL, d.EntropyL)
		}
	}
	return m
}

// kept are the classes of list that s does not suppress.
func (s *Solution) kept(list []*class, of []int32) []*class {
	var out []*class
	seen := make([]bool, len(list))
	for i, c := range of {
		if !seen[c] && s.reasons[i] == Kept {
			out = append(out, list[c])
		}
		seen[c] = true
	}
	return out
}

// Risk estimates the risk of the records that s keeps. The population has the same
// attributes and holds the records of the table and all others that could be meant;
// nil stands for the table itself.
func (s *Solution) Risk(population *Table) Risk {
	if population == nil {
		population = s.table
	}
	people := make(map[string]int)
	var key []byte
	for i := range population.cells {
		key = population.generalized(key[:0], &population.cells[i], s.Levels)
		people[string(key)] += population.cells[i].records
	}
	list, of := s.table.classes(s.Levels)
	var r Risk
	var records, expected float64
	seen := make([]bool, len(list))
	for i := range s.table.cells {
		c := of[i]
		if seen[c] || s.reasons[i] != Kept {
			continue
		}
		seen[c] = true
		key = s.table.generalized(key[:0], &s.table.cells[i], s.Levels)
		n, all := float64(list[c].records), float64(people[string(key)])
		r.Prosecutor, r.Journalist = max(r.Prosecutor, 1/n), max(r.Journalist, 1/all)
		records, expected = records+n, expected+n/all
	}
	if records > 0 {
		r.Marketer = expected / records
	}
	return r
}
