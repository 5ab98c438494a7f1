package members_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/node/events/memory"
	"github.com/trialmesh/trialmesh/node/members"
	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// onePerson has one of each event that the tests below ask about.
var onePerson = inMemory{
	"person":             {{"person_id": 1, "year_of_birth": 1980, "gender_concept_id": 8507}},
	"observation_period": {{"observation_period_id": 1, "person_id": 1, "observation_period_start_date": "2020-01-01", "observation_period_end_date": "2020-12-31"}},
	"observation": {{
		"observation_id": 1, "person_id": 1, "observation_concept_id": 7, "observation_date": "2020-03-01", "value_as_string": `a%c\d`,
	}},
	"measurement": {{
		"measurement_id": 1, "person_id": 1, "measurement_concept_id": 7, "measurement_date": "2020-03-01", "value_as_number": "0.3", "range_low": "0.1", "unit_concept_id": nil,
	}},
	"visit_occurrence": {
		{"visit_occurrence_id": 1, "person_id": 1, "visit_concept_id": 9201, "visit_start_date": "2020-03-01", "visit_end_date": "2020-03-04"},
		{"visit_occurrence_id": 2, "person_id": 2, "visit_concept_id": 9201, "visit_start_date": "2020-03-01", "visit_end_date": "2020-03-04"},
	},
	"drug_exposure": {
		{"drug_exposure_id": 1, "person_id": 1, "drug_concept_id": 7, "drug_exposure_start_date": "2020-03-01", "days_supply": 30, "visit_occurrence_id": 2},
	},
	"concept": {{"concept_id": 7}, {"concept_id": 9}},
}

// count evaluates primary criteria on tables, as they are and in their normal form, and
// returns how many entries there are.
func count(t *testing.T, tables inMemory, criteria, rest string) int {
	t.Helper()
	d, err := cohort.Read([]byte(`{"ConceptSets":[{"id":0,"name":"","expression":{"items":[]}},{"id":7,"name":"","expression":{"items":[{"concept":{"CONCEPT_ID":7}}]}}],
		"PrimaryCriteria":{"CriteriaList":[` + criteria + `],"ObservationWindow":{"PriorDays":0,"PostDays":0},"PrimaryCriteriaLimit":{"Type":"All"}},
		"QualifiedLimit":{"Type":"All"},"CensoringCriteria":[]` + rest + `}`))
	require.NoError(t, err, criteria)
	vocabulary, err := memory.ReadVocabulary(t.Context(), tables, d.ConceptSets)
	require.NoError(t, err)
	source, err := memory.Read(t.Context(), tables, nil)
	require.NoError(t, err)
	result, err := members.Evaluate(t.Context(), d, source, vocabulary, members.Options{})
	require.NoError(t, err, criteria)
	normal, err := members.Evaluate(t.Context(), d.Normal(), source, vocabulary, members.Options{})
	require.NoError(t, err, criteria)
	require.Equal(t, result.Entries, normal.Entries, criteria)
	return len(result.Entries)
}

// TestWhatSQLMakesOfAFilter is about filters that mean what PostgreSQL makes of the SQL that
// circe-be writes, and not what one would guess.
func TestWhatSQLMakesOfAFilter(t *testing.T) {
	t.Parallel()
	for criterion, want := range map[string]int{
		`{"Observation":{"ValueAsString":{"Op":"startsWith","Text":"a%"}}}`:                                             1,
		`{"Observation":{"ValueAsString":{"Op":"contains","Text":"_c"}}}`:                                               1, // one letter, whichever
		`{"Observation":{"ValueAsString":{"Op":"contains","Text":"a\\%c"}}}`:                                            1, // a backslash takes the meaning away
		`{"Observation":{"ValueAsString":{"Op":"contains","Text":"c\\d"}}}`:                                             0,
		`{"Observation":{"ValueAsString":{"Op":"startsWith","Text":"A"}}}`:                                              0,
		`{"Observation":{"ValueAsString":{"Op":"!endsWith","Text":"x"}}}`:                                               1,
		`{"Measurement":{"RangeLowRatio":{"Op":"gte","Value":3}}}`:                                                      1, // 0.3 / 0.1 of decimal numbers
		`{"Measurement":{"RangeLowRatio":{"Op":"eq","Value":3.00004}}}`:                                                 1, // four decimals
		`{"Measurement":{"RangeLowRatio":{"Op":"eq","Value":3.00006}}}`:                                                 0,
		`{"Measurement":{"RangeHighRatio":{"Op":"!bt","Value":1,"Extent":2}}}`:                                          0, // of what is absent
		`{"Measurement":{"UnitCS":{"CodesetId":7,"IsExclusion":true}}}`:                                                 0,
		`{"Measurement":{"UnitCS":{"CodesetId":0,"IsExclusion":true}}}`:                                                 1, // nothing is in an empty set
		`{"Measurement":{"UnitCS":{"IsExclusion":true}}}`:                                                               1, // absent
		`{"Measurement":{"UnitCS":{"IsExclusion":false}}}`:                                                              0,
		`{"DrugExposure":{"OccurrenceEndDate":{"Op":"lt","Value":"2020-03-02"}}}`:                                       1, // circe-be looks at the start
		`{"DrugExposure":{"VisitTypeCS":{"CodesetId":0,"IsExclusion":true}}}`:                                           0, // the visit is another person's
		`{"VisitOccurrence":{"VisitLength":{"Op":"eq","Value":3.9}}}`:                                                   1, // whole numbers
		`{"VisitOccurrence":{"PlaceOfServiceCS":{"CodesetId":0,"IsExclusion":true}}}`:                                   0, // no care site
		`{"VisitOccurrence":{"Age":{"Op":"eq","Value":40}}}`:                                                            1, // by years
		`{"VisitOccurrence":{"DateAdjustment":{"StartWith":"END_DATE","EndWith":"START_DATE"}}}`:                        0, // ends before it begins
		`{"Measurement":{"DateAdjustment":{"StartOffset":2,"EndOffset":1}}}`:                                            1,
		`{"ObservationPeriod":{"UserDefinedPeriod":{"StartDate":"2020-01-02"},"PeriodLength":{"Op":"eq","Value":365}}}`: 1,
		`{"Measurement":{"CodesetId":0}}`:                                                                               0,
	} {
		require.Equal(t, want, count(t, onePerson, criterion, ""), criterion)
	}
}

