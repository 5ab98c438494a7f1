package cohort_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// sound is a definition about which nothing is to be said.
const sound = `{
  "ConceptSets": [
    {"id": 0, "name": "A", "expression": {"items": [{"concept": {"CONCEPT_ID": 1, "STANDARD_CONCEPT": "S", "INVALID_REASON": "V"}}]}}],
  "PrimaryCriteria": {"CriteriaList": [{"DrugExposure": {"CodesetId": 0, "First": false, "Age": {"Op": "gte", "Value": 18}}}],
    "PrimaryCriteriaLimit": {"Type": "First"}},
  "QualifiedLimit": {"Type": "First"}, "ExpressionLimit": {"Type": "First"},
  "InclusionRules": [{"name": "r", "expression": {"Type": "ALL", "CriteriaList": [{
    "Criteria": {"VisitDetail": {}}, "StartWindow": {"Start": {"Days": 30, "Coeff": -1}, "End": {"Days": 0, "Coeff": 1}}, "Occurrence": {"Type": 2, "Count": 1}}]}}],
  "EndStrategy": {"DateOffset": {"DateField": "StartDate", "Offset": 7}},
  "CensoringCriteria": [{"Death": {}}],
  "CensorWindow": {"StartDate": "2010-01-01", "EndDate": "2020-01-01"}
}`

func TestLint(t *testing.T) {
	t.Parallel()
	require.Empty(t, cohort.Check([]byte(sound)))
	const (
		drug = "PrimaryCriteria.CriteriaList[0].DrugExposure"
		rule = "InclusionRules[0].expression"
		one  = rule + ".CriteriaList[0]"
	)
	for name, c := range map[string]struct {
		old, with, path string
		severity        cohort.Severity
		rule            string
	}{
		"unreadable":            {`"Op": "gte"`, `"Op": "over"`, drug + ".Age.Op", cohort.Error, "unreadable"},
		"region of a person":    {`{"VisitDetail": {}}`, `{"LocationRegion": {}}`, one + ".Criteria.LocationRegion", cohort.Error, "unsupported"},
		"region of a place":     {`{"VisitDetail": {}}`, `{"VisitDetail": {"PlaceOfServiceLocation": 0}}`, one + ".Criteria.VisitDetail.PlaceOfServiceLocation", cohort.Error, "unsupported"},
		"undefined set":         {`{"VisitDetail": {}}`, `{"VisitDetail": {"GenderCS": {"CodesetId": 8}}}`, one + ".Criteria.VisitDetail.GenderCS.CodesetId", cohort.Error, "undefined-set"},
		"unused set":            {`{"CodesetId": 0, `, `{`, "ConceptSets[0]", cohort.Note, "unused-set"},
		"empty set":             {`{"concept": {"CONCEPT_ID": 1, "STANDARD_CONCEPT": "S", "INVALID_REASON": "V"}}`, ``, "ConceptSets[0]", cohort.Warning, "empty-set"},
		"only excluded":         {`{"concept"`, `{"isExcluded": true, "concept"`, "ConceptSets[0]", cohort.Warning, "only-excluded"},
		"non-standard":          {`"STANDARD_CONCEPT": "S"`, `"STANDARD_CONCEPT": "N"`, "ConceptSets[0]", cohort.Note, "non-standard-concept"},
		"invalid":               {`"INVALID_REASON": "V"`, `"INVALID_REASON": "D"`, "ConceptSets[0]", cohort.Note, "invalid-concept"},
		"covered":               {`"items": [`, `"items": [{"includeDescendants": true, "concept": {"CONCEPT_ID": 1}},`, "ConceptSets[0]", cohort.Note, "repeated-concept"},
		"reversed window":       {`{"Days": 30, "Coeff": -1}`, `{"Days": 30, "Coeff": 1}`, one + ".StartWindow", cohort.Warning, "window-reversed"},
		"open the wrong way":    {`{"Days": 30, "Coeff": -1}`, `{"Coeff": 1}`, one + ".StartWindow", cohort.Warning, "window-reversed"},
		"at least 0":            {`"Type": 2, "Count": 1`, `"Type": 2, "Count": 0`, one + ".Occurrence", cohort.Warning, "always-true"},
		"distinct none":         {`"Type": 2, "Count": 1`, `"Type": 0, "Count": 0, "IsDistinct": true`, one + ".Occurrence.IsDistinct", cohort.Note, "no-effect"},
		"more than there are":   {`{"Type": "ALL"`, `{"Type": "AT_LEAST", "Count": 2`, rule + ".Count", cohort.Warning, "never-true"},
		"at most all":           {`{"Type": "ALL"`, `{"Type": "AT_MOST", "Count": 1`, rule + ".Count", cohort.Warning, "always-true"},
		"at least none":         {`{"Type": "ALL"`, `{"Type": "AT_LEAST", "Count": 0`, rule + ".Count", cohort.Warning, "always-true"},
		"rule without criteria": {`{"name": "r"`, `{"name": "q", "expression": {"Type": "ALL"}}, {"name": "r"`, rule, cohort.Warning, "always-true"},
		"person without filter": {`"CriteriaList": [{
    "Criteria"`, `"DemographicCriteriaList": [{}], "CriteriaList": [{
    "Criteria"`, rule + ".DemographicCriteriaList[0]", cohort.Warning, "always-true"},
		"group without parts": {`{"Type": "ALL"`, `{"Groups": [{"Type": "ALL"}], "Type": "ALL"`, rule + ".Groups[0]", cohort.Note, "always-true"},
		"old age":             {`"Value": 18`, `"Value": 180`, drug + ".Age", cohort.Warning, "impossible-age"},
		"no age":              {`"Op": "gte", "Value": 18`, `"Op": "lt", "Value": 0`, drug + ".Age", cohort.Warning, "impossible-age"},
		"negative supply":     {`"First": false`, `"DaysSupply": {"Op": "lt", "Value": 0}`, drug + ".DaysSupply", cohort.Warning, "never-true"},
		"reversed numbers":    {`"Op": "gte", "Value": 18`, `"Op": "bt", "Value": 18, "Extent": 17`, drug + ".Age", cohort.Warning, "never-true"},
		"reversed days":       {`"First": false`, `"OccurrenceStartDate": {"Op": "!bt", "Value": "2020-01-02", "Extent": "2020-01-01"}`, drug + ".OccurrenceStartDate", cohort.Warning, "always-true"},
		"wildcard":            {`"First": false`, `"StopReason": {"Op": "eq", "Text": "100%"}`, drug + ".StopReason.Text", cohort.Note, "wildcard"},
		"another column":      {`"First": false`, `"OccurrenceEndDate": {"Op": "gt", "Value": "2020-01-02"}`, drug + ".OccurrenceEndDate", cohort.Warning, "compares-other"},
		"adjusted to nothing": {`"First": false`, `"DateAdjustment": {"EndWith": "START_DATE", "EndOffset": -1}`, drug + ".DateAdjustment", cohort.Warning, "end-before-start"},
		"first twice":         {`"First": false`, `"First": true`, drug + ".First", cohort.Note, "first-twice"},
		"empty list":          {`"First": false`, `"Gender": []`, drug + ".Gender", cohort.Note, "no-effect"},
		"later limit":         {`"ExpressionLimit": {"Type": "First"}`, `"ExpressionLimit": {"Type": "Last"}`, "ExpressionLimit", cohort.Note, "limit-without-effect"},
		"end before start":    {`"Offset": 7`, `"Offset": -7`, "EndStrategy.DateOffset.Offset", cohort.Warning, "end-before-start"},
		"censored away":       {`"EndDate": "2020`, `"EndDate": "2000`, "CensorWindow", cohort.Warning, "window-reversed"},
		"repeated event":      {`[{"Death": {}}]`, `[{"Death": {}}, {"Death": {}}]`, "CensoringCriteria[1]", cohort.Warning, "repeated"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw := strings.Replace(sound, c.old, c.with, 1)
			require.NotEqual(t, sound, raw, "the test changes nothing")
			findings := cohort.Check([]byte(raw))
			require.Len(t, findings, 1, "%+v", findings)
			f := findings[0]
			require.Equal(t, []string{c.path, string(c.severity), c.rule}, []string{f.Path, string(f.Severity), f.Rule}, f.Sentence)
			require.NotContains(t, f.Sentence, "%!")
		})
	}
}

