package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/query"
)

const yamlQuestion = `# who was seen
trial: bp-2026
purpose: |
  How many were seen,
  by age?
cohort:
  PrimaryCriteria: {CriteriaList: [{VisitOccurrence: {}}]}
analysis:
  kind: quantiles
  columns:
    - {name: age, from: age}
  quantiles:
    values: [age]
    probabilities: [0.25, .5, 75.0e-2]
`

func TestAQuestionCanBeYAML(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "question.yaml")
	require.NoError(t, os.WriteFile(path, []byte(yamlQuestion), 0o600))
	var got query.Request
	require.NoError(t, readValue(&cobra.Command{}, path, &got))
	require.JSONEq(t, `{"PrimaryCriteria":{"CriteriaList":[{"VisitOccurrence":{}}]}}`, string(got.Cohort))
	got.Cohort = nil
	require.Equal(t, query.Request{
		Trial: "bp-2026", Purpose: "How many were seen,\nby age?\n",
		Analysis: query.Analysis{
			Kind: query.Quantiles, Columns: []query.Column{{Name: "age", From: query.FromAge}},
			Specs: query.Specs{Quantiles: &query.QuantilesSpec{Values: []string{"age"}, Probabilities: []float64{0.25, 0.5, 0.75}}},
		},
	}, got)
}

func TestErrorsInFilesSayWhere(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ file, text, want string }{
		"json: a comma too many":   {"q.json", "{\n \"trial\": \"a\",\n}", "line 3, column 1: invalid character '}'"},
		"json: an unknown field":   {"q.json", "{\"trial\": \"a\", \"analysis\":\n  {\"kind\": \"glm\", \"glm\": {\n   \"famly\": \"x\"}}}", `line 3, column 4: unknown field "famly" (did you mean family?)`},
		"json: an embedded one":    {"q.json", "{\"analysis\": {\"kind\": \"glm\",\n \"glmm\": {}}}", `line 2, column 2: unknown field "glmm" (did you mean glm?)`},
		"json: another kind":       {"q.json", "{\"analysis\":\n {\"kind\": \"count\", \"by\": \"sex\"}}", "line 2, column 30: analysis.by: want a list, not text"},
		"json: within a method":    {"q.json", "{\"analysis\":\n {\"prevalence\": {\"by\": []}}}", ": analysis.prevalence.by: want text, not a list"},
		"json: not whole":          {"q.json", "{\"analysis\": {\"variable\": {\"concept\": 1.5}}}", "line 1, column 41: analysis.variable.concept: want a whole number, not this number"},
		"json: ends early":         {"q.json", "{\"trial\":\n", "line 2, column 1: it ends too early"},
		"json: more":               {"q.json", "{}\n {}", "line 2, column 2: more follows"},
		"json: empty":              {"q.json", "", "q.json: it is empty"},
		"json: letters of two":     {"q.json", "{\"purpose\": \"µµ\", x}", "line 1, column 19: invalid character 'x'"},
		"yaml: an unknown field":   {"q.yaml", "trial: a\nanalysis:\n  kind: glm\n  glm:\n    famly: binomial\n", `line 5, column 5: unknown field "famly"`},
		"yaml: another kind":       {"q.yml", "analysis:\n  kind: count\n  by: sex\n", "line 3, column 7: analysis.by: want a list, not text"},
		"yaml: indented wrongly":   {"q.yaml", "trial: a\n  purpose: b\n", "line 2: mapping values are not allowed"},
		"yaml: twice":              {"q.yaml", "trial: a\ntrial: b\n", `line 2, column 1: "trial" stands twice`},
		"yaml: an alias":           {"q.yaml", "trial: &a x\npurpose: *a\n", "line 2, column 10: write the value out"},
		"yaml: a number as a name": {"q.yaml", "1: a\n", "line 1, column 1: a name must be text"},
		"yaml: no number":          {"q.yaml", "analysis: {variable: {low: .nan}}\n", "line 1, column 28: a number must be finite"},
		"yaml: a tag":              {"q.yaml", "trial: !!binary aGk=\n", "line 1, column 8: a value cannot have the tag !!binary"},
		"yaml: two documents":      {"q.yaml", "trial: a\n---\ntrial: b\n", "line 2: more follows"},
		"yaml: empty":              {"q.yaml", "# nothing\n", "q.yaml: it is empty"},
	} {
		path := filepath.Join(t.TempDir(), c.file)
		require.NoError(t, os.WriteFile(path, []byte(c.text), 0o600))
		err := readValue(&cobra.Command{}, path, new(query.Request))
		require.ErrorAs(t, err, new(usageError), name)
		require.ErrorContains(t, err, c.want, name)
	}
}

func FuzzYAMLIsReadStrictly(f *testing.F) {
	f.Add(yamlQuestion)
	f.Add("a: [1, 2.5, true, ~, 2026-01-01, 0x1F, 1_000]\nb: {c: \"\\u0000\"}\n")
	f.Add("- &a\n- *a\n")
	f.Add("? [a]\n: b\n")
	f.Fuzz(func(t *testing.T, text string) {
		y, err := readYAML([]byte(text))
		if err != nil {
			return
		}
		var out any
		require.NoError(t, decodeJSON(y.json.Bytes(), &out), "what was read is one JSON value")
	})
}
