package mapping_test

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/node/mapping"
	"github.com/trialmesh/trialmesh/simulations/testdata"
)

// TestAllHospitals maps the 266 patients of the test data and compares with totals
// that others counted from the JSON, see simulations/testdata/ORIGIN.md.
func TestAllHospitals(t *testing.T) {
	t.Parallel()
	want := testdata.Expected()
	mapper := mapping.New(words(t))
	got, resources := newTally(), map[string]int{}
	manifest := counted()
	for _, h := range testdata.Hospitals() {
		var ids []string
		for f, err := range h.Files(t.Context()) {
			require.NoError(t, err)
			if f.Infrastructure() {
				continue
			}
			var found fhir.Summary
			for rec, err := range fhir.Read(t.Context(), bytes.NewReader(f.Data), fhir.Options{}) {
				require.NoError(t, err)
				found.Note(rec, nil)
				resources[rec.Type]++
				if rec.Type == "Patient" {
					ids = append(ids, rec.ID)
				}
				var b omop.Batch
				result, err := mapper.Map(t.Context(), rec, &b)
				require.NoError(t, err)
				require.Empty(t, result.Problems)
				got.add(rec, result, &b)
			}
			for kind, n := range manifest[f.Name] {
				require.Equal(t, n, strconv.Itoa(found.Decoded[kind]+found.Raw[kind]), "%s in %s", kind, f.Name)
			}
		}
		require.Equal(t, h.PatientIDs(), ids)
	}

	require.Equal(t, want.Resources, resources)
	require.Equal(t, want.Gender, map[string]int{"male": got.gender[8507], "female": got.gender[8532]})
	require.Equal(t, want.Deceased, got.deaths)
	require.Equal(t, want.Class, got.classes)
	require.Equal(t, map[int64]int{9201: want.Class["IMP"], 9202: want.Class["AMB"], 9203: want.Class["EMER"]}, got.visits)
	require.Equal(t, map[int64]int{8527: 213, 8516: 15, 8515: 14, 8657: 2, 0: 22}, got.races, "2131-1 and 2135-2 are no race of OMOP")
	require.Equal(t, map[int64]int{38003564: 266}, got.ethnicities)

	for _, c := range want.Conditions {
		require.Len(t, got.conditions[c.Code], c.Persons, "condition %s", c.Code)
	}
	for _, c := range want.Medications {
		require.Len(t, got.drugs[c.Code], c.Persons, "drug %s", c.Code)
	}
	for _, values := range []map[string]testdata.Statistics{want.Observations, want.Components} {
		for code, s := range values {
			n, mean, sd := got.values[code].statistics()
			require.Equal(t, []float64{s.Min, s.Max}, []float64{got.values[code].least, got.values[code].most}, code)
			require.Equal(t, s.N, n, code)
			require.InEpsilon(t, s.Mean, mean, 1e-8, code)
			require.InEpsilon(t, s.SD, sd, 1e-8, code)
		}
	}
	for resource, m := range want.Mapping.ByResource {
		require.Equal(t, m.Records, got.records[resource], resource)
		require.Equal(t, m.Records-m.Standard, got.unmapped[resource], "without a standard concept: %s", resource)
	}
	// standard_by_domain of the data set's expected-omop-mapping.json.
	require.Equal(t, map[[2]string]int{
		{"Observation", "measurement"}:              32132,
		{"Observation", "observation"}:              2559,
		{"Observation", "procedure_occurrence"}:     10,
		{"Procedure", "procedure_occurrence"}:       2769,
		{"Procedure", "measurement"}:                1261,
		{"Procedure", "observation"}:                57,
		{"MedicationRequest", "drug_exposure"}:      1181,
		{"Condition", "condition_occurrence"}:       1570,
		{"Condition", "observation"}:                143,
		{"AllergyIntolerance", "observation"}:       128,
		{"component of Observation", "measurement"}: 2 * want.Components["8480-6"].N,
	}, got.routes)
	require.Equal(t, got.quantities["mm[Hg]"], 2*want.Components["8480-6"].N)
	require.NotZero(t, got.units["U/L"], "a unit that the vocabulary does not have")
	require.Zero(t, got.units["mm[Hg]"])
}

