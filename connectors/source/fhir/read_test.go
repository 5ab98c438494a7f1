package fhir

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// collected is everything one Read gave.
type collected struct {
	records  []Record
	problems []*Problem
	err      error
	summary  Summary
}

func collect(t testing.TB, src io.Reader, opts Options) (c collected) {
	t.Helper()
	for rec, err := range Read(context.Background(), src, opts) {
		require.NoError(t, c.err, "nothing follows a fatal error")
		c.summary.Note(rec, err)
		if p, ok := AsProblem(err); ok {
			c.problems = append(c.problems, p)
		} else if err != nil {
			c.err = err
		} else {
			c.records = append(c.records, rec)
		}
	}
	return c
}

func collectText(t testing.TB, text string) collected {
	t.Helper()
	return collect(t, strings.NewReader(text), Options{})
}

// places renders problems as "rule line path".
func (c collected) places() []string {
	all := []string{}
	for _, p := range c.problems {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %d %s", p.Rule, p.Line, p.Path)))
	}
	return all
}

func (c collected) ids() []string {
	all := []string{}
	for _, r := range c.records {
		all = append(all, r.ID)
	}
	return all
}

func open(t testing.TB, name string) io.Reader {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return bytes.NewReader(data)
}

func unzip(t testing.TB, name string) []byte {
	t.Helper()
	zr, err := gzip.NewReader(open(t, name))
	require.NoError(t, err)
	data, err := io.ReadAll(zr)
	require.NoError(t, err)
	return data
}

// Expected counts are those of the data sets' own manifests.
func TestReadRealFiles(t *testing.T) {
	t.Parallel()
	tests := []struct {
		file         string
		decoded, raw map[string]int
	}{
		{
			"synthea/alltypes.json.gz",
			map[string]int{
				"AllergyIntolerance": 3, "Condition": 6, "DiagnosticReport": 1, "Encounter": 12, "Immunization": 8,
				"MedicationRequest": 6, "Observation": 44, "Organization": 1, "Patient": 1, "Procedure": 2,
			},
			map[string]int{"CarePlan": 2, "Claim": 18, "ExplanationOfBenefit": 12, "Practitioner": 1},
		},
		{
			"synthea/kidney.json.gz",
			map[string]int{
				"Condition": 7, "DiagnosticReport": 10, "Encounter": 21, "Immunization": 11,
				"MedicationRequest": 6, "Observation": 141, "Organization": 1, "Patient": 1, "Procedure": 17,
			},
			map[string]int{"CarePlan": 4, "Claim": 27, "ExplanationOfBenefit": 21, "Goal": 3, "ImagingStudy": 5, "Practitioner": 1},
		},
		{
			"pages/page00.json.gz",
			map[string]int{
				"Condition": 4, "DiagnosticReport": 6, "Encounter": 15, "Immunization": 12,
				"MedicationRequest": 2, "Observation": 25, "Patient": 1,
			},
			map[string]int{"CarePlan": 3, "Claim": 17, "ExplanationOfBenefit": 15},
		},
		{"pages/page01.json.gz", map[string]int{"Observation": 67, "Procedure": 7}, map[string]int{}},
		{"bulk/Patient.ndjson.gz", map[string]int{"Patient": 13}, map[string]int{}},
		{"bulk/AllergyIntolerance.ndjson.gz", map[string]int{"AllergyIntolerance": 11}, map[string]int{}},
		{"bulk/MedicationRequest.ndjson.gz", map[string]int{"MedicationRequest": 20}, map[string]int{}},
		{"bulk/Immunization.ndjson.gz", map[string]int{"Immunization": 20}, map[string]int{}},
		{"bulk/Device.ndjson.gz", map[string]int{}, map[string]int{"Device": 16}},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			t.Parallel()
			c := collect(t, open(t, tt.file), Options{})
			require.NoError(t, c.err)
			require.Empty(t, c.places())
			require.Equal(t, tt.decoded, c.summary.Decoded)
			require.Equal(t, tt.raw, c.summary.Raw)
			for _, r := range c.records {
				require.True(t, json.Valid(r.Raw))
				require.Equal(t, r.Resource != nil, decoders[r.Type] != nil)
			}
		})
	}
}

