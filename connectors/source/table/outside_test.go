package table

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// file returns a file of testdata, uncompressed.
func file(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + name)
	require.NoError(t, err)
	if !bytes.HasPrefix(raw, []byte{0x1f, 0x8b}) {
		return raw
	}
	zr, err := gzip.NewReader(bytes.NewReader(raw))
	require.NoError(t, err)
	raw, err = io.ReadAll(zr)
	require.NoError(t, err)
	return raw
}

func mapping(t testing.TB, name string) *Mapping {
	t.Helper()
	m, err := Parse(file(t, name))
	require.NoError(t, err, name)
	return m
}

// got is what a table gives.
type got struct {
	records  []fhir.Record
	problems []*fhir.Problem
	tally    Tally
}

func (g *got) types() map[string]int {
	n := map[string]int{}
	for _, rec := range g.records {
		n[rec.Type]++
	}
	return n
}

func (g *got) rules() map[fhir.Rule]int {
	n := map[fhir.Rule]int{}
	for _, p := range g.problems {
		n[p.Rule]++
	}
	return n
}

func readAll(t testing.TB, m *Mapping, text []byte, opts Options) *got {
	t.Helper()
	out := &got{}
	opts.Tally = &out.tally
	for rec, err := range Read(t.Context(), bytes.NewReader(text), m, opts) {
		if err != nil {
			p, ok := fhir.AsProblem(err)
			require.True(t, ok, "%v", err)
			out.problems = append(out.problems, p)
			continue
		}
		out.records = append(out.records, rec)
	}
	return out
}

// independently reads a table with the standard library: a map for each row.
func independently(t testing.TB, text []byte) (rows []map[string]string) {
	t.Helper()
	all, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	require.NoError(t, err)
	for _, cells := range all[1:] {
		row := map[string]string{}
		for i, name := range all[0] {
			row[name] = cells[i]
		}
		rows = append(rows, row)
	}
	return rows
}

// synthea are the tables of Synthea's export that have records, what they have and how
// many rows the publisher of the copy counts.
var synthea = map[string]struct {
	resource string
	rows     int
}{
	"patients": {"Patient", 27}, "encounters": {"Encounter", 604}, "observations": {"Observation", 990}, "conditions": {"Condition", 438},
	"medications": {"MedicationRequest", 663}, "procedures": {"Procedure", 249}, "immunizations": {"Immunization", 29}, "allergies": {"AllergyIntolerance", 40},
}

func TestSyntheaGivesARecordForEachRow(t *testing.T) {
	t.Parallel()
	for name, want := range synthea {
		text := file(t, "synthea/"+name+".csv.gz")
		rows := independently(t, text)
		require.Len(t, rows, want.rows, name)
		g := readAll(t, mapping(t, "synthea/"+name+".yaml"), text, Options{})
		require.Empty(t, g.problems, name)
		require.Equal(t, map[string]int{want.resource: want.rows}, g.types(), name)
		ids := map[string]bool{}
		for i, rec := range g.records {
			require.Equal(t, i+2, rec.Line, "no cell of %s has a line break", name)
			require.True(t, fhir.IsResourceID(rec.ID), name)
			ids[rec.ID] = true
		}
		require.Len(t, ids, want.rows, "%s: every row has its own id", name)
	}
}

func TestSyntheaObservationsSayWhatTheCellsSay(t *testing.T) {
	t.Parallel()
	text := file(t, "synthea/observations.csv.gz")
	g := readAll(t, mapping(t, "synthea/observations.yaml"), text, Options{})
	numeric := 0
	for i, row := range independently(t, text) {
		o := g.records[i].Resource.(*fhir.Observation)
		require.Equal(t, row["PATIENT"], o.Subject.ID)
		require.Equal(t, row["ENCOUNTER"], o.Encounter.ID)
		require.Equal(t, row["CODE"], o.Code.Coding[0].Code)
		require.Equal(t, row["DATE"], o.Effective.Text)
		if row["TYPE"] == "numeric" {
			numeric++
			want, err := strconv.ParseFloat(row["VALUE"], 64)
			require.NoError(t, err)
			require.Equal(t, row["VALUE"], o.Value.Quantity.Value.Text)
			require.InDelta(t, want, o.Value.Quantity.Value.Value, 0)
			require.Equal(t, row["UNITS"], o.Value.Quantity.Unit)
			continue
		}
		if o.Value.String != nil {
			require.Equal(t, row["VALUE"], *o.Value.String)
		}
	}
	require.Equal(t, 599, numeric)
	require.Equal(t, map[string]int64{"null": 2}, g.tally.Units, "the text null in two rows")
	require.Equal(t, map[Unknown]int64{{"CODE", "QALY"}: 25, {"CODE", "DALY"}: 25, {"CODE", "QOLS"}: 25}, g.tally.Codes, "Synthea's own, in a column of LOINC")
}

