package ccda

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

var plainID = regexp.MustCompile(`^[0-9a-f]{32}$`)

var publicPath = regexp.MustCompile(`^(recordTarget|encompassingEncounter|nonXMLBody|section\[([A-Za-z]+)(#\d+)?\](\.entry\[\d+\](\.[a-zA-Z]+(\[\d+\])?)*)?)?$`)

// requirePublic fails if a place could hold something of the input.
func requirePublic(t testing.TB, path string) {
	t.Helper()
	found := publicPath.FindStringSubmatch(path)
	require.NotNil(t, found, "%q", path)
	if found[2] == "" || found[2] == anySection.name {
		return
	}
	for _, s := range sectionTypes {
		if s.name == found[2] {
			return
		}
	}
	require.Failf(t, "a section that is not in the list", "%q", path)
}

func seeds(f *testing.F) {
	for _, s := range []string{
		"", "<ClinicalDocument/>", document(), " \n" + document(), document(section("11450-4", `<content ID="a">x</content>`, problem(asthma))),
		"\xff\xfe<\x00?\x00", "\x1f\x8b\x08\x00\x00\x00\x00\x00", `<?xml version="1.0" encoding="latin1"?>` + document(section("10157-6", "x")),
		"<!DOCTYPE a>", document(section("8716-3", "", pulse("1", "2024"))), document("<section><component>" + section("46240-8", "", encounter) + "</component></section>"),
		document(section("10160-0", "", dose)), document(section("48765-2", "", allergy)), document(section("47519-4", "", `<procedure><code code="1"/><effectiveTime value="2024"/></procedure>`)),
		strings.Replace(document(), "<structuredBody></structuredBody>", "<nonXMLBody><text>x</text></nonXMLBody>", 1),
	} {
		f.Add([]byte(s))
	}
	for _, c := range outsideCases(f, "examples/sections.ndjson.gz") {
		f.Add([]byte(fragment(c.Document)))
	}
}

// FuzzRead feeds any bytes to Read: it ends, problems and places hold nothing of the
// input, ids are FHIR's, and each record holds what it was made of.
func FuzzRead(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		for rec, err := range Read(t.Context(), bytes.NewReader(data), Options{Limits: fhir.Options{MaxRecord: 1 << 14, MaxTotal: 1 << 16}, MaxNodes: 1000}) {
			if err != nil {
				p, ok := fhir.AsProblem(err)
				require.True(t, ok, "bytes in memory cannot fail otherwise")
				require.NotEmpty(t, p.Rule)
				require.Positive(t, p.Line)
				requirePublic(t, p.Path)
				continue
			}
			require.Regexp(t, plainID, rec.ID)
			requirePublic(t, rec.Path)
			require.True(t, bytes.HasPrefix(rec.Raw, []byte("<")))
			if kind, code, _ := strings.Cut(rec.Type, " "); kind == "Section" && code != "" {
				require.NotNil(t, sectionsByCode[code])
			}
			if rec.Resource != nil {
				rec.Resource.EachReference(func(_ string, r *fhir.Reference) { require.Len(t, r.ID, 32) })
			}
		}
		if who, err := Identify(data, Options{MaxNodes: 1000}); err == nil {
			require.LessOrEqual(t, len(who.PatientID), 32)
		}
	})
}

// A document is broken at random; every value in it is a marker that no problem, place or
// type may repeat.
func TestProblemsNeverRepeatTheDocument(t *testing.T) {
	t.Parallel()
	text := document(
		section("11450-4", `<content ID="SECRET">SECRET</content>`, problem(`<value xsi:type="CD" code="SECRET" codeSystem="SECRET"><originalText><reference value="#SECRET"/></originalText></value>`)),
		section("8716-3", "SECRET", pulse("SECRET", "20240102")), section("46240-8", "", encounter),
		`<section><templateId root="SECRET"/><code code="SECRET"/><title>SECRET</title></section>`,
	)
	seen := map[fhir.Rule]bool{}
	rapid.Check(t, func(t *rapid.T) {
		broken := []byte(text)
		for range rapid.IntRange(1, 3).Draw(t, "faults") {
			at := rapid.IntRange(0, len(broken)-1).Draw(t, "at")
			switch rapid.IntRange(0, 2).Draw(t, "kind") {
			case 0:
				broken[at] = rapid.SampledFrom([]byte("\x00\xff<>&\"'/= S#:")).Draw(t, "byte")
			case 1:
				broken = append(broken[:at:at], broken[at+1:]...)
			case 2:
				broken = append(broken[:at:at], append([]byte(rapid.SampledFrom([]string{"SECRET", "<SECRET>", "&SECRET;", "SECRET:"}).Draw(t, "text")), broken[at:]...)...)
			}
		}
		for rec, err := range Read(t.Context(), bytes.NewReader(broken), Options{}) {
			if p, ok := fhir.AsProblem(err); ok {
				seen[p.Rule] = true
				if strings.Contains(p.Error(), "SECRET") {
					t.Fatalf("leaks: %v", p)
				}
			}
			if strings.Contains(rec.Path+rec.ID+rec.Type, "SECRET") {
				t.Fatalf("leaks: %s %s %s", rec.Path, rec.ID, rec.Type)
			}
		}
	})
	require.Contains(t, seen, RuleMalformedXML)
	require.Contains(t, seen, RuleUndeclaredNamespace)
}