// TestLintFindsRulesThatSayTheSame, whatever their words, order and concept sets.
func TestLintFindsRulesThatSayTheSame(t *testing.T) {
	t.Parallel()
	rule := func(name string, sexes ...int64) cohort.Rule {
		return cohort.Rule{Name: name, Group: cohort.Group{Type: cohort.AnyOf, Demographics: []cohort.Demographic{{Filters: []cohort.Filter{{Field: "Gender", Concepts: sexes}}}}}}
	}
	d := using(cohort.Death)
	d.ConceptSets = nil
	d.Rules = []cohort.Rule{rule("a", 1, 2), rule("b", 3), rule("c", 2, 1), rule("b", 4)}
	findings := d.Lint()
	require.Len(t, findings, 2)
	require.Equal(t, cohort.Finding{Path: "InclusionRules[2]", Severity: cohort.Warning, Rule: "repeated", Sentence: "it says the same as InclusionRules[0]"}, findings[0])
	require.Equal(t, "repeated-name", findings[1].Rule)
}

// TestLintOrder: findings stand in the order of a document, numbers by value.
func TestLintOrder(t *testing.T) {
	t.Parallel()
	d := using(cohort.Death)
	d.ConceptSets = nil
	for range 12 {
		d.Rules = append(d.Rules, cohort.Rule{Name: strings.Repeat("x", len(d.Rules))})
	}
	var paths []string
	for _, f := range d.Lint() {
		if f.Rule == "always-true" {
			paths = append(paths, f.Path)
		}
	}
	require.Len(t, paths, 12)
	require.Equal(t, []string{"InclusionRules[2].expression", "InclusionRules[11].expression"}, []string{paths[2], paths[11]})
}
