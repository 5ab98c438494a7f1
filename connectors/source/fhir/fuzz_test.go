package fhir

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var publicPath = regexp.MustCompile(`^([A-Za-z0-9*]+|\[\d+\])(\.[A-Za-z0-9*]+|\[\d+\])*$`)

// requirePublic fails if a problem could hold something of the input.
func requirePublic(t testing.TB, p *Problem) {
	t.Helper()
	require.NotEmpty(t, p.Rule)
	require.Positive(t, p.Line)
	if p.Path == "" {
		return
	}
	require.Regexp(t, publicPath, p.Path)
	for name := range strings.FieldsFuncSeq(p.Path, func(c rune) bool { return c == '.' || c == '[' || c == ']' }) {
		if name != "*" && strings.Trim(name, "0123456789") != "" {
			require.Contains(t, elementNames, name)
		}
	}
}

func seeds(f *testing.F) {
	for _, s := range []string{
		"", "{}", "[]", "null", onePatient, onePatient + "{\n" + onePatient, "\xef\xbb\xbf" + onePatient,
		transaction(conditionEntry("c", "p", "e"), encounterEntry("e", "p"), patientEntry("p", "p")),
		`{"entry":[{"resource":{"resourceType":"List","entry":[{}]}}],"resourceType":"Bundle","type":"searchset"}`,
		`{"resourceType":"Bundle","type":"batch","entry":[{]},{"resource":{"a":"` + "\n" + `"}}]}`,
		`{"resourceType":"Observation","id":"o","status":"final","code":{"coding":[{"code":"\ud83d\ude00"}]},"subject":{"reference":"#x"},"valueQuantity":{"value":-1.50e-3}}`,
		`{"resourceType":"Patient","id":"a","id":"b"}`, "{\"a\":\"\xff\"}", `{"a":"\udead"}`, strings.Repeat("[", 100),
		"\x1f\x8b\x08\x00\x00\x00\x00\x00",
	} {
		f.Add([]byte(s))
	}
	for _, name := range []string{"bulk/Encounter.ndjson.gz", "bulk/AllergyIntolerance.ndjson.gz", "versions/r5.ndjson.gz"} {
		line, _, _ := bytes.Cut(unzip(f, name), []byte("\n"))
		f.Add(line)
	}
}

// FuzzRead feeds any bytes to Read: it ends, problems hold nothing of the
// input, and records are valid JSON of the input.
func FuzzRead(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		for rec, err := range Read(t.Context(), bytes.NewReader(data), Options{MaxRecord: 1 << 16, MaxTotal: 1 << 20, MaxTracked: 8}) {
			if err != nil {
				p, ok := AsProblem(err)
				require.True(t, ok, "bytes in memory cannot fail otherwise")
				requirePublic(t, p)
				continue
			}
			require.True(t, json.Valid(rec.Raw))
			require.True(t, utf8.Valid(rec.Raw))
			require.True(t, isTypeName(rec.Type))
			require.Equal(t, decoders[rec.Type] != nil, rec.Resource != nil)
		}
	})
}

// FuzzSyntax compares the strict parser with encoding/json: what it accepts is JSON,
// and JSON that it refuses breaks one of the rules that encoding/json forgives.
func FuzzSyntax(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		var tr tree
		fault := tr.parse(data, 64)
		if fault == nil {
			require.True(t, json.Valid(data))
			require.Equal(t, len(bytes.TrimRight(data, " \t\r\n")), tr.nodes[0].end)
			if tr.nodes[0].kind == kindString {
				var want string
				require.NoError(t, json.Unmarshal(data, &want))
				require.Equal(t, want, tr.textOf(0))
			}
			return
		}
		requirePublic(t, tr.problem(1, ""))
		if json.Valid(data) {
			require.Contains(t, []Rule{RuleDuplicateKey, RuleInvalidUTF8, RuleForbiddenCharacter, RuleTooDeep}, fault.rule)
		}
	})
}

// FuzzLines checks that one bad line costs no other line.
func FuzzLines(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		if bytes.ContainsAny(data, "\n") {
			return
		}
		text := append([]byte(onePatient), data...)
		text = append(text, "\n"+onePatient...)
		good := 0
		for rec, err := range Read(t.Context(), bytes.NewReader(text), Options{}) {
			if err == nil && rec.Type == "Patient" && rec.ID == "a" && rec.Path == "" {
				good++
			}
		}
		require.GreaterOrEqual(t, good, 2)
	})
}

// A record is broken at random; every value and unknown key in it is a marker
// that no problem may repeat.
func TestProblemsNeverRepeatTheRecord(t *testing.T) {
	t.Parallel()
	const record = `{"resourceType":"Observation","id":"SECRET","SECRETkey":{"SECRET":["SECRET"]},"status":"SECRET","code":{"coding":[{"system":"SECRET",
"code":"SECRET","display":"SECRET"}]},"subject":{"reference":"Patient/SECRET"},"effectiveDateTime":"2020-01-01","valueQuantity":{"value":1,"unit":"SECRET"}}`
	seen := map[Rule]bool{}
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(record)
		for range rapid.IntRange(1, 3).Draw(t, "faults") {
			at := rapid.IntRange(0, len(text)-1).Draw(t, "at")
			switch rapid.IntRange(0, 2).Draw(t, "kind") {
			case 0:
				text[at] = rapid.SampledFrom([]byte("\x00\xff\"{}[]:,1S\\")).Draw(t, "byte")
			case 1:
				text = append(text[:at:at], text[at+1:]...)
			case 2:
				text = append(text[:at:at], append([]byte(`"SECRET":`), text[at:]...)...)
			}
		}
		for _, input := range [][]byte{text, []byte(`{"resourceType":"Bundle","type":"batch","entry":[{"resource":` + string(text) + `}]}`)} {
			for _, err := range Read(t.Context(), bytes.NewReader(input), Options{}) {
				if p, ok := AsProblem(err); ok {
					seen[p.Rule] = true
					if strings.Contains(p.Error(), "SECRET") {
						t.Fatalf("leaks: %v", p)
					}
				}
			}
		}
	})
	require.True(t, seen[RuleMalformedJSON])
}