// TestADigitThatASpreadsheetLostIsFound: SNOMED CT 10939881000119105 lost its last digit
// in Synthea's export, as numbers of 17 digits do, and the check digit tells.
func TestADigitThatASpreadsheetLostIsFound(t *testing.T) {
	t.Parallel()
	g := readAll(t, mapping(t, "synthea/conditions.yaml"), file(t, "synthea/conditions.csv.gz"), Options{})
	require.Equal(t, map[Unknown]int64{{"CODE", "10939881000119104"}: 4}, g.tally.Codes)
	require.True(t, isSNOMED("10939881000119105"))
}

// TestASetTellsSyntheasTablesApart: the header of conditions is part of five others.
func TestASetTellsSyntheasTablesApart(t *testing.T) {
	t.Parallel()
	s, err := LoadSet(os.DirFS("testdata/synthea"))
	require.NoError(t, err)
	for name, want := range synthea {
		raw, err := os.ReadFile("testdata/synthea/" + name + ".csv.gz")
		require.NoError(t, err)
		m, err := s.Detect(raw)
		require.NoError(t, err)
		require.NotNil(t, m, name)
		require.Equal(t, "synthea-"+name, m.Name)
		n := 0
		for rec, err := range s.Read(t.Context(), bytes.NewReader(raw), fhir.Options{}) {
			require.NoError(t, err, name)
			require.Equal(t, want.resource, rec.Type)
			n++
		}
		require.Equal(t, want.rows, n, name)
	}
}

func TestAWideTableGivesARecordForEachValue(t *testing.T) {
	t.Parallel()
	text := file(t, "pbc/pbc.csv.gz")
	m := mapping(t, "pbc/pbc.yaml")
	values := 0
	rows := independently(t, text)
	for _, row := range rows {
		for _, v := range m.records[1].wide {
			if cell := row[m.columns[v.column]]; cell != "" && cell != "NA" {
				values++
			}
		}
	}
	g := readAll(t, m, text, Options{})
	require.Empty(t, g.problems)
	require.Equal(t, map[string]int{"Patient": 418, "Observation": values}, g.types())
	require.Equal(t, 3571, values)
	require.Len(t, rows, 418)
}

// TestRepeatedRowsOfSDTMAreNamed: whoever wrote these tables filled them up to the next
// hundred rows with one fragment, again and again.
func TestRepeatedRowsOfSDTMAreNamed(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		resource        string
		records, filled int
		key             string
	}{
		"dm":   {"Patient", 306, 400, "USUBJID"},
		"lbur": {"Observation", 4913, 5000, "USUBJID, LBSEQ"},
	} {
		text := file(t, "sdtm/"+name+".csv.gz")
		require.Len(t, independently(t, text), want.filled)
		g := readAll(t, mapping(t, "sdtm/"+name+".yaml"), text, Options{})
		require.Equal(t, map[string]int{want.resource: want.records}, g.types(), name)
		require.Equal(t, map[fhir.Rule]int{RuleNoPatient: 1, RuleRepeatedRow: want.filled - want.records - 1}, g.rules(), name)
		for i, p := range g.problems[1:] {
			require.Equal(t, want.key, p.Path)
			require.Equal(t, want.records+3+i, p.Line, "%s: behind the header, the subjects and the fragment", name)
		}
	}
}

func TestWithoutADeclaredKeyCodeAndTimeAreTheKey(t *testing.T) {
	t.Parallel()
	text := string(file(t, "synthea/medications.yaml"))
	start := strings.Index(text, "key:")
	end := start + strings.IndexByte(text[start:], '\n') + 1
	m, err := Parse([]byte(text[:start] + text[end:]))
	require.NoError(t, err)
	table := file(t, "synthea/medications.csv.gz")
	distinct := map[string]bool{}
	for _, row := range independently(t, table) {
		distinct[row["PATIENT"]+row["CODE"]+row["START"]] = true
	}
	g := readAll(t, m, table, Options{})
	require.Len(t, g.records, len(distinct))
	require.Equal(t, map[fhir.Rule]int{RuleRepeatedKey: 663 - len(distinct)}, g.rules())
	require.Equal(t, "PATIENT, CODE, START", g.problems[0].Path)
}
