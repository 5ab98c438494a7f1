package cohort_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/cohort"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// whole is a definition in which every element of the format but most fields stands.
const whole = `{
  "Title": "All of it", "cdmVersionRange": ">=5.0.0",
  "ConceptSets": [{"id": 3, "name": "Three", "expression": {"items": [
    {"concept": {"CONCEPT_ID": 201826, "CONCEPT_NAME": "T2D", "STANDARD_CONCEPT": "S"}, "isExcluded": false, "includeDescendants": true, "includeMapped": false}]}}],
  "PrimaryCriteria": {
    "CriteriaList": [{"ConditionOccurrence": {"CodesetId": 3, "First": true, "ConditionTypeExclude": false,
      "Age": {"Op": "bt", "Value": 18, "Extent": "64"}, "OccurrenceStartDate": {"Op": "gt", "Value": "2010-1-5"},
      "Gender": [{"CONCEPT_ID": 8532, "CONCEPT_NAME": "FEMALE"}], "VisitTypeCS": {"CodesetId": 3, "IsExclusion": true},
      "StopReason": {"Op": "contains", "Text": "x"}, "ConditionSourceConcept": 3,
      "DateAdjustment": {"StartWith": "START_DATE", "StartOffset": 1, "EndWith": "END_DATE", "EndOffset": -1}}}],
    "ObservationWindow": {"PriorDays": 365, "PostDays": 0}, "PrimaryCriteriaLimit": {"Type": "All"}},
  "AdditionalCriteria": {"Type": "AT_LEAST", "Count": 1, "Groups": [{"Type": "ANY", "CriteriaList": [], "DemographicCriteriaList": [], "Groups": []}],
    "DemographicCriteriaList": [{"Race": [{"CONCEPT_ID": 8515}]}],
    "CriteriaList": [{"Criteria": {"Measurement": {"CodesetId": 3, "Abnormal": true}},
      "StartWindow": {"Start": {"Days": 30, "Coeff": -1}, "End": {"Coeff": 1}, "UseIndexEnd": false, "UseEventEnd": false},
      "EndWindow": {"Start": {"Coeff": -1}, "End": {"Days": 0, "Coeff": 1}},
      "RestrictVisit": false, "IgnoreObservationPeriod": true,
      "Occurrence": {"Type": 2, "Count": 2, "IsDistinct": true, "CountColumn": "START_DATE"}}]},
  "QualifiedLimit": {"Type": "First"}, "ExpressionLimit": {"Type": "Last"},
  "InclusionRules": [{"name": "rule", "description": "words", "expression": {"Type": "ALL", "CriteriaList": [], "DemographicCriteriaList": [], "Groups": []}}],
  "EndStrategy": {"CustomEra": {"DrugCodesetId": 3, "GapDays": 30, "Offset": 1, "DaysSupplyOverride": 7}},
  "CensoringCriteria": [{"ObservationPeriod": {"UserDefinedPeriod": {"StartDate": "2010-01-01", "EndDate": "2012-01-01"}}}],
  "CollapseSettings": {"CollapseType": "ERA", "EraPad": 5},
  "CensorWindow": {"StartDate": "2010-01-01", "EndDate": "2012-01-01"}
}`

func TestReadWhole(t *testing.T) {
	t.Parallel()
	d, err := cohort.Read([]byte(whole))
	require.NoError(t, err)
	require.Equal(t, []cohort.Filter{
		{Field: "Age", Number: &cohort.NumericRange{Op: "bt", Value: 18, Extent: 64}},
		{Field: "ConditionSourceConcept", Source: new(3)},
		{Field: "Gender", Concepts: []int64{8532}, Names: []string{"FEMALE"}},
		{Field: "OccurrenceStartDate", Date: &cohort.DateRange{Op: "gt", Value: "2010-01-05"}},
		{Field: "StopReason", Text: &cohort.TextFilter{Op: "contains", Text: "x"}},
		{Field: "VisitTypeCS", Set: &cohort.SetSelection{Set: new(3), Exclusion: true}},
	}, d.Primary.Criteria[0].Filters)
	require.Equal(t, &cohort.DateAdjustment{StartOffset: 1, EndOffset: -1}, d.Primary.Criteria[0].DateAdjustment)
	require.Equal(t, cohort.Occurrence{Type: cohort.AtLeastTimes, Count: 2, Distinct: true, CountColumn: "START_DATE"}, d.Additional.Criteria[0].Occurrence)
	require.Equal(t, cohort.EndStrategy{Era: &cohort.CustomEra{ConceptSet: 3, GapDays: 30, Offset: 1, DaysSupply: new(7)}}, d.End)
	again, err := cohort.Read(write(t, d))
	require.NoError(t, err)
	require.Equal(t, d, again)
}