// TestAnEventOfTwoPeriodsIsTwoRows is about observation periods that overlap, which the CDM
// does not allow: the reference joins each event with both.
func TestAnEventOfTwoPeriodsIsTwoRows(t *testing.T) {
	t.Parallel()
	tables := inMemory{}
	for name, rows := range onePerson {
		tables[name] = rows
	}
	tables["observation_period"] = append(tables["observation_period"][:1:1], map[string]any{
		"observation_period_id": 2, "person_id": 1, "observation_period_start_date": "2020-02-01", "observation_period_end_date": "2021-12-31",
	})
	visit := `{"Criteria":{"VisitOccurrence":{}},"StartWindow":{"Start":{"Coeff":-1},"End":{"Coeff":1}},"Occurrence":{"Type":TYPE,"Count":N}}`
	nested := func(kind string, occurrence ...string) int {
		return count(t, tables, `{"Measurement":{"CorrelatedCriteria":{"Type":"`+kind+`","CriteriaList":[`+
			strings.NewReplacer("TYPE", occurrence[0], "N", occurrence[1]).Replace(visit)+`],"DemographicCriteriaList":[],"Groups":[]}}}`, "")
	}
	require.Equal(t, 1, nested("ANY", "2", "2"), "each period counts the visit")
	require.Equal(t, 0, nested("ANY", "1", "3"), "four rows of a left join")
	require.Equal(t, 1, nested("ANY", "1", "4"))
	require.Equal(t, 0, nested("ALL", "2", "1"), "one part counts twice")
	require.Equal(t, 1, nested("ANY", "2", "1"), "which is one at least")
	once := strings.NewReplacer("TYPE", "2", "N", "1").Replace(visit)
	never := strings.Replace(once, `"VisitOccurrence":{}`, `"Death":{}`, 1)
	for kind, want := range map[string]int{`"ALL"`: 0, `"AT_LEAST","Count":1`: 1, `"AT_LEAST","Count":3`: 1} {
		parts := strings.Join([]string{once, once, never}, ",")
		require.Equal(t, want, count(t, tables, `{"Measurement":{"CorrelatedCriteria":{"Type":`+kind+`,"CriteriaList":[`+parts+`]}}}`, ""), kind)
	}
}

// TestAnAdjustmentByNothingAsksForAnEnd, which must not be before the start.
func TestAnAdjustmentByNothingAsksForAnEnd(t *testing.T) {
	t.Parallel()
	tables := maps.Clone(onePerson)
	tables["visit_occurrence"] = []map[string]any{{"visit_occurrence_id": 1, "person_id": 1, "visit_concept_id": 9201, "visit_start_date": "2020-03-04", "visit_end_date": "2020-03-01"}}
	adjusted := func(how string) int { return count(t, tables, `{"VisitOccurrence":{`+how+`}}`, "") }
	require.Equal(t, 1, adjusted(""))
	require.Equal(t, 0, adjusted(`"DateAdjustment":{}`))
	require.Equal(t, 1, adjusted(`"DateAdjustment":{"EndOffset":3}`))
}

// TestTheOrderOfCriteriaMeansNothing, also if two domains have an event of one day and
// number, of which one is to be left.
func TestTheOrderOfCriteriaMeansNothing(t *testing.T) {
	t.Parallel()
	const rest = `,"ExpressionLimit":{"Type":"First"},"EndStrategy":{"DateOffset":{"DateField":"EndDate","Offset":0}}`
	for _, criteria := range []string{`{"VisitOccurrence":{}},{"Observation":{}}`, `{"Observation":{}},{"VisitOccurrence":{}}`} {
		require.Equal(t, 1, count(t, onePerson, criteria, rest))
	}
}

func TestWhoMayNotBeLookedAtIsInNoCohort(t *testing.T) {
	t.Parallel()
	all, err := definitions()
	require.NoError(t, err)
	source, vocabulary := readFiles(t, "generated")
	d := all["generated/200001"]
	everybody, err := members.Evaluate(t.Context(), d, source, vocabulary, members.Options{})
	require.NoError(t, err)
	even, err := members.Evaluate(t.Context(), d, source, vocabulary, members.Options{Workers: 1, Permit: func(person uint32) bool { return person%2 == 0 }})
	require.NoError(t, err)
	var want []members.Entry
	for _, e := range everybody.Entries {
		only, err := members.Evaluate(t.Context(), d, source, vocabulary, members.Options{Only: &e.Person})
		require.NoError(t, err)
		require.Contains(t, only.Entries, e)
		require.Equal(t, 1, only.Persons)
		if e.Person%2 == 0 {
			want = append(want, e)
		}
	}
	require.NotEmpty(t, want)
	require.Less(t, len(want), len(everybody.Entries))
	require.Equal(t, want, even.Entries)
	nobody := uint32(len(source.People().ID))
	none, err := members.Evaluate(t.Context(), d, source, vocabulary, members.Options{Only: &nobody})
	require.NoError(t, err)
	require.Empty(t, none.Entries)
}
