package screen_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/consent"
	"github.com/trialmesh/trialmesh/node/screen"
)

type results map[string][]screen.Result

func TestWhoMayBeEligible(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		s.person("ann", has(diabetes, "2021-01-01"), takes(metformin, "2021-01-01"))
		s.person("bob", has(diabetes, "2021-01-01"), takes(insulin, "2021-01-01"))
		s.person("cem", has(asthma, "2021-01-01"), takes(metformin, "2021-01-01"))
		s.person("dan", has(diabetes, "2020-01-05"))
		s.person("eve", has(diabetes, "2021-01-01"), takes(metformin, "2021-01-01"), dies("2025-01-01"))
		s.person("fay")
		hasDiabetes, onInsulin := want("Diabetes", cohort("ConditionOccurrence", diabetes, 0)), bar("Insulin", cohort("DrugExposure", insulin, 0))
		s.add(rule(t, "plain", hasDiabetes, onInsulin))
		s.add(rule(t, "longer", want("Diabetes for long", cohort("ConditionOccurrence", diabetes, 90)), want("Any drug", cohort("DrugExposure", metformin, 0))))
		s.add(rule(t, "open", hasDiabetes, want("Glucose", cohort("Measurement", glucose, 0))))
		s.add(rule(t, "both", hasDiabetes, want("Asthma", cohort("ConditionOccurrence", asthma, 0))))
		s.add(rule(t, "kept-short", hasDiabetes, want("Diabetes for long", cohort("ConditionOccurrence", diabetes, 90))))
		for who, want := range map[string]results{
			"ann": {
				"plain": {screen.Met, screen.Met}, "longer": {screen.Met, screen.Met},
				"open": {screen.Met, screen.NoRecords}, "kept-short": {screen.Met, screen.Met},
			},
			"bob":    {"open": {screen.Met, screen.NoRecords}, "kept-short": {screen.Met, screen.Met}},
			"cem":    {},
			"dan":    {"plain": {screen.Met, screen.NoRecords}, "open": {screen.Met, screen.NoRecords}, "kept-short": {screen.Met, screen.ShortHistory}},
			"eve":    {}, // is dead
			"fay":    {}, // nothing is known of her that could be met
			"nobody": {},
		} {
			require.Equal(t, want, results(s.screen(screen.Case{Patient: who})), who)
		}
	})
}

func TestDraftOrdersCount(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t))
	s.person("ann", has(diabetes, "2021-01-01"))
	s.person("bob")
	s.add(rule(t, "starts", want("Metformin", cohort("DrugExposure", metformin, 0)), bar("Insulin", cohort("DrugExposure", insulin, 0))))
	s.add(rule(t, "later", want("Diabetes", cohort("ConditionOccurrence", diabetes, 0)), want("Metformin", cohort("DrugExposure", metformin, 30))))
	tomorrow := strings.Replace(cohort("DrugExposure", metformin, 0), `"PostDays":0`, `"PostDays":1`, 1)
	s.add(rule(t, "stays", want("Diabetes", cohort("ConditionOccurrence", diabetes, 0)), want("Metformin", tomorrow)))
	drug := func(id int64) vocab.Concept { return vocab.Concept{ID: id, Domain: "Drug", Standard: true} }
	for name, c := range map[string]struct {
		who    string
		drafts []vocab.Concept
		want   results
	}{
		"no draft":               {"ann", nil, results{"later": {screen.Met, screen.NoRecords}, "stays": {screen.Met, screen.NoRecords}}},
		"a draft":                {"bob", []vocab.Concept{drug(metformin)}, results{"starts": {screen.MetByDraft, screen.NoRecords}, "later": {screen.NoRecords, screen.MetByDraft}}},
		"a draft with a history": {"ann", []vocab.Concept{drug(metformin)}, results{"starts": {screen.MetByDraft, screen.NoRecords}, "later": {screen.Met, screen.MetByDraft}, "stays": {screen.Met, screen.ShortHistory}}},
		"an excluded draft":      {"bob", []vocab.Concept{drug(metformin), drug(insulin)}, results{"later": {screen.NoRecords, screen.MetByDraft}}},
		"of another domain":      {"bob", []vocab.Concept{{ID: metformin, Domain: "Procedure"}}, results{}},
		"of another drug":        {"bob", []vocab.Concept{drug(1)}, results{}},
	} {
		require.Equal(t, c.want, results(s.screen(screen.Case{Patient: c.who, Drafts: c.drafts})), name)
	}
}

func TestWhoRefusedIsNotProposed(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t))
	s.person("ann", has(diabetes, "2021-01-01"))
	for _, id := range []string{"one", "two"} {
		s.add(rule(t, id, want("Diabetes", cohort("ConditionOccurrence", diabetes, 0))))
	}
	granted := func() map[string]bool {
		matches, err := s.screener.Screen(t.Context(), screen.Case{Patient: "ann"}, today)
		require.NoError(t, err)
		found := map[string]bool{}
		for _, m := range matches {
			found[string(m.Rule.Trial)] = m.Granted
		}
		return found
	}
	require.Equal(t, map[string]bool{"one": false, "two": false}, granted())
	s.words["one"], s.words["two"] = consent.Refused, consent.Granted
	require.Equal(t, map[string]bool{"two": true}, granted())
	s.words[consent.SiteResearch] = consent.Refused
	require.Empty(t, granted(), "who will not be asked about any trial")
}

// TestAnotherPatientOfTheSameIDIsNotTaken: ids of two EHRs may be equal.
func TestAnotherPatientOfTheSameIDIsNotTaken(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t))
	s.person("ann", has(diabetes, "2021-01-01")) // female, born 1970-03-09
	s.add(rule(t, "one", want("Diabetes", cohort("ConditionOccurrence", diabetes, 0))))
	for name, c := range map[string]struct {
		known screen.Known
		same  bool
	}{
		"nothing is known":  {screen.Known{}, true},
		"all is equal":      {screen.Known{Year: 1970, Month: 3, Day: 9, Gender: "female"}, true},
		"only the year":     {screen.Known{Year: 1970}, true},
		"a gender unstored": {screen.Known{Year: 1970, Gender: "other"}, true},
		"another year":      {screen.Known{Year: 1971, Month: 3, Day: 9}, false},
		"another month":     {screen.Known{Year: 1970, Month: 4}, false},
		"another day":       {screen.Known{Year: 1970, Month: 3, Day: 10}, false},
		"another sex":       {screen.Known{Gender: "male"}, false},
	} {
		require.Equal(t, c.same, len(s.screen(screen.Case{Patient: "ann", Known: c.known})) == 1, name)
	}
}

func TestACaseDoesNotPrint(t *testing.T) {
	t.Parallel()
	c := screen.Case{Patient: "patient-4711", Known: screen.Known{Gender: "female", Year: 1970}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		require.NotContains(t, fmt.Sprintf(verb, c), "4711", verb)
		require.NotContains(t, fmt.Sprintf(verb, &c), "4711", verb)
		require.NotContains(t, fmt.Sprintf(verb, c.Known), "1970", verb)
	}
	_, err := json.Marshal(c)
	require.Error(t, err)
}
