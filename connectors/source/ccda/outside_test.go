package ccda

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/sourcetest"
)

// What Microsoft's templates make of the documents is compared as clinical content.
// testdata/converter/differences.tsv counts what agrees and lists what does not;
// DESIGN.md gives the reasons.
func TestConverterContent(t *testing.T) {
	t.Parallel()
	l := sourcetest.NewLedger("documents")
	cases := outsideCases(t, "converter/cases.ndjson.gz")
	require.Len(t, cases, 11)
	for _, c := range cases {
		require.True(t, Detect([]byte(c.Document[:4096])), c.Name)
		l.Compare(c.Name, ours(t, c), theirs(t, c))
	}
	l.Golden(t, "converter/differences.tsv")
}

// ours are the facts that Read gives.
func ours(t testing.TB, c outside) facts {
	t.Helper()
	got := collectText(t, c.Document)
	f := factsOf(got.resources())
	who, err := Identify(got.records[0].Raw, Options{})
	require.NoError(t, err, c.Name)
	f.who(who)
	return f
}

// The work group's recommended resources for one patient, drafts by their own word, are
// five of what the document says.
func TestConnectathonContent(t *testing.T) {
	t.Parallel()
	l := sourcetest.NewLedger("documents")
	cases := outsideCases(t, "connectathon/cases.ndjson.gz")
	require.Len(t, cases, 1)
	c := cases[0]
	recommended := theirs(t, c)
	said := ours(t, c)
	for kind := range said {
		if len(recommended[kind]) == 0 {
			delete(said, kind)
		}
	}
	l.Compare(c.Name, said, recommended)
	l.Golden(t, "connectathon/differences.tsv")
}

// Every document and section among HL7's examples is read, withdrawn ones included.
// testdata/examples/facts.tsv has what the sections say and how many records of each
// type the documents give; it was compared with the sections' own narrative.
func TestExamples(t *testing.T) {
	t.Parallel()
	documents, sections := outsideCases(t, "examples/documents.ndjson.gz"), outsideCases(t, "examples/sections.ndjson.gz")
	require.Len(t, documents, 8)
	require.Len(t, sections, 36)
	var b strings.Builder
	for _, c := range documents {
		got := collectText(t, c.Document)
		for _, counts := range []map[string]int{got.summary.Decoded, got.summary.Raw} {
			for _, kind := range slices.Sorted(maps.Keys(counts)) {
				fmt.Fprintf(&b, "%s\t%s\t%d\n", c.Name, kind, counts[kind])
			}
		}
		for _, place := range got.places() {
			fmt.Fprintf(&b, "%s\tproblem\t%s\n", c.Name, place)
		}
	}
	for _, c := range sections {
		got := collectText(t, fragment(c.Document))
		require.Empty(t, got.places(), c.Name)
		f := factsOf(got.resources()[1:])
		for _, kind := range slices.Sorted(maps.Keys(f)) {
			for _, fact := range f[kind] {
				fmt.Fprintf(&b, "%s\t%s\t%s\n", c.Name, kind, fact)
			}
		}
		for _, kind := range slices.Sorted(maps.Keys(got.summary.Raw)) {
			if kind != "ClinicalDocument" {
				fmt.Fprintf(&b, "%s\t%s\t%d\n", c.Name, kind, got.summary.Raw[kind])
			}
		}
	}
	sourcetest.Golden(t, "examples/facts.tsv", b.String())
}

// The guide's own examples, an entry or a patient each with the resource it is to become.
func TestGuideContent(t *testing.T) {
	t.Parallel()
	sections := map[string]string{
		"allergy": "48765-2", "immunization": "11369-6", "medication": "10160-0", "problem": "11450-4", "procedure": "47519-4",
	}
	l := sourcetest.NewLedger("documents")
	cases := outsideCases(t, "guide/cases.ndjson.gz")
	require.Len(t, cases, 6)
	for _, c := range cases {
		wanted := theirs(t, c)
		if code := sections[c.Name]; code != "" {
			entry := strings.TrimSpace(c.Document)
			entry = strings.TrimSuffix(entry[strings.Index(entry, ">")+1:], "</entry>")
			l.Compare(c.Name, factsOf(reading(t, code, "", entry).resources()), wanted)
			continue
		}
		c.Document = strings.Replace(document(), somebody, c.Document, 1)
		l.Compare(c.Name, ours(t, c), wanted)
	}
	l.Golden(t, "guide/differences.tsv")
}
