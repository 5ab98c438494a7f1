package fhir

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestParseReference(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Reference{
		"Patient/1":            {Form: ReferenceLiteral, Type: "Patient", ID: "1"},
		"Patient/1/_history/2": {Form: ReferenceLiteral, Type: "Patient", ID: "1"},
		"https://example.org/fhir/Encounter/a-b.c": {Form: ReferenceLiteral, Type: "Encounter", ID: "a-b.c"},
		"urn:uuid:7a": {Form: ReferenceURN, ID: "7a", URN: "urn:uuid:7a"},
		"#med":        {Form: ReferenceContained, ID: "med"},
		"Practitioner?identifier=http://x.org/npi|99999": {Form: ReferenceConditional, Type: "Practitioner"},
	} {
		got, ok := parseReference(text)
		require.True(t, ok, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"Patient", "Patient/", "/1", "patient/1", "Patient/a b", "urn:", "?identifier=1", "Patient/" + strings.Repeat("1", 65)} {
		_, ok := parseReference(text)
		require.False(t, ok, text)
	}
}

func transaction(entries ...string) string {
	return `{"resourceType":"Bundle","type":"transaction","entry":[` + strings.Join(entries, ",") + `]}`
}

func patientEntry(urn, id string) string {
	return fmt.Sprintf(`{"fullUrl":"urn:uuid:%s","resource":{"resourceType":"Patient","id":%q}}`, urn, id)
}

func conditionEntry(urn, subject, encounter string) string {
	return fmt.Sprintf(`{"fullUrl":"urn:uuid:%s","resource":{"resourceType":"Condition","id":%q,"code":{"text":"c"},
		"subject":{"reference":"urn:uuid:%s"},"encounter":{"reference":"urn:uuid:%s"}}}`, urn, urn, subject, encounter)
}

func encounterEntry(urn, subject string) string {
	return fmt.Sprintf(`{"fullUrl":"urn:uuid:%s","resource":{"resourceType":"Encounter","id":%q,"status":"finished","subject":{"reference":"urn:uuid:%s"}}}`, urn, urn, subject)
}

func TestBundleResolvesURNs(t *testing.T) {
	t.Parallel()
	t.Run("forward references wait", func(t *testing.T) {
		t.Parallel()
		c := collectText(t, transaction(conditionEntry("c", "p", "e"), encounterEntry("e", "p"), patientEntry("p", "real-id")))
		require.Empty(t, c.places())
		require.Equal(t, []string{"real-id", "c", "e"}, c.ids())
		condition, ok := c.records[1].Resource.(*Condition)
		require.True(t, ok)
		require.Equal(t, Reference{Form: ReferenceLiteral, Type: "Patient", ID: "real-id", URN: "urn:uuid:p"}, condition.Subject)
		require.Equal(t, "Encounter", condition.Encounter.Type)
		require.Equal(t, "entry[0].resource", c.records[1].Path)
	})
	t.Run("unanswered references are reported and the record kept", func(t *testing.T) {
		t.Parallel()
		c := collectText(t, transaction(conditionEntry("c", "p", "gone"), patientEntry("p", "p")))
		require.Equal(t, []string{"p", "c"}, c.ids())
		require.Equal(t, []string{"unresolved-reference 1 entry[0].resource.encounter"}, c.places())
		condition, ok := c.records[1].Resource.(*Condition)
		require.True(t, ok)
		require.Equal(t, Reference{Form: ReferenceURN, ID: "gone", URN: "urn:uuid:gone"}, condition.Encounter)
		require.Equal(t, "p", condition.Subject.ID)
	})
	t.Run("held records survive a truncated bundle", func(t *testing.T) {
		t.Parallel()
		whole := transaction(conditionEntry("c", "p", "e"), encounterEntry("e", "p"), patientEntry("p", "p"))
		c := collectText(t, whole[:strings.Index(whole, `{"fullUrl":"urn:uuid:p"`)])
		require.Equal(t, []string{"c", "e"}, c.ids())
		require.Equal(t, 2, c.summary.Problems[RuleUnresolvedReference])
		require.Equal(t, 1, c.summary.Problems[RuleTruncated])
	})
	t.Run("no more is held than one record limit", func(t *testing.T) {
		t.Parallel()
		entries := []string{}
		for i := range 100 {
			entries = append(entries, encounterEntry(fmt.Sprintf("e%d", i), "p"))
		}
		c := collect(t, strings.NewReader(transaction(append(entries, patientEntry("p", "p"))...)), Options{MaxRecord: 1000})
		require.Len(t, c.records, 101)
		open := c.summary.Problems[RuleUnresolvedReference]
		require.Greater(t, open, 80)
		require.Less(t, open, 100)
	})
	t.Run("an entry without id has its fullUrl's uuid", func(t *testing.T) {
		t.Parallel()
		c := collectText(t, transaction(`{"fullUrl":"urn:uuid:7","resource":{"resourceType":"Patient"}}`))
		require.Equal(t, []string{"7"}, c.ids())
	})
}

// In whatever order the entries come, every record is delivered once and fully resolved.
func TestBundleOrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		entries := []string{patientEntry("p", "p")}
		want := []string{"p"}
		for i := range rapid.IntRange(1, 8).Draw(t, "encounters") {
			e, c := fmt.Sprintf("e%d", i), fmt.Sprintf("c%d", i)
			entries = append(entries, encounterEntry(e, "p"), conditionEntry(c, "p", e))
			want = append(want, e, c)
		}
		entries = rapid.Permutation(entries).Draw(t, "order")
		var ids []string
		for rec, err := range Read(t.Context(), strings.NewReader(transaction(entries...)), Options{}) {
			if err != nil {
				t.Fatalf("read: %v", err)
			}
			ids = append(ids, rec.ID)
			rec.Resource.EachReference(func(_ string, r *Reference) {
				if r.Form != ReferenceLiteral {
					t.Fatalf("open reference in %s", rec.ID)
				}
			})
		}
		require.ElementsMatch(t, want, ids)
	})
}

// The bulk sample was cut to 20 encounters, so the tracker must find the others missing.
func TestReferencesAcrossFiles(t *testing.T) {
	t.Parallel()
	refs := NewReferences(1000)
	for _, name := range []string{"Condition", "Encounter", "Patient"} { // referring files first
		for _, r := range collect(t, open(t, "bulk/"+name+".ndjson.gz"), Options{}).records {
			refs.Note(name, r)
		}
	}
	require.True(t, refs.Complete())
	got := refs.Unresolved()
	require.NotEmpty(t, got)
	for _, o := range got {
		require.Equal(t, "Encounter", o.Type, "all 13 patients are there")
		require.Equal(t, "Condition", o.Source)
		require.Equal(t, "encounter", o.Path)
		require.Positive(t, o.Line)
	}
	require.LessOrEqual(t, len(got), 20)

	small := NewReferences(5)
	for _, r := range collect(t, open(t, "bulk/Patient.ndjson.gz"), Options{}).records {
		small.Note("Patient", r)
	}
	require.False(t, small.Complete())
}

func TestSummaryBoundsLabels(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	for i := range 1000 {
		fmt.Fprintf(&text, "{\"resourceType\":\"T%d\"}\n", i)
	}
	c := collect(t, &text, Options{})
	require.Len(t, c.summary.Raw, maxTypes+1)
	require.Equal(t, 1000, c.summary.Records())
	require.Equal(t, 1000-maxTypes, c.summary.Raw["other"])
}
