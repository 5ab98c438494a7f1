package query_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// attrition is a question about a cohort with rules of these names.
func attrition(names ...string) query.Request {
	r := request()
	r.Analysis.Attrition = true
	rules := make([]string, len(names))
	for i, name := range names {
		rules[i] = fmt.Sprintf(`{"name":%q,"expression":{"Type":"ALL"}}`, name)
	}
	r.Cohort = json.RawMessage(string(r.Cohort[:len(r.Cohort)-1]) + `,"InclusionRules":[` + strings.Join(rules, ",") + `]}`)
	return r
}

func TestStepsOfAnAttritionAreItsRules(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ü", 200)
	r := attrition("adults", "", "adults", " no \n cancer ", long)
	require.NoError(t, r.Validate())
	axes, err := r.Axes()
	require.NoError(t, err)
	require.Len(t, axes, 1)
	require.Equal(t, query.StepAxis, axes[0].Name)
	require.Equal(t, []string{"0. primary criteria", "1. adults", "2. rule without a name", "3. adults", "4. no cancer", "5. " + strings.Repeat("ü", 58) + "…"}, axes[0].Levels)

	r.Analysis.Attrition = false
	r.Analysis.By = []query.Stratifier{query.BySex}
	axes, err = r.Axes()
	require.NoError(t, err)
	require.Equal(t, []query.Axis{{Name: "sex", Levels: query.BySex.Names()}}, axes)
}

func TestAttritionIsOfACountWithRules(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, attrition().Validate(), "the cohort has no inclusion rules")
	r := attrition("adults")
	r.Analysis.By = []query.Stratifier{query.BySex}
	require.ErrorContains(t, r.Validate(), "for a count without by")
	r = attrition("adults")
	r.Analysis.Kind, r.Analysis.Variable = query.Moments, variable()
	require.ErrorContains(t, r.Validate(), "for a count without by")
	require.Contains(t, attrition("adults").Analysis.Words(), "how many each of its inclusion rules in turn leaves")
}

// TestRepeatedAttritionHasItsOwnNames: rules of other names ask the same.
func TestRepeatedAttritionHasItsOwnNames(t *testing.T) {
	t.Parallel()
	first, second, plain := attrition("adults"), attrition("of age"), attrition("adults")
	plain.Analysis.Attrition = false
	same := func(r query.Request) string {
		id, err := r.Question()
		require.NoError(t, err)
		return id.String()
	}
	require.Equal(t, same(first), same(second))
	require.NotEqual(t, same(first), same(plain))
	answer := query.Result{Cells: []query.Cell{{Levels: []string{"0. primary criteria"}, N: 50}, {Levels: []string{"1. adults"}, N: 30}}}
	got, err := second.Repetition(answer)
	require.NoError(t, err)
	require.Equal(t, []query.Cell{{Levels: []string{"0. primary criteria"}, N: 50}, {Levels: []string{"1. of age"}, N: 30}}, got.Cells)
	require.Equal(t, []string{"1. adults"}, answer.Cells[1].Levels, "the first answer is as it was")
}
