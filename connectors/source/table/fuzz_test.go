package table

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

var digestForm = regexp.MustCompile(`^[0-9a-f]{32}$`)

// FuzzRead feeds any bytes to Read with mappings of all kinds: it ends, problems name
// columns of the mapping only, ids are FHIR's and nothing of a record is left out.
func FuzzRead(f *testing.F) {
	names := []string{"lab", "clinic", "stays"}
	var mappings []*Mapping
	for i, name := range names {
		mappings = append(mappings, mapping(f, "examples/"+name+".yaml"))
		ext := ".csv"
		if name == "stays" {
			ext = ".tsv"
		}
		f.Add(file(f, "examples/"+name+ext), uint8(i)) //nolint:gosec // three of them
	}
	for _, s := range []string{"", "\xff\xfe", "\xfe\xff\x00", "\xef\xbb\xbfMRN", "\x1f\x8b\x08", "sep=;\n", "MRN,Accession\n\"1,2\n"} {
		f.Add([]byte(s), uint8(0))
	}
	f.Fuzz(func(t *testing.T, data []byte, which uint8) {
		m := mappings[int(which)%len(mappings)]
		opts := Options{Limits: fhir.Options{MaxRecord: 1 << 12, MaxTotal: 1 << 16, MaxTracked: 8}, MaxCell: 1 << 10, MaxColumns: 64, Tally: &Tally{}}
		line := 0
		for rec, err := range Read(t.Context(), bytes.NewReader(data), m, opts) {
			if err != nil {
				p, ok := fhir.AsProblem(err)
				require.True(t, ok, "bytes in memory cannot fail otherwise")
				require.NotEmpty(t, p.Rule)
				require.Positive(t, p.Line)
				for _, name := range strings.Split(p.Path, ", ") {
					require.True(t, name == "" || slices.Contains(m.columns, name), "%q", p.Path)
				}
				continue
			}
			require.Regexp(t, digestForm, rec.ID)
			require.NotNil(t, rec.Resource)
			require.GreaterOrEqual(t, rec.Line, line, "rows come in their order")
			line = rec.Line
		}
		require.LessOrEqual(t, opts.Tally.Unused+opts.Tally.Skipped, opts.Tally.Rows)
	})
}

// FuzzParse feeds any bytes to Parse: it gives a mapping that can read, or faults with
// their lines.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"examples/lab", "examples/clinic", "examples/stays", "synthea/allergies", "pbc/pbc"} {
		f.Add(file(f, name+".yaml"))
	}
	for _, s := range []string{"", "a: &a [*a]", "version: 1\nname: [", "? {}\n: x", "version: 1\nrecords:\n  - observation: {wide: {a: {code: x}}}", "columns: [a, ~]", small, strings.Replace(small, "columns", "x", 1), "<<: {a: b}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := Parse(text)
		if err != nil {
			faults := AsFaults(err)
			require.NotEmpty(t, faults)
			require.Nil(t, m)
			for _, one := range faults {
				require.Positive(t, one.Line)
				require.LessOrEqual(t, one.Line, bytes.Count(text, []byte("\n"))+bytes.Count(text, []byte("\r"))+2+strings.Count(string(text), "\u2028")+strings.Count(string(text), "\u2029")+strings.Count(string(text), "\u0085"))
				require.NotEmpty(t, one.Text)
			}
			return
		}
		require.True(t, mappingName.MatchString(m.Name))
		for _, err := range Read(t.Context(), strings.NewReader(strings.Join(m.columns, ",")+"\n"+strings.Repeat("1,", len(m.columns))), m, Options{}) {
			if err != nil {
				_, ok := fhir.AsProblem(err)
				require.True(t, ok)
			}
		}
	})
}

// FuzzSuggest feeds any bytes to Suggest: what it proposes is a mapping, or one that says
// what a person must decide.
func FuzzSuggest(f *testing.F) {
	for _, name := range []string{"examples/lab.csv", "examples/clinic.csv", "examples/stays.tsv"} {
		f.Add(file(f, name))
	}
	for _, s := range []string{"a,b\n1,2\n", "a,a\n1,1\n", "\"a\nb\",c\n1,2\n", "a;b\n1,5;2\n", "?,~\n1,2\n", "{a},[b]\n1,2\n", "null,yes\n1,2\n", "a: b,c # d\n1,2\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Suggest(t.Context(), bytes.NewReader(data), "fuzz")
		if err != nil {
			return
		}
		if _, err := Parse(s.YAML); err != nil {
			for _, one := range AsFaults(err) {
				require.False(t, strings.HasPrefix(one.Text, "not YAML"), "%s\n%s", one.Text, s.YAML)
			}
			require.NotEmpty(t, s.Notes, "%v\n%s", err, s.YAML)
		}
	})
}
