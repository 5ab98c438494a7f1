// Package simulations_test checks the demo's data against what others counted in
// it. The tests stand here because go test ./... does not enter folders named testdata.
package simulations_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/simulations/testdata"
)

// manifest returns the rows by file name, as column name to value.
func manifest(t *testing.T) map[string]map[string]string {
	t.Helper()
	rows := testdata.Manifest()
	byFile := map[string]map[string]string{}
	for _, row := range rows[1:] {
		m := map[string]string{}
		for i, column := range rows[0] {
			m[column] = row[i]
		}
		byFile[m["file"]] = m
	}
	require.Len(t, byFile, 266)
	return byFile
}

// TestReaderAgreesWithManifest reads every bundle of every hospital. The reader must find,
// file by file, what the manifest counted, and over all files what expected.json says; and
// the vocabulary must map as many records as was counted independently.
func TestReaderAgreesWithManifest(t *testing.T) {
	t.Parallel()
	rows, want := manifest(t), testdata.Expected()
	all := newTally(loadVocabulary(t))
	for _, h := range testdata.Hospitals() {
		seen := 0
		for file, err := range h.Files(t.Context()) {
			require.NoError(t, err)
			row, known := rows[file.Name]
			if !known {
				require.True(t, file.Infrastructure(), file.Name)
				readAll(t, file, newTally(vocabulary{}))
				continue
			}
			seen++
			require.Equal(t, h.Name, row["hospital"])
			sum := sha256.Sum256(file.Data)
			require.Equal(t, row["sha256"], hex.EncodeToString(sum[:]), file.Name)
			summary := readAll(t, file, all)
			for kind, n := range row {
				if kind[0] < 'A' || kind[0] > 'Z' {
					continue
				}
				require.Equal(t, n, strconv.Itoa(summary.Decoded[kind]+summary.Raw[kind]), "%s in %s", kind, file.Name)
			}
		}
		require.Equal(t, h.Patients, seen)
		require.Equal(t, h.Patients, want.Hospitals[h.Name].Patients)
	}
	all.requireEqual(t, want)
}

func readAll(t *testing.T, file testdata.File, into *tally) fhir.Summary {
	t.Helper()
	var summary fhir.Summary
	for rec, err := range fhir.Read(t.Context(), bytes.NewReader(file.Data), fhir.Options{}) {
		require.NoError(t, err, file.Name)
		summary.Note(rec, nil)
		into.add(rec)
	}
	return summary
}

// tally counts from the reader's records what expected.json holds.
type tally struct {
	resources, gender, class map[string]int
	deceased                 int
	conditions, medications  map[string]map[string]bool // code, then patients
	observations, components map[string]*moments
	vocabulary               vocabulary
	mapped                   map[string]testdata.Mapped
}

type moments struct{ n, sum, squares, least, most float64 }

func newTally(v vocabulary) *tally {
	return &tally{
		resources: map[string]int{}, gender: map[string]int{}, class: map[string]int{},
		conditions: map[string]map[string]bool{}, medications: map[string]map[string]bool{},
		observations: map[string]*moments{}, components: map[string]*moments{},
		vocabulary: v, mapped: map[string]testdata.Mapped{},
	}
}

func (c *tally) add(rec fhir.Record) {
	c.resources[rec.Type]++
	if code, coded := mainCode(rec); coded {
		c.mapped[rec.Type] = c.vocabulary.count(c.mapped[rec.Type], code)
	}
	switch r := rec.Resource.(type) {
	case *fhir.Patient:
		c.gender[r.Gender]++
		if !r.Died.IsZero() {
			c.deceased++
		}
	case *fhir.Encounter:
		c.class[r.Class.Code]++
	case *fhir.Condition:
		person(c.conditions, r.Code, r.Subject)
	case *fhir.MedicationRequest:
		person(c.medications, r.Medication, r.Subject)
	case *fhir.Observation:
		value(c.observations, r.Code, r.Value)
		for _, part := range r.Components {
			value(c.components, part.Code, part.Value)
		}
	}
}

func person(by map[string]map[string]bool, code fhir.CodeableConcept, subject fhir.Reference) {
	key := code.Coding[0].Code
	if by[key] == nil {
		by[key] = map[string]bool{}
	}
	by[key][subject.ID] = true
}

func value(by map[string]*moments, code fhir.CodeableConcept, v fhir.Value) {
	if v.Quantity == nil || v.Quantity.Value == nil {
		return
	}
	key, x := code.Coding[0].Code, v.Quantity.Value.Value
	if by[key] == nil {
		by[key] = &moments{least: x, most: x}
	}
	m := by[key]
	m.n, m.sum, m.squares, m.least, m.most = m.n+1, m.sum+x, m.squares+x*x, min(m.least, x), max(m.most, x)
}

