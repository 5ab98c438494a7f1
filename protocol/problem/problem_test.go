package problem_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/problem"
)

func TestWhatHasNoKindSaysNothing(t *testing.T) {
	t.Parallel()
	d := problem.From(fmt.Errorf("patient Ada Lovelace: %w", errors.New("disk full")))
	require.Equal(t, problem.Document{Type: "urn:trialmesh:problem:internal", Title: "internal error", Status: 500}, d)
}

// TestRefusalSurvivesTheNetwork: who wraps, sends and reads one still matches it.
func TestRefusalSurvivesTheNetwork(t *testing.T) {
	t.Parallel()
	for kind, status := range map[problem.Kind]int{
		problem.Invalid: 422, problem.Unauthorized: 401, problem.Forbidden: 403, problem.NotFound: 404, problem.Conflict: 409, problem.TooLarge: 413,
		problem.TooMany: 429, problem.Withheld: 422, problem.Refused: 403, problem.Unavailable: 503, problem.Internal: 500,
	} {
		sentinel := &problem.Error{Kind: kind, Public: "no", Rule: "a.rule"}
		d := problem.From(fmt.Errorf("secret: %w", sentinel.With("field x: leave it out")))
		require.Equal(t, status, d.Status)
		raw, err := json.Marshal(d)
		require.NoError(t, err)
		require.NotContains(t, string(raw), "secret")
		var back problem.Document
		require.NoError(t, json.Unmarshal(raw, &back))
		require.ErrorIs(t, back.Err(), sentinel)
		require.EqualError(t, back.Err(), "no: field x: leave it out (rule a.rule)")
		require.NotErrorIs(t, back.Err(), problem.New(kind, "yes"))
	}
	require.ErrorIs(t, problem.Document{Type: "about:blank", Title: "x"}.Err(), problem.New(problem.Internal, "x"))
	require.Equal(t, 500, problem.From(problem.New("invented", "x")).Status)
	require.Equal(t, "no (rule r)", problem.Refusal("r", "no").Error())
}
