package observation_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/connectors/source/observation"
)

func read(t *testing.T, src io.Reader, opts fhir.Options) (all []*observation.Series, problems []*fhir.Problem) {
	t.Helper()
	for rec, err := range observation.Read(t.Context(), src, opts) {
		if p, bad := fhir.AsProblem(err); bad {
			problems = append(problems, p)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, observation.Type, rec.Type)
		all = append(all, rec.Resource.(*observation.Series))
	}
	return all, problems
}

const document = `{"source": "ward-3", "observations": [
  {"person": "p-17", "system": "http://loinc.org", "code": "8867-4", "unit": "/min",
   "times": ["2026-03-01T08:00:00Z", 1772352060000], "values": [71, 73.5]},
  {"person": "p-18", "system": "http://loinc.org", "code": "8310-5", "unit": "Cel", "time": "2026-03-01T08:00:00.25+01:00", "value": -0.0}]}`

func TestBothFormsOfAnObservation(t *testing.T) {
	t.Parallel()
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, _ = io.WriteString(w, document)
	require.NoError(t, w.Close())
	for name, src := range map[string]io.Reader{
		"plain": strings.NewReader(document), "gzip": &zipped, "byte by byte": iotest.OneByteReader(strings.NewReader(document)),
	} {
		all, problems := read(t, src, fhir.Options{})
		require.Empty(t, problems, name)
		require.Len(t, all, 2, name)
		require.Equal(t, observation.Series{
			Source: "ward-3", Person: "p-17", System: "http://loinc.org", Code: "8867-4", Unit: "/min",
			Times: []int64{1772352000000, 1772352060000}, Values: []float64{71, 73.5},
		}, *all[0])
		require.Equal(t, []int64{1772348400250}, all[1].Times, "an hour east of UTC")
	}
}

func TestOneBadObservationKeepsNoOtherOut(t *testing.T) {
	t.Parallel()
	good := `{"person":"p","code":"c","time":1,"value":1}`
	for bad, want := range map[string]fhir.Problem{
		`7`:                                                                   {Rule: fhir.RuleWrongType},
		`{"code":"c","time":1,"value":1}`:                                     {Rule: fhir.RuleMissingField, Path: ".person"},
		`{"person":"p","time":1,"value":1}`:                                   {Rule: fhir.RuleMissingField, Path: ".code"},
		`{"person":"p","code":"c","value":1}`:                                 {Rule: fhir.RuleMissingField, Path: ".time"},
		`{"person":"p","code":"c","time":1}`:                                  {Rule: fhir.RuleMissingField, Path: ".value"},
		`{"person":"p","code":"c"}`:                                           {Rule: fhir.RuleMissingField, Path: ".times"},
		`{"person":7,"code":"c"}`:                                             {Rule: fhir.RuleWrongType},
		`{"person":"p","code":"c","patient":1}`:                               {Rule: fhir.RuleMalformedJSON},
		`{"person":"p","code":"c","time":"yesterday","value":1}`:              {Rule: fhir.RuleInvalidTime},
		`{"person":"p","code":"c","time":1.5,"value":1}`:                      {Rule: fhir.RuleInvalidTime},
		`{"person":"p","code":"c","times":[null],"values":[1]}`:               {Rule: fhir.RuleInvalidTime},
		`{"person":"p","code":"c","times":[1,2],"values":[1,null]}`:           {Rule: fhir.RuleWrongType, Path: ".values[1]"},
		`{"person":"p","code":"c","times":[1,2],"values":[1]}`:                {Rule: fhir.RuleWrongType, Path: ".values"},
		`{"person":"p","code":"c","time":1,"value":1e999}`:                    {Rule: fhir.RuleWrongType},
		`{"person":"p","code":"c","time":1,"value":1,"values":[1]}`:           {Rule: fhir.RuleWrongType},
		"{\"person\":\"p\xff\",\"code\":\"c\",\"time\":1,\"value\":1}":        {Rule: fhir.RuleInvalidUTF8},
		`{"person":"p","code":"c\u0000","time":1,"value":1}`:                  {Rule: fhir.RuleForbiddenCharacter},
		`{"person":"` + strings.Repeat("p", 65) + `","code":"c"}`:             {Rule: fhir.RuleInvalidID, Path: ".person"},
		`{"person":"p","code":"c","unit":"` + strings.Repeat("u", 257) + `"}`: {Rule: fhir.RuleTooLarge},
	} {
		all, problems := read(t, strings.NewReader(`{"source":"s","observations":[`+good+`,`+bad+`,`+good+`]}`), fhir.Options{})
		require.Len(t, all, 2, bad)
		require.Len(t, problems, 1, bad)
		require.Equal(t, want.Rule, problems[0].Rule, bad)
		require.Equal(t, "observations[1]"+want.Path, problems[0].Path, bad)
		require.NotContains(t, problems[0].Error(), "yesterday")
	}
}