// However the bytes arrive, compressed or one at a time, the records are the same.
func TestReadDoesNotDependOnArrival(t *testing.T) {
	t.Parallel()
	plain := unzip(t, "synthea/alltypes.json.gz")
	want := collect(t, bytes.NewReader(plain), Options{})
	require.Equal(t, 117, want.summary.Records())
	for name, src := range map[string]io.Reader{
		"gzip":            open(t, "synthea/alltypes.json.gz"),
		"one byte reads":  iotest.OneByteReader(bytes.NewReader(plain)),
		"data with EOF":   iotest.DataErrReader(bytes.NewReader(plain)),
		"byte order mark": io.MultiReader(strings.NewReader("\xef\xbb\xbf"), bytes.NewReader(plain)),
	} {
		got := collect(t, src, Options{})
		require.Equal(t, want.records, got.records, name)
		require.Empty(t, got.places(), name)
	}
}

// A bundle, the same resources as NDJSON, and a re-indented bundle say the same.
func TestReadFormatsAgree(t *testing.T) {
	t.Parallel()
	bundle := unzip(t, "synthea/kidney.json.gz")
	want := collect(t, bytes.NewReader(bundle), Options{})
	var compact, sorted bytes.Buffer
	require.NoError(t, json.Compact(&compact, bundle))
	var tree any
	require.NoError(t, json.Unmarshal(bundle, &tree)) // sorts keys, so entry comes before resourceType
	require.NoError(t, json.NewEncoder(&sorted).Encode(tree))
	require.Less(t, bytes.Index(sorted.Bytes(), []byte(`"entry"`)), bytes.LastIndex(sorted.Bytes(), []byte(`"resourceType":"Bundle"`)))
	for name, text := range map[string][]byte{
		"compact": compact.Bytes(), "sorted": sorted.Bytes(),
		"bundles on lines": append(append(compact.Bytes(), '\n'), "{\"resourceType\":\"Basic\"}\n"...),
	} {
		got := collect(t, bytes.NewReader(text), Options{})
		require.Empty(t, got.places(), name)
		require.GreaterOrEqual(t, len(got.records), len(want.records), name)
		for i, r := range want.records {
			require.Equal(t, r.ID, got.records[i].ID, name)
			require.Equal(t, r.Path, got.records[i].Path, name)
			if name != "sorted" { // which changes the digits of decimals
				require.Equal(t, r.Resource, got.records[i].Resource, name)
			}
		}
	}
}

