package report

import (
	_ "embed"
	"strconv"
	"strings"

	"github.com/trialmesh/trialmesh/localstore/omop"
)

// genderList are concepts that only persons of one gender have: all plausibleGender
// entries of the OHDSI DataQualityDashboard, inst/csv/OMOP_CDMv5.4_Concept_Level.csv of
// commit 2f81ca9eb736 (Apache-2.0), without the names.
//
//go:embed gender.csv
var genderList string

// gendered are the concepts of a table that only persons of one gender have.
type gendered struct {
	table  omop.Table
	gender int64
}

// genders reads genderList.
func genders() map[gendered][]int64 {
	tables := map[string]omop.Table{"condition_occurrence": omop.ConditionTable, "procedure_occurrence": omop.ProcedureTable}
	concepts := map[string]int64{"male": omop.Male, "female": omop.Female}
	list := map[gendered][]int64{}
	for line := range strings.Lines(genderList) {
		cells := strings.Split(strings.TrimSpace(line), ",")
		concept, err := strconv.ParseInt(cells[2], 10, 64)
		if err != nil {
			continue // the header
		}
		of := gendered{tables[cells[0]], concepts[cells[1]]}
		list[of] = append(list[of], concept)
	}
	return list
}
