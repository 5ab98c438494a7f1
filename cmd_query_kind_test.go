package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// questionFiles are a cohort and columns for all kinds, with the flags that they belong to.
func questionFiles(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	cohort, columns := filepath.Join(dir, "cohort.json"), filepath.Join(dir, "columns.yaml")
	require.NoError(t, os.WriteFile(cohort, []byte(`{"ConceptSets": [], "PrimaryCriteria": {"CriteriaList": [{"VisitOccurrence": {}}],
  "ObservationWindow": {"PriorDays": 0, "PostDays": 0}, "PrimaryCriteriaLimit": {"Type": "First"}}}`), 0o600))
	require.NoError(t, os.WriteFile(columns, []byte("- {name: ill, from: event, domain: ConditionOccurrence, concepts: [443238]}\n- {name: age, from: age}\n- {name: sex, from: sex}\n"), 0o600))
	return []string{"--trial", "bp-2026", "--purpose", "Why?", "--cohort", cohort, "--columns", columns}
}

// TestShortcutForAnAttrition needs a cohort with rules.
func TestShortcutForAnAttrition(t *testing.T) {
	t.Parallel()
	files := questionFiles(t)
	refused := call(t, append([]string{"query", "count", "--attrition", "--print"}, files[:6]...)...)
	require.NotZero(t, refused.status)
	require.Contains(t, refused.stderr, "the cohort has no inclusion rules")
	raw, err := os.ReadFile(files[5])
	require.NoError(t, err)
	ruled := strings.TrimSuffix(strings.TrimSpace(string(raw)), "}") + `, "InclusionRules": [{"name": "adults", "expression": {"Type": "ALL"}}]}`
	require.NoError(t, os.WriteFile(files[5], []byte(ruled), 0o600))
	printed := call(t, append([]string{"query", "count", "--attrition", "--print"}, files[:6]...)...)
	require.Zero(t, printed.status, printed.stderr)
	require.Contains(t, printed.stdout, `"attrition": true`)
}

func TestShortcutsMakeTheQuestionOfTheirKind(t *testing.T) {
	t.Parallel()
	files := questionFiles(t)
	for text, want := range map[string]query.Analysis{
		"count --by sex,race": {Kind: query.Count, By: []query.Stratifier{query.BySex, query.ByRace}},
		"means --concept 3004249 --unit mm[Hg] --low 50 --high 260": {
			Kind: query.Moments, Variable: &query.Variable{Concept: 3004249, Unit: "mm[Hg]", Take: query.TakeLast, Low: 50, High: 260},
		},
		"glm --formula ill~sex --family binomial": {
			Kind: query.GLM, Specs: query.Specs{GLM: &query.GLMSpec{Formula: "ill~sex", Family: query.Binomial}},
		},
		"prevalence --property ill --by sex": {
			Kind: query.Prevalence, Specs: query.Specs{Prevalence: &query.PrevalenceSpec{Property: "ill", By: "sex"}},
		},
	} {
		args := append([]string{"query"}, strings.Fields(text)...)
		flags := files
		if want.Kind.InRounds() {
			want.Columns = []query.Column{{Name: "ill", From: query.FromEvent, Domain: "ConditionOccurrence", Concepts: []int64{443238}}, {Name: "sex", From: query.FromSex}}
		} else {
			flags = flags[:6]
		}
		var got query.Request
		require.NoError(t, json.Unmarshal([]byte(must(t, append(append(args, flags...), "--print")...)), &got), text)
		require.Equal(t, want, got.Analysis, text)
		require.NoError(t, got.Validate())
	}
}

