package jsonstream

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

var errPart = &fhir.Problem{Rule: fhir.RuleTooLarge, Detail: "a part is over the limit"}

// list reads a document that is a list of texts.
func list(src io.Reader, most int) (n int, err error) {
	s := New(src, most, errPart)
	if err := s.Expect('['); err != nil {
		return 0, err
	}
	for ; s.More(); n++ {
		s.Renew()
		var text string
		if err := s.Decode(&text); err != nil {
			return n, err
		}
	}
	if err := s.Expect(']'); err != nil {
		return n, err
	}
	return n, s.End()
}

func TestOnlyTheLengthOfAPartIsBounded(t *testing.T) {
	t.Parallel()
	const most = 10_000
	part := `"` + strings.Repeat("x", most/4) + `",`
	n, err := list(strings.NewReader("["+strings.Repeat(part, 1000)+`"end"]`+"\n"), most)
	require.NoError(t, err)
	require.Equal(t, 1001, n)
	_, err = list(strings.NewReader(`["`+strings.Repeat("x", 4*most)+`"]`), most)
	require.ErrorIs(t, err, errPart)
}

func TestADocumentAtFaultIsAProblem(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]fhir.Rule{
		``: fhir.RuleTruncated, `[`: fhir.RuleTruncated, `["a`: fhir.RuleTruncated, `["a"`: fhir.RuleTruncated,
		`{}`: fhir.RuleWrongType, `[1]`: fhir.RuleWrongType, `1e700`: fhir.RuleWrongType, `["a" "b"]`: fhir.RuleMalformedJSON, `[]]`: fhir.RuleMalformedJSON, `[] []`: fhir.RuleMalformedJSON,
	} {
		_, err := list(strings.NewReader(text), 1000)
		p, ok := fhir.AsProblem(err)
		require.True(t, ok, "%s: %v", text, err)
		require.Equal(t, want, p.Rule, text)
	}
}

func TestAnInputThatFailsIsNoProblem(t *testing.T) {
	t.Parallel()
	failed := errors.New("no disk")
	_, err := list(io.MultiReader(strings.NewReader(`["a",`), iotest.ErrReader(failed)), 1000)
	require.ErrorIs(t, err, failed)
	_, problem := fhir.AsProblem(err)
	require.False(t, problem)
}
