package hl7v2

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/connectors/source/sourcetest"
)

// Every message of Microsoft's converter is read whole: as many segments of each name
// as its data set's manifest counts.
func TestConverterSegments(t *testing.T) {
	t.Parallel()
	cases := outsideCases(t, "converter")
	require.Len(t, cases, 75)
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.Segments, parsed(t, c.Message).counts)
			require.True(t, Detect([]byte(c.Message)))
		})
	}
}

// What Microsoft's templates make of the messages is compared as clinical content.
// testdata/converter/differences.tsv counts what agrees and lists what does not;
// DESIGN.md gives the reasons.
func TestConverterContent(t *testing.T) {
	t.Parallel()
	l := sourcetest.NewLedger("messages")
	compared := 0
	for _, c := range outsideCases(t, "converter") {
		if c.Expected == nil {
			continue
		}
		compared++
		got := collectText(t, c.Message)
		var resources []fhir.Resource
		for _, rec := range got.records {
			if rec.Resource != nil {
				resources = append(resources, rec.Resource)
			}
		}
		who, err := Identities([]byte(c.Message), Options{})
		require.NoError(t, err)
		l.Compare(c.Name, recordFacts(resources, who), expectedFacts(c.Expected))
	}
	require.Equal(t, 69, compared)
	l.Golden(t, "converter/differences.tsv")
}

// converted is everything a message says, though no patient is identified in it.
func converted(t testing.TB, text string) (resources []fhir.Resource, who []Identity) {
	t.Helper()
	m := parsed(t, text)
	for i := range m.segments {
		s := &m.segments[i]
		if s.name == "PID" && s.field(3).empty() && s.field(2).empty() {
			for len(s.fields) < 4 {
				s.fields = append(s.fields, "")
			}
			s.fields[3] = "stand-in"
		}
	}
	c := converter{emit: func(rec fhir.Record, _ *fhir.Problem) {
		if rec.Resource != nil {
			resources = append(resources, rec.Resource)
		}
	}}
	c.convert(m, 1, 1)
	for i := range m.segments {
		if s := &m.segments[i]; s.name == "PID" {
			w := c.identity(s)
			if len(w.Identifiers) > 0 && w.Identifiers[0].Value == "stand-in" {
				w.Identifiers = nil
			}
			who = append(who, w)
		}
	}
	return resources, who
}

// The CDC's pairs are each for one data type or segment. Few have a patient identifier,
// so one is put in where there is none.
func TestReportStreamContent(t *testing.T) {
	t.Parallel()
	l := sourcetest.NewLedger("messages")
	cases := outsideCases(t, "reportstream")
	require.Len(t, cases, 133)
	for _, c := range cases {
		resources, who := converted(t, c.Message)
		ours, theirs := recordFacts(resources, who), expectedFacts(c.Expected)
		relatives(t, c, ours, theirs)
		l.Compare(c.Name, ours, theirs)
	}
	l.Golden(t, "reportstream/differences.tsv")
}

// relatives compares the data types that the pairs put into NK1 and OBR-53.
func relatives(t testing.TB, c outside, ours, theirs facts) {
	t.Helper()
	for _, r := range c.Expected {
		switch r["resourceType"] {
		case "RelatedPerson":
			for _, n := range list(r, "name") {
				theirs.add("NK1.name", "%s", nameFact(text(n, "use"), text(n, "family"), anyTexts(list(n, "given"))))
			}
			for _, a := range list(r, "address") {
				theirs.add("NK1.address", "%s %s %s", text(a, "use"), text(a, "type"),
					addressFact(anyTexts(list(a, "line")), text(a, "city"), text(a, "state"), text(a, "postalCode"), text(a, "country"), text(a, "district")))
			}
			for _, n := range list(r, "telecom") {
				theirs.add("NK1.telecom", "%s %s", text(n, "system"), text(n, "value"))
			}
		case "ServiceRequest":
			for _, i := range list(r, "identifier") {
				if get(i, "period") != nil {
					theirs.add("CX", "%s %s %s to %s", text(i, "system"), text(i, "value"), text(i, "period", "start"), text(i, "period", "end"))
				}
			}
		}
	}
	m := parsed(t, c.Message)
	var cv converter
	cv.begin(m, 1, 1)
	for i := range m.segments {
		s := &m.segments[i]
		switch s.name {
		case "NK1":
			for _, f := range s.field(2).repeats() {
				n := name(f)
				ours.add("NK1.name", "%s", nameFact(n.Use, n.Family, n.Given))
			}
			for _, f := range s.field(32).repeats() {
				a := address(f)
				ours.add("NK1.address", "%s %s %s", a.Use, a.Type, addressFact(a.Lines, a.City, a.State, a.Postcode, a.Country, a.District))
			}
			for _, n := range []int{5, 6, 40} {
				for _, f := range s.field(n).repeats() {
					x := telecom(f)
					ours.add("NK1.telecom", "%s %s", x.System, x.Value)
				}
			}
		case "OBR":
			for _, f := range s.field(53).repeats() {
				if x := cv.identifier(f); !x.Start.IsZero() {
					ours.add("CX", "%s %s %s to %s", x.System, x.Value, x.Start.Text, x.End.Text)
				}
			}
		}
	}
}

// Simulated Hospital's stream: the counts its README gives, one merge, and the same
// people again and again.
func TestSimulatedHospital(t *testing.T) {
	t.Parallel()
	data := unzip(t, "simhospital/messages.out.gz")
	got := collect(t, bytes.NewReader(data), Options{})
	require.Empty(t, got.places())
	require.Equal(t, map[string]int{
		"Patient": 1013, "Encounter": 1010, "Observation": 3323, "DiagnosticReport": 610, "AllergyIntolerance": 162, "Merge": 1,
	}, got.summary.Decoded)
	require.Equal(t, map[string]int{"MessageHeader": 1013, "DocumentReference": 2}, got.summary.Raw)

	numbers := map[string]bool{}
	for line := range strings.FieldsFuncSeq(string(data), func(r rune) bool { return r == '\r' || r == '\n' }) {
		if fields := strings.Split(line, "|"); fields[0] == "PID" {
			numbers[strings.Split(fields[3], "^")[0]] = true
		}
	}
	ids := map[string]map[string]bool{}
	for _, rec := range got.records {
		if ids[rec.Type] == nil {
			ids[rec.Type] = map[string]bool{}
		}
		ids[rec.Type][rec.ID] = true
	}
	require.Len(t, ids["Patient"], len(numbers), "one id for each medical record number")
	require.Len(t, ids["Observation"], 3323, "no result takes another's place")
	require.Len(t, ids["DiagnosticReport"], 610)
	require.Len(t, ids["MessageHeader"], 1013)
	merge := first[*Merge](t, got)
	require.True(t, ids["Patient"][merge.Survivor.ID])
	require.True(t, ids["Patient"][merge.Retired.ID], "the retired patient came earlier in the stream")
}
