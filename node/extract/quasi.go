package extract

import (
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/extract/anonymity"
)

// The quasi-identifiers.
const (
	birthYear = "birth-year"
	gender    = "gender"
	race      = "race"
	ethnicity = "ethnicity"
	death     = "death"
)

var quasiNames = []string{birthYear, gender, race, ethnicity, death}

const (
	written = "written"
	leftOut = "left out"
)

// anyYear is what stands for a year of birth that is left out, which the CDM requires.
const anyYear = 1900

// oldest is the age from which on everybody is of one band: the Safe Harbor of HIPAA
// wants it for ages over 89 (45 CFR 164.514(b)(2)(i)(C)).
const oldest = 90

// attributes are the quasi-identifiers of a specification with their hierarchies.
func (s Spec) attributes() []anonymity.Attribute {
	list := make([]anonymity.Attribute, len(s.Quasi))
	for i, name := range s.Quasi {
		list[i] = anonymity.Attribute{Name: name, Levels: []anonymity.Level{
			{Name: written, Of: func(v int64) int64 { return v }},
			{Name: leftOut, Of: func(int64) int64 { return 0 }},
		}}
		if name == birthYear {
			list[i].Levels = years(s.Bands)
		}
	}
	return list
}

// years are bands of years of the given widths, each by its first year.
func years(widths []int64) []anonymity.Level {
	var list []anonymity.Level
	for _, width := range widths {
		list = append(list, anonymity.Level{Name: fmt.Sprintf("bands of %d years", width), Of: func(year int64) int64 { return year - year%width }})
	}
	return append(list, anonymity.Level{Name: leftOut, Of: func(int64) int64 { return anyYear }})
}

// known is what the quasi-identifiers are made from, after the dates were moved.
type known struct {
	values [5]int64 // in the order of quasiNames
	old    bool     // the year is not that of the birth but that of the oldest band
}

// knownOf moves a person by a number of days and tells what could be known of them.
func knownOf(d omop.Demographics, days, asOf omop.Date) known {
	last := asOf
	if d.Death != nil {
		last = min(last, *d.Death)
	}
	birth := (d.Birth() + days).Time()
	k := known{values: [5]int64{int64(birth.Year()), d.GenderConceptID, d.RaceConceptID, d.EthnicityConceptID, 0}}
	if k.old = d.Age(last) >= oldest; k.old {
		k.values[0] = oldestYear(asOf)
	}
	// What is not written is not known: a death after the end, or before the birth.
	if d.Death != nil && *d.Death >= d.Birth() && *d.Death+days <= asOf && (!k.old || *d.Death+days >= firstOf(oldestYear(asOf))) {
		k.values[4] = 1
	}
	return k
}

// oldestYear is the year of birth that stands for all who are over 89 on a day.
func oldestYear(asOf omop.Date) int64 { return int64(asOf.Time().Year() - oldest) }

func firstOf(year int64) omop.Date { return sqldb.Day(int(year), 1, 1) }

// pick returns the values of the quasi-identifiers of s.
func (s Spec) pick(k known) []int64 {
	out := make([]int64, len(s.Quasi))
	for i, name := range s.Quasi {
		out[i] = k.values[quasiAt(name)]
	}
	return out
}

func quasiAt(name string) int { return slices.Index(quasiNames, name) }

func (s Spec) has(name string) bool { return slices.Contains(s.Quasi, name) }