func TestReadSurvivesBadRecords(t *testing.T) {
	t.Parallel()
	patient := func(id string) string { return `{"resourceType":"Patient","id":"` + id + `"}` }
	entry := func(resource string) string { return `{"resource":` + resource + `}` }
	bundle := func(entries ...string) string {
		return "{\"resourceType\":\"Bundle\",\"type\":\"batch\",\"entry\":[\n" + strings.Join(entries, ",\n") + "\n]}"
	}
	deep := strings.Repeat("[", 70) + strings.Repeat("]", 70)
	bad := []struct {
		name, resource string
		rule           Rule
		path           string
	}{
		{"malformed", `{"resourceType":"Patient","id":tru}`, RuleMalformedJSON, "id"},
		{"duplicate key", `{"resourceType":"Patient","id":"x","id":"y"}`, RuleDuplicateKey, "id"},
		{"duplicate key by escape", `{"resourceType":"Patient","id":"x","\u0069d":"y"}`, RuleDuplicateKey, "*"},
		{"duplicate key in an unread element", `{"resourceType":"Patient","id":"x","Jane Doe":{"a":1,"a":2}}`, RuleDuplicateKey, "*.*"},
		{"invalid UTF-8", "{\"resourceType\":\"Patient\",\"id\":\"\xff\"}", RuleInvalidUTF8, "id"},
		{"lone surrogate", `{"resourceType":"Patient","id":"\ud800"}`, RuleInvalidUTF8, "id"},
		{"NUL", `{"resourceType":"Patient","id":"a\u0000"}`, RuleForbiddenCharacter, "id"},
		{"wrong type", `{"resourceType":"Patient","id":"x","gender":1}`, RuleWrongType, "gender"},
		{"wrong type in a list", `{"resourceType":"Patient","id":"x","extension":[{},7]}`, RuleWrongType, "extension[1]"},
		{"no id", `{"resourceType":"Patient"}`, RuleMissingField, "id"},
		{"no subject", `{"resourceType":"Observation","id":"x","status":"final","code":{"text":"a"}}`, RuleMissingField, "subject"},
		{"no code in a component", `{"resourceType":"Observation","id":"x","status":"final","code":{"text":"a"},"subject":{"reference":"Patient/1"},"component":[{}]}`, RuleMissingField, "component[0].code"},
		{"no medication", `{"resourceType":"MedicationRequest","id":"x","status":"active","subject":{"reference":"Patient/1"}}`, RuleMissingField, "medicationCodeableConcept"},
		{"no type", `{"id":"x"}`, RuleMissingField, "resourceType"},
		{"no type's name", `{"resourceType":"drop table","id":"x"}`, RuleUnknownResource, "resourceType"},
		{"bad id", `{"resourceType":"Patient","id":"a b"}`, RuleInvalidID, ""},
		{"bad date", `{"resourceType":"Patient","id":"x","birthDate":"1970-02-30"}`, RuleInvalidTime, "birthDate"},
		{"huge number", `{"resourceType":"Observation","id":"x","status":"final","code":{"text":"a"},"subject":{"reference":"Patient/1"},"valueQuantity":{"value":1e999}}`, RuleInvalidNumber, "valueQuantity.value"},
		{"bad reference", `{"resourceType":"Encounter","id":"x","status":"finished","subject":{"reference":"nobody"}}`, RuleInvalidReference, "subject"},
		{"too deep", `{"resourceType":"Patient","id":"x","a":` + deep + `}`, RuleTooDeep, ""},
		{"too large", `{"resourceType":"Patient","id":"x","a":"` + strings.Repeat("a", 5000) + `"}`, RuleTooLarge, ""},
	}
	opts := Options{MaxRecord: 4096}
	for _, tt := range bad {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := collect(t, strings.NewReader(bundle(entry(patient("a")), entry(tt.resource), entry(patient("b")))), opts)
			require.NoError(t, c.err)
			require.Equal(t, []string{"a", "b"}, c.ids())
			path := joinPath("entry[1].resource", tt.path)
			switch tt.rule {
			case RuleTooLarge: // the entry was not kept, so nothing inside it can be named
				path = "entry[1]"
			case RuleTooDeep: // depth 64 is the 61st bracket below entry, resource and element
				path = "entry[1].resource.*" + strings.Repeat("[0]", 61)
			}
			require.Equal(t, []string{string(tt.rule) + " 3 " + path}, c.places())
		})
		t.Run(tt.name+" in NDJSON", func(t *testing.T) {
			t.Parallel()
			text := patient("a") + "\n" + tt.resource + "\r\n\n" + patient("b")
			c := collect(t, strings.NewReader(text), opts)
			require.Equal(t, []string{"a", "b"}, c.ids())
			path := tt.path
			if tt.rule == RuleTooDeep {
				path = "*" + strings.Repeat("[0]", 62)
			}
			require.Equal(t, []string{strings.TrimSpace(string(tt.rule) + " 2 " + path)}, c.places())
		})
	}
}

