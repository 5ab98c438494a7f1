package screen

import "github.com/trialmesh/trialmesh/localstore/omop"

// Known is what another system says of a patient.
type Known struct {
	private

	Year, Month, Day int    // of birth, each 0 for unknown
	Gender           string // as of FHIR; only male and female are compared
}

// genders are OMOP's concepts of those that both sides tell apart.
var genders = map[string]int64{"male": 8507, "female": 8532}

// fits reports whether nothing of k contradicts what is stored. What one side does not
// know contradicts nothing.
func (k Known) fits(d omop.Demographics) bool {
	for _, pair := range [][2]int{{k.Year, d.YearOfBirth}, {k.Month, d.MonthOfBirth}, {k.Day, d.DayOfBirth}} {
		if pair[0] != 0 && pair[1] != 0 && pair[0] != pair[1] {
			return false
		}
	}
	said, stored := genders[k.Gender], d.GenderConceptID
	return said == 0 || stored == said || stored != genders["male"] && stored != genders["female"]
}
