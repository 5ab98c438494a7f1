package screen_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/screen"
)

const inYAML = `trial: glucose-1
title: Glucose in early type 2 diabetes
contact: Trial office, extension 4711
link: https://trials.example/glucose-1
criteria:
  - name: Type 2 diabetes
    cohort:
      ConceptSets: [{id: 0, name: diabetes, expression: {items: [{concept: {CONCEPT_ID: 201826}}]}}]
      PrimaryCriteria:
        CriteriaList: [{ConditionOccurrence: {CodesetId: 0}}]
        ObservationWindow: {PriorDays: 0, PostDays: 0}
  - name: Any drug
    exclude: true
    cohort: {PrimaryCriteria: {CriteriaList: [{DrugExposure: {}}], ObservationWindow: {PriorDays: 0, PostDays: 0}}}
`

func TestARuleIsYAMLOrJSON(t *testing.T) {
	t.Parallel()
	one, err := screen.Parse([]byte(inYAML))
	require.NoError(t, err)
	require.Equal(t, "glucose-1", string(one.Trial))
	require.Len(t, one.Criteria, 2)
	require.True(t, one.Criteria[1].Exclude)
	var document any
	require.NoError(t, yaml.Unmarshal([]byte(inYAML), &document))
	same, err := screen.Parse([]byte(strings.ReplaceAll(toJSON(t, document), "\n", "\n\t")))
	require.NoError(t, err)
	require.Equal(t, one, same)
}

func TestARuleThatIsWrongSaysWhere(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ from, to, says string }{
		"id":               {"trial: glucose-1", "trial: Glucose 1", "trial: want 3 to 64"},
		"no title":         {"title: Glucose in early type 2 diabetes", `title: " "`, "title: want one line"},
		"title of lines":   {"title: Glucose in early type 2 diabetes", `title: "a\nb"`, "title: want one line"},
		"no contact":       {"contact: Trial office, extension 4711\n", "", "contact: want"},
		"link in clear":    {"https://trials.example", "http://trials.example", "link: want an https address"},
		"script as link":   {"https://trials.example/glucose-1", "javascript:alert(1)", "link: want an https address"},
		"misspelled":       {"exclude: true", "excluded: true", `unknown field "excluded"`},
		"nothing wanted":   {"  - name: Type 2 diabetes\n", "  - name: Type 2 diabetes\n    exclude: true\n", "all of them exclude"},
		"one name twice":   {"Any drug", "Type 2 diabetes", "criteria[1].name"},
		"no such concept":  {"CodesetId: 0", "CodesetId: 7", "CodesetId"},
		"not evaluated":    {"ConditionOccurrence: {CodesetId: 0}", "ConditionOccurrence: {CodesetId: 0, Age: {Value: 18}}", "ConditionOccurrence.Age"},
		"demographics":     {"      PrimaryCriteria:\n", "      InclusionRules: [{name: adults}]\n      PrimaryCriteria:\n", "InclusionRules"},
		"two documents":    {"trial: glucose-1", "a: 1\n---\ntrial: glucose-1", "more than one"},
		"not a document":   {inYAML, "[1, 2]", "cannot unmarshal array"},
		"empty":            {inYAML, "", "empty"},
		"larger than that": {inYAML, strings.Repeat("# filler\n", screen.MaxRule/8), "over"},
	} {
		text := strings.Replace(inYAML, c.from, c.to, 1)
		require.NotEqual(t, inYAML, text, name)
		_, err := screen.Parse([]byte(text))
		require.ErrorContains(t, err, c.says, name)
	}
}

func TestRulesAreKept(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		s.person("ann", has(diabetes, "2021-01-01"))
		first := rule(t, "beta", want("Diabetes", cohort("ConditionOccurrence", diabetes, 0)))
		s.add(first)
		s.add(rule(t, "alpha", want("Diabetes", cohort("ConditionOccurrence", diabetes, 0))))
		all, err := s.rules.All(t.Context())
		require.NoError(t, err)
		require.Len(t, all, 2)
		require.Equal(t, first, all[1])
		require.Len(t, s.screen(screen.Case{Patient: "ann"}), 2)

		changed := rule(t, "beta", want("Asthma", cohort("ConditionOccurrence", asthma, 0)))
		s.add(changed)
		one, err := s.rules.One(t.Context(), "beta")
		require.NoError(t, err)
		require.Equal(t, changed, one)
		require.Len(t, s.screen(screen.Case{Patient: "ann"}), 1, "the new form counts at once")

		require.NoError(t, s.rules.Remove(t.Context(), "alpha", today))
		require.Empty(t, s.screen(screen.Case{Patient: "ann"}))
		require.ErrorIs(t, s.rules.Remove(t.Context(), "alpha", today), screen.ErrUnknown)
		_, err = s.rules.One(t.Context(), "alpha")
		require.ErrorIs(t, err, screen.ErrUnknown)

		trail, err := s.trail.Latest(t.Context(), 10)
		require.NoError(t, err)
		require.Len(t, trail, 4, "what was refused changed nothing")
		require.Equal(t, audit.Record{At: today.Truncate(time.Second), Event: audit.ScreeningChanged, Subject: "remove alpha"}, trail[0])
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(inYAML))
	f.Add([]byte(`{"trial":"abc","criteria":[{"name":"x","cohort":{}}]}`))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("1: 2"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := screen.Parse(text)
		if err != nil {
			return
		}
		again, err := screen.Parse([]byte(toJSON(t, r)))
		require.NoError(t, err, "what is shown can be added")
		require.Equal(t, r, again)
	})
}
