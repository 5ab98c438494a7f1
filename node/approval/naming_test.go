package approval

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/protocol/cohort"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// known is a vocabulary of a few concepts, each of which comes to ten.
type known map[int64]string

func (n known) Concepts(_ context.Context, ids []int64) (map[int64]vocab.Concept, error) {
	out := map[int64]vocab.Concept{}
	for _, id := range ids {
		if name, is := n[id]; is {
			out[id] = vocab.Concept{ID: id, Name: name, Domain: "Condition", Vocabulary: "SNOMED", Standard: true}
		}
	}
	return out, nil
}

var errBelow = problem.Refusal("query.hierarchy", "no hierarchy")

func (n known) Reach(_ context.Context, set cohort.ConceptSet) (int, error) {
	if set.Items[0].Descendants && n == nil {
		return 0, errBelow
	}
	if len(set.Items) > 10_000 {
		return 0, errors.New("disk full")
	}
	return 10 * len(set.Items), nil
}

// asked is a question whose author calls HIV influenza, wherever that can be done.
func asked(t *testing.T, items string) query.Request {
	t.Helper()
	return query.Request{
		Cohort: json.RawMessage(`{"ConceptSets": [{"id": 0, "name": "flu\u202e\u001b[2J", "expression": {"items": [` + items + `]}}, {"id": 1, "name": "idle", "expression": {"items": [{"concept": {"CONCEPT_ID": 9}}]}}],
			"PrimaryCriteria": {"CriteriaList": [{"ConditionOccurrence": {"CodesetId": 0, "Gender": [{"CONCEPT_ID": 8532, "CONCEPT_NAME": "MALE"}]}}]},
			"InclusionRules": [{"name": "flu season", "expression": {"Type": "ALL", "CriteriaList": []}}]}`),
		Analysis: query.Analysis{Kind: query.Describe, Columns: []query.Column{
			{Name: "fever", From: query.FromEvent, Domain: cohort.ConditionOccurrence, Concepts: []int64{439727, 77}},
			{Name: "age", From: query.FromAge},
		}, Specs: query.Specs{Describe: &query.DescribeSpec{Values: []string{"fever", "age"}}}},
	}
}

// TestQuestionInTheSitesWords: a question that is called otherwise than it is.
func TestQuestionInTheSitesWords(t *testing.T) {
	t.Parallel()
	site := known{439727: "Human immunodeficiency virus infection", 4266367: "Influenza", 8532: "FEMALE", 9: "Idle"}
	r := asked(t, `{"concept": {"CONCEPT_ID": 4266367, "CONCEPT_NAME": "influenza  "}, "includeDescendants": true}, {"concept": {"CONCEPT_ID": 77}, "isExcluded": true},
		{"concept": {"CONCEPT_ID": 439727, "CONCEPT_NAME": "Influenza B\u001b[2J"}, "includeDescendants": true}`)
	reading, err := Read(t.Context(), site, r)
	require.NoError(t, err)
	require.Equal(t, 2, reading.Otherwise, "the code of the set, and the sex")
	require.Equal(t, 2, reading.Unknown, "77, twice")
	require.Len(t, reading.Places, 3, "sets that nothing uses are no part of the question")

	set := reading.Places[0]
	require.Equal(t, "concept set", set.What)
	require.Equal(t, 30, set.Reach)
	var order []int64
	for _, c := range set.Concepts {
		order = append(order, c.ID)
	}
	require.Equal(t, []int64{439727, 77, 4266367}, order, "what needs a look comes first; case and spaces are no other name")
	require.Equal(t, Concept{
		Concept: vocab.Concept{ID: 439727, Name: "Human immunodeficiency virus infection", Domain: "Condition", Vocabulary: "SNOMED", Standard: true},
		Known:   true, Theirs: "Influenza B\x1b[2J", Otherwise: true, Descendants: true,
	}, set.Concepts[0])
	require.Equal(t, Concept{Concept: vocab.Concept{ID: 77}, Excluded: true}, set.Concepts[1])
	require.Equal(t, "criteria", reading.Places[1].What)
	require.Equal(t, []string{"column", "fever"}, []string{reading.Places[2].What, reading.Places[2].Name})

	for _, want := range []string{
		"\n  - fever is whether there is a ConditionOccurrence of Human immunodeficiency virus infection (439727) or concept 77, unknown here",
		"\n  - age is the person's age.\n",
		`a condition of "flu\u202e\x1b[2J"`, `is FEMALE (8532), called "MALE" by the researcher`, `1. "flu season": holds for everybody.`,
	} {
		require.Contains(t, reading.Words, want)
	}
	require.NotContains(t, reading.Words, "\x1b")
	require.NotContains(t, reading.Words, "\u202e")
	words, err := Words(r)
	require.NoError(t, err)
	require.Contains(t, words, "is concept 8532", "without a vocabulary nothing has the researcher's names")
	require.NotContains(t, words, "MALE")
}

// TestQuestionOfManyConcepts: what a person is shown is bounded, and what needs a look is
// not lost among the rest.
func TestQuestionOfManyConcepts(t *testing.T) {
	t.Parallel()
	site, items := known{}, []string{}
	for id := int64(1); id <= 500; id++ {
		site[id] = "the same"
		items = append(items, fmt.Sprintf(`{"concept": {"CONCEPT_ID": %d, "CONCEPT_NAME": "The same"}}`, id))
	}
	items[499] = `{"concept": {"CONCEPT_ID": 500, "CONCEPT_NAME": "` + strings.Repeat("long ", 700) + `"}}`
	reading, err := Read(t.Context(), site, asked(t, strings.Join(items, ",")))
	require.NoError(t, err)
	set := reading.Places[0]
	require.Len(t, set.Concepts, maxShown)
	require.Equal(t, 400, set.More)
	require.EqualValues(t, 500, set.Concepts[0].ID)
	require.Less(t, len(set.Concepts[0].Theirs), 2*maxTheirs)
}

// TestVocabularyThatCannotTell: a site without a hierarchy says so, and does not guess.
func TestVocabularyThatCannotTell(t *testing.T) {
	t.Parallel()
	reading, err := Read(t.Context(), known(nil), asked(t, `{"concept": {"CONCEPT_ID": 1, "CONCEPT_NAME": "One"}, "includeDescendants": true}`))
	require.NoError(t, err)
	require.Equal(t, "no hierarchy", reading.Places[0].Refusal)
	require.Equal(t, 4, reading.Unknown)
	require.Zero(t, reading.Otherwise)
}
