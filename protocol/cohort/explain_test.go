package cohort_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/cohort"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestExplainGolden: what an ethics board reads about some definitions.
func TestExplainGolden(t *testing.T) {
	t.Parallel()
	_, all := allDefinitions(t)
	for _, name := range []string{"library/25", "library/1080", "library/1316", "library/1050", "library/36", "generated/200040", "generated/200104"} {
		file := filepath.Join("testdata", "explain", strings.ReplaceAll(name, "/", "-")+".txt")
		text := all[name].Explain(10)
		if *update {
			require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, string(want), text, name)
	}
}

// TestExplainIsWhole: no definition has an element without words.
func TestExplainIsWhole(t *testing.T) {
	t.Parallel()
	names, all := allDefinitions(t)
	longest := 0 // concept set
	concept := regexp.MustCompile(`^ +- (?:.* \(|(?:not )?concept )(\d+)\)?(?:, with .*)?\n$`)
	for _, name := range names {
		d, text := all[name], all[name].Explain(0)
		require.NotContains(t, text, "%!", name)
		require.NotContains(t, text, "not defined", name)
		for _, rule := range d.Rules {
			require.Contains(t, text, fmt.Sprintf(". %q: ", strings.Join(strings.Fields(rule.Name), " ")), name)
		}
		_, sets, _ := strings.Cut(text, "\nCONCEPT SETS\n")
		said := map[string]bool{}
		for line := range strings.Lines(sets) {
			if id := concept.FindStringSubmatch(line); id != nil {
				said[id[1]] = true
			}
		}
		for _, set := range d.Used() {
			longest = max(longest, len(set.Items))
			for _, item := range set.Items {
				if !said[fmt.Sprint(item.Concept)] {
					t.Errorf("%s: concept %d is not named", name, item.Concept)
				}
			}
		}
	}
	require.Greater(t, longest, 20)
}