// TestNoMemberIsIgnored puts an unknown member into every object of the format.
func TestNoMemberIsIgnored(t *testing.T) {
	t.Parallel()
	var definition any
	require.NoError(t, json.Unmarshal([]byte(whole), &definition))
	objects := 0
	var visit func(path string, value any)
	visit = func(path string, value any) {
		switch value := value.(type) {
		case []any:
			for i, item := range value {
				visit(fmt.Sprintf("%s[%d]", path, i), item)
			}
		case map[string]any:
			for name, item := range value {
				visit(strings.TrimPrefix(path+"."+name, "."), item)
			}
			objects++
			value["Unknown"] = nil
			raw, err := json.Marshal(definition)
			require.NoError(t, err)
			_, err = cohort.Read(raw)
			require.ErrorContains(t, err, path, "a member of %q is ignored", path)
			delete(value, "Unknown")
		}
	}
	visit("", definition)
	require.Equal(t, 41, objects)
}

// TestReadRefuses replaces one piece of the whole definition.
func TestReadRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ old, with, path string }{
		"no criteria":              {`"PrimaryCriteria"`, `"Primary"`, "PrimaryCriteria: is missing"},
		"two domains":              {`{"Measurement": {`, `{"Death": {}, "Measurement": {`, "AdditionalCriteria.CriteriaList[0].Criteria: must name exactly one domain"},
		"unknown domain":           {`{"Measurement": {`, `{"Feeling": {`, "AdditionalCriteria.CriteriaList[0].Criteria.Feeling"},
		"field of another domain":  {`"Abnormal": true`, `"ConditionStatus": []`, "Criteria.Measurement.ConditionStatus"},
		"set without id":           {`"id": 3, `, ``, "ConceptSets[0].id: is missing"},
		"set without items":        {`"items"`, `"item"`, "ConceptSets[0].expression.items: is missing"},
		"two sets of one id":       {`"ConceptSets": [`, `"ConceptSets": [{"id": 3, "expression": {"items": []}},`, "ConceptSets[1].id: stands twice"},
		"concept without id":       {`{"CONCEPT_ID": 8515}`, `{}`, "Race[0].CONCEPT_ID: is missing"},
		"concept as text":          {`"CONCEPT_ID": 8515`, `"CONCEPT_ID": "white"`, "Race[0].CONCEPT_ID: must be a number"},
		"range without value":      {`"Value": 18`, `"Value": null`, "Age.Value: is missing"},
		"range without extent":     {`"Extent": "64"`, `"Extent": ""`, "Age.Extent: is missing"},
		"unknown operator":         {`"Op": "bt"`, `"Op": "="`, "Age.Op: must be one of"},
		"no such day":              {`2010-1-5`, `2010-2-30`, "OccurrenceStartDate.Value: must be a date"},
		"time in a date":           {`2010-1-5`, `2010-01-05T00:00:00Z`, "OccurrenceStartDate.Value: must be a date"},
		"text filter without text": {`"Op": "contains", "Text": "x"`, `"Op": "contains"`, "StopReason.Text: is missing"},
		"null adjustment":          {`"StartWith": "START_DATE"`, `"StartWith": null`, "DateAdjustment.StartWith: must be START_DATE or END_DATE"},
		"unknown limit":            {`"Type": "Last"`, `"Type": "Second"`, "ExpressionLimit.Type: must be All, First or Last"},
		"null limit":               {`{"Type": "All"}`, `{"Type": null}`, "PrimaryCriteria.PrimaryCriteriaLimit.Type"},
		"unknown group":            {`"Type": "AT_LEAST"`, `"Type": "MOST"`, "AdditionalCriteria.Type: must be ALL"},
		"group without count":      {`"Count": 1, `, ``, "AdditionalCriteria.Count: is missing"},
		"no window":                {`"StartWindow"`, `"Window"`, "CriteriaList[0].StartWindow: is missing"},
		"window without end":       {`"End": {"Coeff": 1}`, `"End": null`, "StartWindow.End: is missing"},
		"half a day":               {`"Days": 30`, `"Days": 30.5`, "StartWindow.Start.Days: must be a whole number"},
		"too far":                  {`"Days": 30`, `"Days": 1e9`, "StartWindow.Start.Days: must be a whole number"},
		"unknown occurrence":       {`"Type": 2`, `"Type": 3`, "Occurrence.Type: must be a whole number of 0 to 2"},
		"column of another domain": {`"START_DATE"}}]`, `"REFILLS"}}]`, "Occurrence.CountColumn: must be a column of the criterion"},
		"two end strategies":       {`{"CustomEra"`, `{"DateOffset": {}, "CustomEra"`, "EndStrategy: must name one strategy"},
		"no end strategy":          {`{"CustomEra": {"DrugCodesetId": 3, "GapDays": 30, "Offset": 1, "DaysSupplyOverride": 7}}`, `{}`, "EndStrategy: must name one strategy"},
		"era of no drugs":          {`"DrugCodesetId": 3`, `"DrugCodesetId": null`, "EndStrategy.CustomEra.DrugCodesetId: is missing"},
		"unknown collapse":         {`"ERA"`, `"SPELL"`, "CollapseSettings.CollapseType: must be ERA"},
		"list that is an object":   {`"DemographicCriteriaList": [{"Race": [{"CONCEPT_ID": 8515}]}]`, `"DemographicCriteriaList": {}`, "must be a list"},
		"flag that is a number":    {`"First": true`, `"First": 1`, "ConditionOccurrence.First: must be true or false"},
		"name in another case":     {`"CensorWindow"`, `"censorWindow"`, "censorWindow: is not an element"},
		"name twice":               {`"EraPad": 5`, `"EraPad": 5, "EraPad": 6`, "same name twice"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw := strings.Replace(whole, c.old, c.with, 1)
			require.NotEqual(t, whole, raw, "the test changes nothing")
			_, err := cohort.Read([]byte(raw))
			require.ErrorContains(t, err, c.path)
			require.Equal(t, 422, problem.From(err).Status)
		})
	}
	for _, raw := range []string{"", "null", "[]", "7", `"x"`, "{}", `{"PrimaryCriteria":[]}`, strings.Repeat("[", 100)} {
		_, err := cohort.Read([]byte(raw))
		require.Equal(t, 422, problem.From(err).Status, raw)
	}
	_, err := cohort.Read(make([]byte, cohort.MaxSize+1))
	require.Equal(t, 413, problem.From(err).Status)
}

