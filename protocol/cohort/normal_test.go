package cohort_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// TestNormalForgetsWords is about two definitions of one cohort: a researcher
// must not get two answers to one question by renaming or reordering.
func TestNormalForgetsWords(t *testing.T) {
	t.Parallel()
	parse := func(text string) cohort.Expression {
		e, err := cohort.Parse([]byte(text))
		require.NoError(t, err)
		return e.Normal()
	}
	const window = `"ObservationWindow":{"PriorDays":0,"PostDays":0}`
	one := parse(`{"Title":"A","ConceptSets":[{"id":0,"name":"x","expression":{"items":[{"concept":{"CONCEPT_ID":2}},{"concept":{"CONCEPT_ID":1}}]}}],
		"PrimaryCriteria":{"CriteriaList":[{"ConditionOccurrence":{"CodesetId":0}},{"DrugExposure":{}}],` + window + `}}`)
	same := parse(`{"Title":"B","ConceptSets":[{"id":7,"name":"y","expression":{"items":[{"concept":{"CONCEPT_ID":1}},{"concept":{"CONCEPT_ID":2}},{"concept":{"CONCEPT_ID":1}}]}}],
		"PrimaryCriteria":{"CriteriaList":[{"DrugExposure":{}},{"ConditionOccurrence":{"CodesetId":7}},{"DrugExposure":{}}],` + window + `}}`)
	require.Equal(t, one, same)
	other := parse(`{"ConceptSets":[{"id":0,"name":"x","expression":{"items":[{"concept":{"CONCEPT_ID":1}}]}}],
		"PrimaryCriteria":{"CriteriaList":[{"ConditionOccurrence":{"CodesetId":0}},{"DrugExposure":{}}],` + window + `}}`)
	require.NotEqual(t, one, other)
}