// TestExplainSaysEveryElement is about what is no field of a domain.
func TestExplainSaysEveryElement(t *testing.T) {
	t.Parallel()
	const one = `"CriteriaList": [{"Criteria": {"Measurement": {}}, "StartWindow": {"Start": {"Days": 30, "Coeff": -1}, "End": {"Days": 0, "Coeff": 1}}, "Occurrence": {"Type": 2, "Count": 1}}]`
	for name, c := range map[string]struct{ old, with, words string }{
		"window":              {"", "", "at least 1 measurement, starting between 30 days before and the day of the index event"},
		"window after":        {`{"Days": 0, "Coeff": 1}`, `{"Days": 1, "Coeff": 1}`, "starting between 30 days before and 1 day after the index event"},
		"one day":             {`{"Days": 0, "Coeff": 1}`, `{"Days": 30, "Coeff": -1}`, "starting 30 days before the index event"},
		"the day":             {`{"Days": 30, "Coeff": -1}`, `{"Days": 0, "Coeff": -1}`, "starting on the day of the index event"},
		"open after":          {`{"Days": 0, "Coeff": 1}`, `{"Coeff": 1}`, "starting 30 days before the index event or later"},
		"open before":         {`{"Days": 30, "Coeff": -1}`, `{"Coeff": -1}`, "starting on the day of the index event or earlier"},
		"open":                {`{"Days": 30, "Coeff": -1}, "End": {"Days": 0, "Coeff": 1}`, `{"Coeff": -1}, "End": {"Coeff": 1}`, "starting at any time"},
		"open the wrong way":  {`{"Days": 30, "Coeff": -1}`, `{"Coeff": 1}`, "starting from the end of the observation period to the day of the index event"},
		"from the end":        {`"End": {"Days": 0, "Coeff": 1}}`, `"End": {"Days": 0, "Coeff": 1}, "UseIndexEnd": true}`, "and the day of the end of the index event"},
		"the event's end":     {`"End": {"Days": 0, "Coeff": 1}}`, `"End": {"Days": 0, "Coeff": 1}, "UseEventEnd": true}`, "ending between 30 days before"},
		"end window":          {`, "Occurrence"`, `, "EndWindow": {"Start": {"Coeff": -1}, "End": {"Days": 9, "Coeff": 1}}, "Occurrence"`, "and ending 9 days after the index event or earlier"},
		"same visit":          {`, "Occurrence"`, `, "RestrictVisit": true, "Occurrence"`, "during the same visit as the index event"},
		"out of observation":  {`, "Occurrence"`, `, "IgnoreObservationPeriod": true, "Occurrence"`, "even outside the observation period"},
		"none":                {`"Type": 2, "Count": 1`, `"Type": 0, "Count": 0`, "no measurements, starting"},
		"exactly":             {`"Type": 2, "Count": 1`, `"Type": 0, "Count": 2`, "exactly 2 measurements"},
		"at most":             {`"Type": 2, "Count": 1`, `"Type": 1, "Count": 3`, "at most 3 measurements"},
		"distinct":            {`"Count": 1}`, `"Count": 1, "IsDistinct": true}`, "counting those that differ in their concept"},
		"distinct column":     {`"Count": 1}`, `"Count": 1, "IsDistinct": true, "CountColumn": "RANGE_LOW"}`, "counting those that differ in their range low"},
		"first":               {`{"Measurement": {}}`, `{"Measurement": {"First": true}}`, "the first such of the person"},
		"concept set":         {`{"Measurement": {}}`, `{"Measurement": {"CodesetId": 4}}`, `1 measurement of "Chosen"`},
		"undefined set":       {`{"Measurement": {}}`, `{"Measurement": {"CodesetId": 5}}`, "a concept set that is not defined (5)"},
		"date adjustment":     {`{"Measurement": {}}`, `{"Measurement": {"DateAdjustment": {"StartWith": "END_DATE", "StartOffset": -5, "EndOffset": 3}}}`, "taken to start 5 days before its end and to end 3 days after its end"},
		"correlated":          {`{"Measurement": {}}`, `{"Measurement": {"CorrelatedCriteria": {"Type": "ALL", "DemographicCriteriaList": [{"Age": {"Op": "lte", "Value": 1}}]}}}`, "and about that measurement this holds:\n      - the person's age is at most 1 year at that measurement"},
		"at least of a group": {`{"Type": "ALL"`, `{"Type": "AT_LEAST", "Count": 1`, "at least 1 of these hold"},
		"at most of a group":  {`{"Type": "ALL"`, `{"Type": "AT_MOST", "Count": 1`, "at most 1 of these hold"},
		"none of a group":     {`{"Type": "ALL"`, `{"Type": "AT_MOST", "Count": 0`, "none of these holds"},
		"demographic days":    {`"CriteriaList": [{"Criteria": {"Measurement"`, `"DemographicCriteriaList": [{"OccurrenceEndDate": {"Op": "lt", "Value": "2020-02-01"}}], "CriteriaList": [{"Criteria": {"Measurement"`, "the end of the index event is before 2020-02-01"},
		"description":         {`"name": "r"`, `"name": "r", "description": "why\nso"`, "(In its author's words: \"why so\")"},
		"observation":         {`"CriteriaList": [{"Death": {}}]`, `"CriteriaList": [{"Death": {}}], "ObservationWindow": {"PriorDays": 365, "PostDays": 1}`, "observed for at least 365 days before and 1 day after the event"},
		"primary limit":       {`{"Type": "All"}`, `{"Type": "Last"}`, "only the last such event is kept"},
		"expression limit":    {`"ExpressionLimit": {"Type": "All"}`, `"ExpressionLimit": {"Type": "Last"}`, "only the last remaining event is kept"},
		"qualified limit":     {`"ExpressionLimit"`, `"QualifiedLimit": {"Type": "Last"}, "AdditionalCriteria": {"Type": "ALL"}, "ExpressionLimit"`, "only the last remaining event is kept"},
		"additional":          {`"ExpressionLimit"`, `"AdditionalCriteria": {"Type": "ANY", ` + one + `}, "ExpressionLimit"`, "An index event counts only if this holds:"},
		"default end":         {"", "", "They leave it at the end of the observation period."},
		"date offset":         {`"ExpressionLimit"`, `"EndStrategy": {"DateOffset": {"DateField": "EndDate", "Offset": 30}}, "ExpressionLimit"`, "They leave it 30 days after the end of the index event"},
		"era":                 {`"ExpressionLimit"`, `"EndStrategy": {"CustomEra": {"DrugCodesetId": 4, "GapDays": 30, "Offset": 2, "DaysSupplyOverride": 7}}, "ExpressionLimit"`, "exposure to \"Chosen\" that the index event lies in ends, at the latest or without one at the end of the observation period.\n  Exposures with at most 30 days between them are continuous.\n  Each exposure is taken to last 7 days, whatever is recorded.\n  The exposure is taken to end 2 days after the end of the last one."},
		"censoring":           {`"ExpressionLimit"`, `"CensoringCriteria": [{"DrugEra": {"CodesetId": 4}}], "ExpressionLimit"`, "of:\n  - a drug era of \"Chosen\""},
		"pad":                 {`"ExpressionLimit"`, `"CollapseSettings": {"EraPad": 5}, "ExpressionLimit"`, "at most 5 days apart become one"},
		"censor window":       {`"ExpressionLimit"`, `"CensorWindow": {"StartDate": "2010-01-01"}, "ExpressionLimit"`, "from 2010-01-01 on is looked at"},
		"excluded concept":    {`{"Measurement": {}}`, `{"Measurement": {"CodesetId": 4}}`, "\"Chosen\": 1 concept, less 1:\n  - One (1), with everything below it, with the source concepts that map to it\n  - not concept 2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := `{"ConceptSets": [{"id": 4, "name": "Chosen", "expression": {"items": [
				{"concept": {"CONCEPT_ID": 1, "CONCEPT_NAME": "One"}, "includeDescendants": true, "includeMapped": true}, {"concept": {"CONCEPT_ID": 2}, "isExcluded": true}]}}],
				"PrimaryCriteria": {"PrimaryCriteriaLimit": {"Type": "All"}, "CriteriaList": [{"Death": {}}]}, "ExpressionLimit": {"Type": "All"},
				"InclusionRules": [{"name": "r", "expression": {"Type": "ALL", ` + one + `}}]}`
			raw := strings.Replace(base, c.old, c.with, 1)
			require.Equal(t, c.old == "", base == raw, "the test changes nothing")
			d, err := cohort.Read([]byte(raw))
			require.NoError(t, err)
			require.Contains(t, d.Explain(10), c.words)
		})
	}
}

// TestExplainKeepsItsForm: a name cannot pretend to be a line of the explanation.
func TestExplainKeepsItsForm(t *testing.T) {
	t.Parallel()
	d := using(cohort.Death)
	d.Rules = []cohort.Rule{{Name: "x\nThey leave it never."}}
	require.NotContains(t, d.Explain(10), "\nThey leave it never.")
	d.Rules = []cohort.Rule{{Name: "x\u202e\x1b[2J", Description: "\u2066y"}}
	require.Contains(t, d.Explain(10), `1. "x\u202e\x1b[2J": holds for everybody.`, "nor act on a terminal")
	require.Contains(t, d.Explain(10), `"\u2066y"`)
}

// TestExplainNamed: the names of concepts are the reader's, wherever they stand.
func TestExplainNamed(t *testing.T) {
	t.Parallel()
	d, err := cohort.Read([]byte(`{"ConceptSets": [
		{"id": 4, "name": "flu", "expression": {"items": [{"concept": {"CONCEPT_ID": 439727, "CONCEPT_NAME": "Influenza"}, "includeDescendants": true}]}},
		{"id": 5, "name": "idle", "expression": {"items": [{"concept": {"CONCEPT_ID": 1, "CONCEPT_NAME": "Idle"}}]}}],
		"PrimaryCriteria": {"CriteriaList": [{"ConditionOccurrence": {"CodesetId": 4, "Gender": [{"CONCEPT_ID": 8532, "CONCEPT_NAME": "MALE"}, {"CONCEPT_ID": 0, "CONCEPT_NAME": "none"}]}}]}}`))
	require.NoError(t, err)
	var asked []string
	text := d.ExplainNamed(func(id int64, theirs string) string {
		asked = append(asked, fmt.Sprint(id, " ", theirs))
		return fmt.Sprintf("<%d>", id)
	})
	require.Equal(t, []string{"8532 MALE", "0 none"}, asked)
	require.Contains(t, text, `a condition of "flu"`)
	require.Contains(t, text, "is one of <8532>, <0>")
	require.NotContains(t, text, "MALE")
	require.NotContains(t, text, "CONCEPT SETS")
	require.Equal(t, []cohort.Item{{Concept: 8532, Name: "MALE"}}, d.Mentioned())
	require.Equal(t, d.ConceptSets[:1], d.Used())
}