// counted returns the manifest: file name, then type of resource, then number.
func counted() map[string]map[string]string {
	rows, files := testdata.Manifest(), map[string]map[string]string{}
	name := slices.Index(rows[0], "file")
	for _, row := range rows[1:] {
		counts := map[string]string{}
		for i, column := range rows[0] {
			if unicode.IsUpper(rune(column[0])) {
				counts[column] = row[i]
			}
		}
		files[row[name]] = counts
	}
	return files
}

// tally counts rows as the totals do.
type tally struct {
	gender, races, ethnicities, visits map[int64]int
	classes, records, unmapped         map[string]int
	conditions, drugs                  map[string]map[omop.Key]bool // persons by source code
	values                             map[string]*moments          // by source code
	routes                             map[[2]string]int            // rows with a standard concept by type and table
	quantities, units                  map[string]int               // numbers by unit, and those whose unit has no concept
	deaths                             int
}

func newTally() *tally {
	return &tally{
		gender: map[int64]int{}, races: map[int64]int{}, ethnicities: map[int64]int{}, visits: map[int64]int{},
		classes: map[string]int{}, records: map[string]int{}, unmapped: map[string]int{},
		conditions: map[string]map[omop.Key]bool{}, drugs: map[string]map[omop.Key]bool{},
		values: map[string]*moments{}, routes: map[[2]string]int{}, quantities: map[string]int{}, units: map[string]int{},
	}
}

func (y *tally) add(rec fhir.Record, result mapping.Result, b *omop.Batch) {
	y.records[rec.Type]++
	for _, u := range result.Unmapped {
		if u.Part == mapping.CodePart {
			y.unmapped[rec.Type]++
		}
	}
	for _, p := range b.Persons {
		y.gender[p.GenderConceptID]++
		y.races[p.RaceConceptID]++
		y.ethnicities[p.EthnicityConceptID]++
	}
	y.deaths += len(b.Deaths)
	for _, v := range b.Visits {
		y.visits[v.ConceptID]++
		y.classes[v.SourceValue]++
	}
	route := func(table omop.Table, concept int64, index int) {
		from := rec.Type
		if o, ok := rec.Resource.(*fhir.Observation); ok && len(o.Components) > 0 && index > 0 {
			from = "component of " + from
		}
		if concept != 0 {
			y.routes[[2]string{from, table.String()}]++
		}
	}
	person := func(by map[string]map[omop.Key]bool, code string, key omop.Key) {
		if by[code] == nil {
			by[code] = map[omop.Key]bool{}
		}
		by[code][key] = true
	}
	for i, r := range b.Conditions {
		route(omop.ConditionTable, r.ConceptID, i)
		person(y.conditions, r.SourceValue, r.Person)
	}
	for i, r := range b.Drugs {
		route(omop.DrugTable, r.ConceptID, i)
		person(y.drugs, r.SourceValue, r.Person)
	}
	for i, r := range b.Procedures {
		route(omop.ProcedureTable, r.ConceptID, i)
	}
	for i, r := range b.Measurements {
		route(omop.MeasurementTable, r.ConceptID, i)
		y.number(r.SourceValue, r.Number, r.UnitSource, r.UnitConceptID)
	}
	for i, r := range b.Observations {
		route(omop.ObservationTable, r.ConceptID, i)
		y.number(r.SourceValue, r.Number, r.UnitSource, r.UnitConceptID)
		if rec.Type == "Condition" {
			person(y.conditions, r.SourceValue, r.Person)
		}
	}
}

func (y *tally) number(code string, n *float64, unit string, concept int64) {
	if n == nil {
		return
	}
	if y.values[code] == nil {
		y.values[code] = &moments{}
	}
	y.values[code].add(*n)
	y.quantities[unit]++
	if concept == 0 {
		y.units[unit]++
	}
}

// moments are n, mean and sum of squared deviations. Source: Welford (1962).
type moments struct {
	n           int
	mean, m2    float64
	least, most float64
}

func (m *moments) add(v float64) {
	if m.n == 0 {
		m.least, m.most = v, v
	}
	m.least, m.most = min(m.least, v), max(m.most, v)
	m.n++
	d := v - m.mean
	m.mean += d / float64(m.n)
	m.m2 += d * (v - m.mean)
}

func (m *moments) statistics() (n int, mean, sd float64) {
	return m.n, m.mean, math.Sqrt(m.m2 / float64(m.n-1))
}