func TestADamagedDocumentIsAProblem(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]fhir.Rule{
		"":                         fhir.RuleTruncated,
		"[]":                       fhir.RuleWrongType,
		`{"source":"s"`:            fhir.RuleTruncated,
		`{"source":"s"}`:           fhir.RuleMissingField,
		`{"observations":[]}`:      fhir.RuleMissingField,
		`{"source":7}`:             fhir.RuleWrongType,
		`{"source":"a patient's"}`: fhir.RuleInvalidID,
		`{"source":"s","source":"s","observations":[]}`:      fhir.RuleMalformedJSON,
		`{"source":"s","observations":[],"observations":[]}`: fhir.RuleMalformedJSON,
		`{"source":"s","observations":{}}`:                   fhir.RuleWrongType,
		`{"source":"s","observations":[{"person":`:           fhir.RuleTruncated,
		`{"source":"s","observations":[{"person" "p"}]}`:     fhir.RuleMalformedJSON,
		`{"source":"s","observations":[]} {}`:                fhir.RuleMalformedJSON,
		`{"source":"s","note":"n","observations":[]}`:        fhir.RuleMalformedJSON,
	} {
		all, problems := read(t, strings.NewReader(text), fhir.Options{})
		require.Empty(t, all, text)
		require.Len(t, problems, 1, text)
		require.Equal(t, want, problems[0].Rule, text)
	}
}

func TestALongObservationIsRefused(t *testing.T) {
	t.Parallel()
	long := `{"person":"p","code":"c","times":[` + strings.Repeat("1,", 500_000) + `1],"values":[]}`
	_, problems := read(t, strings.NewReader(`{"source":"s","observations":[`+long+`]}`), fhir.Options{MaxRecord: 300_000})
	require.Len(t, problems, 1)
	require.Equal(t, fhir.RuleTooLarge, problems[0].Rule)
}

func TestAFailingSourceAndAnEndedContextAreErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk gone")
	for _, err := range observation.Read(t.Context(), io.MultiReader(strings.NewReader(document[:100]), iotest.ErrReader(broken)), fhir.Options{}) {
		require.ErrorIs(t, err, broken)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range observation.Read(ctx, strings.NewReader(document), fhir.Options{}) {
		require.ErrorIs(t, err, context.Canceled)
	}
}

func TestASeriesDoesNotPrintOrMarshal(t *testing.T) {
	t.Parallel()
	s := &observation.Series{Person: "p-17"}
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", s, s, s), "p-17")
	_, err := json.Marshal(s)
	require.Error(t, err)
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{document, document[:200], `{"source":"s","observations":[7,{}]}`, "\x1f\x8b"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for rec, err := range observation.Read(t.Context(), bytes.NewReader(data), fhir.Options{MaxTotal: 1 << 20}) {
			if err != nil {
				continue
			}
			s := rec.Resource.(*observation.Series)
			if len(s.Times) != len(s.Values) || s.Person == "" || s.Code == "" || s.Source == "" {
				t.Fatal("an observation without its parts")
			}
		}
	})
}

func BenchmarkRead(b *testing.B) {
	var doc strings.Builder
	doc.WriteString(`{"source":"s","observations":[`)
	const persons, points = 10, 1000
	for p := range persons {
		if p > 0 {
			doc.WriteByte(',')
		}
		fmt.Fprintf(&doc, `{"person":"p%d","system":"http://loinc.org","code":"8867-4","unit":"/min","times":[`, p)
		for i := range points {
			fmt.Fprintf(&doc, "%d,", 1772352000000+1000*int64(i))
		}
		doc.WriteString(`1772353000000],"values":[`)
		for i := range points {
			fmt.Fprintf(&doc, "%d,", 60+i%40)
		}
		doc.WriteString("70]}")
	}
	doc.WriteString("]}")
	b.SetBytes(int64(doc.Len()))
	for b.Loop() {
		for _, err := range observation.Read(b.Context(), strings.NewReader(doc.String()), fhir.Options{}) {
			require.NoError(b, err)
		}
	}
	b.ReportMetric(float64(b.N)*persons*(points+1)/b.Elapsed().Seconds(), "observations/s")
}