func (c *tally) requireEqual(t *testing.T, want testdata.Totals) {
	t.Helper()
	require.Equal(t, want.Resources, c.resources)
	require.Equal(t, want.Gender, c.gender)
	require.Equal(t, want.Deceased, c.deceased)
	require.Equal(t, want.Class, c.class)
	require.Equal(t, want.Mapping.ByResource, c.mapped)
	for _, code := range want.Conditions {
		require.Len(t, c.conditions[code.Code], code.Persons, code.Display)
	}
	for _, code := range want.Medications {
		require.Len(t, c.medications[code.Code], code.Persons, code.Display)
	}
	requireStatistics(t, want.Observations, c.observations)
	requireStatistics(t, want.Components, c.components)
}

func requireStatistics(t *testing.T, want map[string]testdata.Statistics, got map[string]*moments) {
	t.Helper()
	require.NotEmpty(t, want)
	for code, w := range want {
		m := got[code]
		require.NotNil(t, m, code)
		require.Equal(t, w.N, int(m.n), code)
		mean := m.sum / m.n
		require.InDelta(t, w.Mean, mean, 1e-8*max(1, math.Abs(w.Mean)), code)
		require.InDelta(t, w.Min, m.least, 0, code)
		require.InDelta(t, w.Max, m.most, 0, code)
		if m.n > 1 {
			require.InDelta(t, w.SD, math.Sqrt((m.squares-m.n*mean*mean)/(m.n-1)), 1e-5*max(1, w.SD), code)
		}
	}
}

func TestExtract(t *testing.T) {
	t.Parallel()
	h, dir := testdata.Hospitals()[0], filepath.Join(t.TempDir(), "new")
	for range 2 { // the second time changes nothing
		paths, err := h.Extract(t.Context(), dir)
		require.NoError(t, err)
		require.Len(t, paths, h.Patients+2)
		require.Contains(t, paths[0], "hospitalInformation")
		require.Contains(t, paths[1], "practitionerInformation")
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, entries, len(paths), "no half-written file is left")
		for _, p := range paths {
			require.FileExists(t, p)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := h.Extract(ctx, dir)
	require.ErrorIs(t, err, context.Canceled)
	_, err = testdata.Hospital{Name: "nowhere"}.Extract(t.Context(), dir)
	require.ErrorIs(t, err, os.ErrNotExist)
}

// vocabulary is the embedded vocabulary as a mapper would use it.
type vocabulary struct {
	byCode   map[string]string // vocabulary and code, then concept
	mapsTo   map[string]string
	standard map[string]bool
}

func loadVocabulary(t *testing.T) vocabulary {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, testdata.ExtractVocabulary(dir))
	v := vocabulary{map[string]string{}, map[string]string{}, map[string]bool{}}
	for _, c := range table(t, dir, "CONCEPT.csv.gz") {
		v.byCode[c["vocabulary_id"]+" "+c["concept_code"]] = c["concept_id"]
		v.standard[c["concept_id"]] = c["standard_concept"] == "S"
		require.Len(t, c["valid_start_date"], 8, "Athena writes yyyymmdd")
	}
	for _, r := range table(t, dir, "CONCEPT_RELATIONSHIP.csv.gz") {
		require.Equal(t, "Maps to", r["relationship_id"])
		require.Contains(t, v.standard, r["concept_id_1"])
		require.Contains(t, v.standard, r["concept_id_2"])
		v.mapsTo[r["concept_id_1"]] = r["concept_id_2"]
	}
	return v
}

func (v vocabulary) count(m testdata.Mapped, code string) testdata.Mapped {
	m.Records++
	if id, found := v.byCode[code]; found {
		m.Found++
		if v.standard[id] || v.standard[v.mapsTo[id]] {
			m.Standard++
		}
	}
	return m
}

func mainCode(rec fhir.Record) (string, bool) {
	var code fhir.CodeableConcept
	switch r := rec.Resource.(type) {
	case *fhir.Condition:
		code = r.Code
	case *fhir.Observation:
		code = r.Code
	case *fhir.Procedure:
		code = r.Code
	case *fhir.Immunization:
		code = r.Vaccine
	case *fhir.AllergyIntolerance:
		code = r.Code
	case *fhir.MedicationRequest:
		code = r.Medication
	default:
		return "", false
	}
	vocabulary := map[string]string{
		"http://snomed.info/sct": "SNOMED", "http://loinc.org": "LOINC", "http://www.nlm.nih.gov/research/umls/rxnorm": "RxNorm",
	}
	return vocabulary[code.Coding[0].System] + " " + code.Coding[0].Code, true
}

func table(t *testing.T, dir, name string) []map[string]string {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, name))
	require.NoError(t, err)
	defer f.Close()
	zr, err := gzip.NewReader(f)
	require.NoError(t, err)
	data, err := io.ReadAll(zr)
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	header := strings.Split(lines[0], "\t")
	var rows []map[string]string
	for _, line := range lines[1:] {
		row := map[string]string{}
		for i, cell := range strings.Split(line, "\t") {
			row[header[i]] = cell
		}
		rows = append(rows, row)
	}
	return rows
}
