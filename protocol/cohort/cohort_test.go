package cohort_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/cohort"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

func simple(t testing.TB) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "simple.json"))
	require.NoError(t, err)
	return raw
}

func TestParse(t *testing.T) {
	t.Parallel()
	e, err := cohort.Parse(simple(t))
	require.NoError(t, err)
	require.Equal(t, cohort.Expression{
		PriorDays: 365,
		Criteria:  []cohort.EventCriterion{{Domain: cohort.ConditionOccurrence, Concepts: []int64{201826}}, {Domain: cohort.DrugExposure}},
	}, e)
}

// TestRefusals replaces one piece of a good definition.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ old, new, path string }{
		"descendants":           {`"includeDescendants": false`, `"includeDescendants": true`, "ConceptSets[0].expression.items[0].includeDescendants"},
		"excluded concept":      {`"isExcluded": false`, `"isExcluded": true`, "ConceptSets[0].expression.items[0].isExcluded"},
		"mapped":                {`"includeMapped": false`, `"includeMapped": true`, "ConceptSets[0].expression.items[0].includeMapped"},
		"no concept":            {`"CONCEPT_ID": 201826`, `"CONCEPT_ID": 0`, "ConceptSets[0].expression.items[0].concept.CONCEPT_ID"},
		"concept that is text":  {`"CONCEPT_ID": 201826`, `"CONCEPT_ID": "x"`, "wrong type"},
		"unknown set":           {`"CodesetId": 3`, `"CodesetId": 4`, "PrimaryCriteria.CriteriaList[0].ConditionOccurrence.CodesetId"},
		"null set":              {`"CodesetId": 3`, `"CodesetId": null`, "PrimaryCriteria.CriteriaList[0].ConditionOccurrence.CodesetId"},
		"another attribute":     {`"CodesetId": 3`, `"CodesetId": 3, "First": true`, "PrimaryCriteria.CriteriaList[0].ConditionOccurrence.First"},
		"unknown domain":        {`"DrugExposure"`, `"DoseEra"`, "PrimaryCriteria.CriteriaList[1].DoseEra"},
		"two domains in one":    {`{"DrugExposure": {}}`, `{"DrugExposure": {}, "Observation": {}}`, "PrimaryCriteria.CriteriaList[1]"},
		"null criterion":        {`{"DrugExposure": {}}`, `{"DrugExposure": null}`, "PrimaryCriteria.CriteriaList[1].DrugExposure"},
		"additional criteria":   {`"QualifiedLimit"`, `"AdditionalCriteria": {"Type":"ALL"}, "QualifiedLimit"`, "AdditionalCriteria"},
		"end strategy":          {`"QualifiedLimit"`, `"EndStrategy": {}, "QualifiedLimit"`, "EndStrategy"},
		"inclusion rule":        {`"InclusionRules": []`, `"InclusionRules": [{}]`, "InclusionRules"},
		"censoring":             {`"CensoringCriteria": []`, `"CensoringCriteria": [{"Death":{}}]`, "CensoringCriteria"},
		"censor window":         {`"CensorWindow": {}`, `"CensorWindow": {"StartDate":"2020-01-01"}`, "CensorWindow"},
		"collapse":              {`"EraPad": 0`, `"EraPad": 1`, "CollapseSettings"},
		"last event":            {`"PrimaryCriteriaLimit": {"Type": "First"}`, `"PrimaryCriteriaLimit": {"Type": "Last"}`, "PrimaryCriteria.PrimaryCriteriaLimit.Type"},
		"last qualified event":  {`"QualifiedLimit": {"Type": "First"}`, `"QualifiedLimit": {"Type": "Last"}`, "QualifiedLimit"},
		"negative days":         {`"PriorDays": 365`, `"PriorDays": -1`, "PrimaryCriteria.ObservationWindow"},
		"more than a century":   {`"PriorDays": 365`, `"PriorDays": 36501`, "PrimaryCriteria.ObservationWindow"},
		"a name in other case":  {`"PrimaryCriteria"`, `"primaryCriteria"`, "primaryCriteria"},
		"two sets of one id":    {`"ConceptSets": [`, `"ConceptSets": [{"id":3,"expression":{"items":[{"concept":{"CONCEPT_ID":1}}]}},`, "ConceptSets[1].id"},
		"empty set":             {`"ConceptSets": [`, `"ConceptSets": [{"id":4,"expression":{"items":[]}},`, "ConceptSets[0].expression.items"},
		"duplicate name":        {`"PriorDays": 365`, `"PriorDays": 365, "PriorDays": 1`, "same name twice"},
		"nothing to begin with": {simpleCriteria, `"CriteriaList": []`, "PrimaryCriteria.CriteriaList"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw := strings.Replace(string(simple(t)), c.old, c.new, 1)
			require.NotEqual(t, string(simple(t)), raw, "the test changes nothing")
			_, err := cohort.Parse([]byte(raw))
			var refusal *problem.Error
			require.ErrorAs(t, err, &refusal)
			require.Contains(t, refusal.Public, c.path)
		})
	}
	for _, raw := range []string{"", "null", "[]", "7", `"x"`, "{}", `{"PrimaryCriteria":null}`, `{"PrimaryCriteria":[]}`, strings.Repeat("[", 100), "{" + strings.Repeat(" ", cohort.MaxBytes)} {
		_, err := cohort.Parse([]byte(raw))
		var refusal *problem.Error
		require.ErrorAs(t, err, &refusal, "%.20q", raw)
	}
}

const simpleCriteria = `"CriteriaList": [
      {"ConditionOccurrence": {"CodesetId": 3}},
      {"DrugExposure": {}}
    ]`

// TestNothingIsIgnored puts an unknown field into every object of a definition.
func TestNothingIsIgnored(t *testing.T) {
	t.Parallel()
	var definition any
	require.NoError(t, json.Unmarshal(simple(t), &definition))
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
				visit(path+"."+name, item)
			}
			if strings.HasSuffix(path, ".concept") {
				return // its other fields are for people to read
			}
			objects++
			value["Unknown"] = 1
			raw, err := json.Marshal(definition)
			require.NoError(t, err)
			_, err = cohort.Parse(raw)
			require.Error(t, err, "a field at %s is ignored", path)
			delete(value, "Unknown")
		}
	}
	visit("", definition)
	require.Greater(t, objects, 10)
}

// TestOHDSIDefinitions: real ones use what this version does not evaluate, and
// are told so by the element.
func TestOHDSIDefinitions(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{
		"25":     "PrimaryCriteria.CriteriaList[0].Death ",
		"766":    "includeDescendants ",
		"1172":   "includeDescendants ",
		"1175":   "includeDescendants ",
		"200051": "CensorWindow ",
		"200094": "ExpressionLimit ",
	} {
		raw, err := os.ReadFile(filepath.Join("testdata", "ohdsi-"+name+".json"))
		require.NoError(t, err)
		_, err = cohort.Parse(raw)
		var refusal *problem.Error
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, "cohort.unsupported", refusal.Rule)
		require.Contains(t, refusal.Public, path, name)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(simple(f))
	f.Add([]byte(`{"PrimaryCriteria":{"CriteriaList":[{"Observation":{}}]}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := cohort.Parse(raw)
		if err != nil {
			var refusal *problem.Error
			require.ErrorAs(t, err, &refusal)
			return
		}
		require.NotEmpty(t, e.Criteria)
		require.GreaterOrEqual(t, min(e.PriorDays, e.PostDays), 0)
		for _, c := range e.Criteria {
			for _, id := range c.Concepts {
				require.Positive(t, id)
			}
		}
	})
}