// TestShortcutsAskADataSet in place of a cohort.
func TestShortcutsAskADataSet(t *testing.T) {
	t.Parallel()
	columns := filepath.Join(t.TempDir(), "columns.yaml")
	require.NoError(t, os.WriteFile(columns, []byte(`
- {name: crp, from: dataset, dataset: registry, domain: Measurement, kind: numeric, low: 0, high: 500, unit: mg/L}
- {name: arm, from: dataset, dataset: registry, domain: DrugExposure, kind: factor, levels: [control, drug]}
`), 0o600))
	asking := []string{"query", "describe", "--values", "crp", "--by", "arm", "--trial", "bp-2026", "--purpose", "Why?", "--columns", columns, "--print"}
	var got query.Request
	require.NoError(t, json.Unmarshal([]byte(must(t, append(asking, "--dataset", "registry")...)), &got))
	require.Equal(t, "registry", got.Dataset)
	require.Len(t, got.Analysis.Columns, 2)
	require.NoError(t, got.Validate())
	require.Contains(t, call(t, asking...).stderr, "--cohort is missing (file with the cohort definition, as ATLAS exports it; or --dataset)")
	require.Contains(t, call(t, append(asking, "--dataset", "registry", "--cohort", columns)...).stderr, "--cohort or --dataset, not both")
}

func TestShortcutsHaveAFlagForEachFieldOfTheirSpec(t *testing.T) {
	t.Parallel()
	for _, kind := range query.Kinds() {
		cmd := newQueryKind(kind)
		require.Contains(t, cmd.Example, string(kind))
		for _, field := range strings.Fields(kindExamples[kind]) {
			if name, is := strings.CutPrefix(field, "--"); is {
				require.NotNil(t, cmd.Flags().Lookup(name), "%s: --%s", kind, name)
			}
		}
		require.NotContains(t, cmd.Flags().FlagUsages(), "see the guide", "%s: a flag has no words", kind)
	}
}

func TestAFormulaThatIsWrongIsPointedAt(t *testing.T) {
	t.Parallel()
	c := call(t, append([]string{"query", "glm", "--formula", "ill ~ age + + sex", "--family", "binomial", "--print"}, questionFiles(t)...)...)
	require.Equal(t, exitError, c.status)
	require.Contains(t, c.stderr, "formula, byte 12: want")
	require.Contains(t, c.stderr, "\n  ill ~ age + + sex\n              ^\n")
}

// TestShortcutsRefuseWhatIsMissingOrMeantOtherwise before anything is read or asked, and name
// what was meant.
func TestShortcutsRefuseWhatIsMissingOrMeantOtherwise(t *testing.T) {
	t.Parallel()
	files := questionFiles(t)
	for text, want := range map[string]string{
		"glm --formula ill~sex --print": "--family is missing (gaussian, binomial or poisson)",
		"incidence --time age --print":  "--events is missing",
		"pca --print":                   "--values is missing",
		"glm --formula ill~sex --family binomial --print --format csv": "--format is for a question that is asked",
		"glm --formula ill~sex --familly binomial --print":             "unknown flag: --familly (did you mean --family?)",
		"glm --formula ill~sexx --family binomial --print":             `there is no "sexx", which the question names (did you mean sex?)`,
		"glm --formula ill~sex --family binomal --print":               `family "binomal" with link "" (did you mean binomial?)`,
		"glm --formula ill~lgo(age) --family binomial --print":         "before byte 8 (did you mean log?); known are log",
		"prevalence --property ill --by sax --print":                   "(did you mean sex?)",
	} {
		c := call(t, append(append([]string{"query"}, strings.Fields(text)...), files...)...)
		require.NotZero(t, c.status, text)
		require.Contains(t, c.stderr, want, text)
		require.Empty(t, c.stdout, text)
	}
	require.Contains(t, call(t, "query", "glmm").stderr, `unknown command "glmm" (did you mean glm?)`)
}

func TestOutputIsRefusedBeforeAnythingIsAsked(t *testing.T) {
	t.Parallel()
	there := filepath.Join(t.TempDir(), "there.csv")
	require.NoError(t, os.WriteFile(there, nil, 0o600))
	for want, flags := range map[string][]string{
		"give --format":                         {"--out", "answer.xyz"},
		"--format: table, json, csv":            {"--format", "pdf"},
		"--json and another --format":           {"--json", "--format", "csv"},
		"there.csv is there already":            {"--out", there},
		"--out and --format are for the answer": {"--out", "a.csv", "--wait=false"},
	} {
		c := call(t, append(append([]string{"query", "count", "--key", "none", "--hub", "https://127.0.0.1:1"}, questionFiles(t)[:6]...), flags...)...)
		require.NotEqual(t, exitOK, c.status)
		require.Contains(t, c.stderr, want)
	}
}