// TestReadLimits: what is small on the wire may be large in memory.
func TestReadLimits(t *testing.T) {
	t.Parallel()
	const frame = `{"PrimaryCriteria":{"CriteriaList":[%s]},"InclusionRules":[%s]}`
	repeat := func(text string, n int) string { return strings.TrimSuffix(strings.Repeat(text+",", n), ",") }
	for raw, what := range map[string]string{
		fmt.Sprintf(frame, repeat(`{"Death":{}}`, 10_001), ""):                                              "at most 10000 parts",
		fmt.Sprintf(frame, `{"Death":{}}`, repeat(`{"expression":{}}`, 63)):                                 "at most 62 rules",
		fmt.Sprintf(frame, `{"Death":{"Gender":[`+repeat(`{"CONCEPT_ID":1}`, 100_001)+`]}}`, ""):            "at most 100000 concepts",
		fmt.Sprintf(frame, strings.Repeat(`{"Death":{"CorrelatedCriteria":{"Groups":[`, 20)+"{}", "") + "]": "nested deeper",
	} {
		_, err := cohort.Read([]byte(raw))
		require.ErrorContains(t, err, what)
	}
}

// TestReadOlderForms: what earlier versions of ATLAS wrote, and what is left out, means
// what Circe makes of it.
func TestReadOlderForms(t *testing.T) {
	t.Parallel()
	read := func(raw string) cohort.Definition {
		d, err := cohort.Read([]byte(raw))
		require.NoError(t, err)
		return d
	}
	short := read(`{"PrimaryCriteria": {"CriteriaList": [{"DrugExposure": {}}]}}`)
	require.Equal(t, cohort.Definition{
		Primary:        cohort.Primary{Criteria: []cohort.Criterion{{Domain: cohort.DrugExposure}}, Limit: cohort.First},
		QualifiedLimit: cohort.First, ExpressionLimit: cohort.First,
	}, short)
	require.Equal(t, short, read(`{"ConceptSets": null, "AdditionalCriteria": null, "InclusionRules": null, "EndStrategy": null, "CensoringCriteria": null,
		"CollapseSettings": null, "CensorWindow": null, "Title": null, "cdmVersionRange": null, "PrimaryCriteria": {"PrimaryCriteriaLimit": {},
		"CriteriaList": [{"DrugExposure": {"CodesetId": null, "First": null, "Age": null, "Gender": null, "DrugTypeExclude": false,
		"CorrelatedCriteria": null, "DateAdjustment": null}}]}}`))
	require.Equal(t, cohort.All, read(`{"ExpressionLimit": {"Type": null}, "PrimaryCriteria": {"CriteriaList": [{"DrugExposure": {}}]}}`).ExpressionLimit)
	require.Equal(t, cohort.Last, read(`{"ExpressionLimit": {"Type": "LAST"}, "PrimaryCriteria": {"CriteriaList": [{"DrugExposure": {}}]}}`).ExpressionLimit)

	idle := read(`{"PrimaryCriteria": {"CriteriaList": [{"Death": {"Gender": [], "DeathTypeExclude": true}}]}}`)
	require.Empty(t, idle.Primary.Criteria[0].Filters)
	require.Equal(t, []string{"PrimaryCriteria.CriteriaList[0].Death.DeathTypeExclude", "PrimaryCriteria.CriteriaList[0].Death.Gender"}, idle.Idle)

	// Circe compares whole numbers, or four decimals.
	rounded := read(`{"PrimaryCriteria": {"CriteriaList": [{"Measurement": {"Age": {"Op": "gt", "Value": 18.9, "Extent": 7}, "ValueAsNumber": {"Op": "lt", "Value": 0.12345678}}}]}}`)
	require.Equal(t, &cohort.NumericRange{Op: "gt", Value: 18}, rounded.Primary.Criteria[0].Filters[0].Number)
	require.Equal(t, &cohort.NumericRange{Op: "lt", Value: 0.1235}, rounded.Primary.Criteria[0].Filters[1].Number)
}

// FuzzRead looks for a definition that panics, is refused without a place, or is another
// one when it is written and read again.
func FuzzRead(f *testing.F) {
	for _, raw := range []string{whole, "{}", `{"PrimaryCriteria":{"CriteriaList":[{"Death":{}}]}}`, `{"PrimaryCriteria":{"CriteriaList":[{"VisitDetail":{"PlaceOfServiceLocation":1}}]}}`} {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := cohort.Read(raw)
		if err != nil {
			require.Contains(t, []int{413, 422}, problem.From(err).Status)
			require.NotEmpty(t, cohort.Check(raw))
			return
		}
		again, err := cohort.Read(write(t, d))
		require.NoError(t, err)
		again.Idle = d.Idle // it is not written
		require.Equal(t, d.Normal(), again.Normal())
		require.Equal(t, d.Normal(), d.Normal().Normal())
		require.Equal(t, d.Explain(0), again.Explain(0))
		require.Equal(t, d.Reads(), d.Normal().Reads())
		d.Lint()
	})
}