func TestReadReportsWhereDocumentsBreak(t *testing.T) {
	t.Parallel()
	ok := `{"resource":{"resourceType":"Patient","id":"a"}}`
	tests := []struct {
		name, text string
		ids        []string
		places     []string
	}{
		{"nothing", "", []string{}, []string{}},
		{"blank", " \n\n", []string{}, []string{}},
		{"not JSON", "MSH|^~\\&|", []string{}, []string{"malformed-json 1"}},
		{"an array", `[{"resourceType":"Patient","id":"a"}]`, []string{}, []string{"malformed-json 1"}},
		{"single resource over lines", "{\n\"resourceType\": \"Patient\",\n \"id\": \"a\"\n}\n", []string{"a"}, []string{}},
		{"truncated resource", "{\n\"resourceType\": \"Patient\",\n \"id\": \"a", []string{}, []string{"truncated 3"}},
		{"truncated bundle", "{\"resourceType\":\"Bundle\",\"type\":\"batch\",\n\"entry\":[" + ok + ",\n{\"resou", []string{"a"}, []string{"truncated 3"}},
		{"truncated between entries", `{"resourceType":"Bundle","type":"batch","entry":[` + ok + ",\n", []string{"a"}, []string{"truncated 2"}},
		{"no comma between entries", `{"resourceType":"Bundle","type":"batch","entry":[` + ok + ok + `]}`, []string{"a"}, []string{"malformed-json 1 entry[1]"}},
		{"lost brace swallows the rest", `{"resourceType":"Bundle","type":"batch","entry":[` + ok + `,{"resource":{"id":"b"},` + ok + `]}`, []string{"a"}, []string{"malformed-json 1 entry[1]"}},
		{"lost quote ends at its line", "{\"resourceType\":\"Bundle\",\"type\":\"batch\",\"entry\":[{\"resource\":{\"id\":\"b\n}},\n" + ok + `]}`, []string{"a"}, []string{"malformed-json 1 entry[0].resource.id"}},
		{"entry without resource", `{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"DELETE"}},` + ok + `]}`, []string{"a"}, []string{"missing-field 1 entry[0].resource"}},
		{"entry of another type", `{"resourceType":"Bundle","type":"batch","entry":[7,null,` + ok + `]}`, []string{"a"}, []string{"wrong-type 1 entry[0]", "wrong-type 1 entry[1]"}},
		{"entries no array", `{"resourceType":"Bundle","type":"batch","entry":{}}`, []string{}, []string{"wrong-type 1 entry"}},
		{"bundle without type", `{"resourceType":"Bundle","entry":[` + ok + `]}`, []string{"a"}, []string{"missing-field 1 type"}},
		{"history", `{"resourceType":"Bundle","type":"history","entry":[` + ok + `]}`, []string{}, []string{"unsupported-bundle 1 type"}},
		{"history said late", `{"resourceType":"Bundle","entry":[` + ok + `],"type":"history"}`, []string{"a"}, []string{"unsupported-bundle 1 type"}},
		{"entries of something else", `{"entry":[{"item":{}}],"id":"l","resourceType":"List"}`, []string{"l"}, []string{}},
		{"entries named twice", `{"resourceType":"Bundle","type":"batch","entry":[],"entry":[` + ok + `]}`, []string{"a"}, []string{"duplicate-key 1 entry"}},
		{"no colon", `{"resourceType" "Bundle"}`, []string{}, []string{"malformed-json 1"}},
		{"trailing comma", `{"resourceType":"Patient","id":"a",}`, []string{}, []string{"malformed-json 1"}},
		{"content behind", "{\n\"resourceType\":\"Patient\",\"id\":\"a\"} x", []string{"a"}, []string{"malformed-json 2"}},
		{"two resources", "{\"resourceType\":\"Patient\",\n\"id\":\"a\"}{\"resourceType\":\"Patient\",\"id\":\"b\"}", []string{"a", "b"}, []string{}},
		{"brackets without end", "{\n" + strings.Repeat(`"a":{`, 20000), []string{}, []string{"too-deep 2"}},
		{"first line broken", "{\"resourceType\":\"Patient\"\n{\"resourceType\":\"Patient\",\"id\":\"b\"}\n", []string{"b"}, []string{"truncated 1"}},
		{"first line garbage", "x\n{\"resourceType\":\"Patient\",\"id\":\"b\"}\n", []string{"b"}, []string{"malformed-json 1"}},
		{"last line cut", "{\"resourceType\":\"Patient\",\"id\":\"b\"}\n{\"resourceType\":\"Pat", []string{"b"}, []string{"truncated 2 resourceType"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := collectText(t, tt.text)
			require.NoError(t, c.err)
			require.Equal(t, tt.ids, c.ids())
			require.Equal(t, tt.places, c.places())
		})
	}
}

func TestReadEndsOnFailure(t *testing.T) {
	t.Parallel()
	text := `{"resourceType":"Patient","id":"a"}` + "\n"
	t.Run("failing disk", func(t *testing.T) {
		t.Parallel()
		disk := errors.New("input/output error")
		c := collect(t, io.MultiReader(strings.NewReader(text+text), iotest.ErrReader(disk)), Options{})
		require.ErrorIs(t, c.err, disk)
	})
	t.Run("canceled", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var last error
		n := 0
		for _, err := range Read(ctx, strings.NewReader(strings.Repeat(text, 10_000)), Options{}) {
			cancel()
			last = err
			n++
		}
		require.ErrorIs(t, last, context.Canceled)
		require.Less(t, n, 5000, "stops within one buffer")
	})
	t.Run("caller has enough", func(t *testing.T) {
		t.Parallel()
		n := 0
		for range Read(t.Context(), open(t, "synthea/kidney.json.gz"), Options{}) {
			if n++; n == 3 {
				break
			}
		}
		require.Equal(t, 3, n)
	})
}

func TestPrivateTypesStayPrivate(t *testing.T) {
	t.Parallel()
	c := collect(t, open(t, "synthea/alltypes.json.gz"), Options{})
	for _, r := range c.records {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%d", "%q"} {
			require.Equal(t, "fhir:redacted", fmt.Sprintf(format, r))
			if r.Resource != nil {
				require.Equal(t, "fhir:redacted", fmt.Sprintf(format, r.Resource))
			}
		}
		_, err := json.Marshal(r)
		require.Error(t, err)
		if r.Resource != nil {
			_, err = json.Marshal(r.Resource)
			require.Error(t, err)
		}
	}
}
