package mapping_test

import (
	"compress/gzip"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/node/mapping"
)

// changed are published examples that say something else in R5 than in R4: another code, unit
// or text.
var changed = map[string]string{
	"Observation/rhstatus":          "code and value",
	"Immunization/example":          "code of the vaccine",
	"MedicationRequest/medrx0304":   "unit of the dose",
	"MedicationRequest/medrx0307":   "code of the drug",
	"MedicationRequest/medrx0310":   "code of the drug",
	"MedicationRequest/medrx0314":   "unit of the dose",
	"MedicationRequest/medrx0318":   "code of the drug",
	"AllergyIntolerance/medication": "who recorded it",
	"Observation/clinical-gender":   "who performed it",
	"MedicationRequest/medrx0325":   "unit of the dose",
	"MedicationRequest/medrx0326":   "unit of the dose",
	"MedicationRequest/medrx0327":   "unit of the dose",
	"MedicationRequest/medrx0328":   "unit of the dose",
	"MedicationRequest/medrx0330":   "code of the drug",
	"MedicationRequest/medrx0334":   "unit of the dose",
	"MedicationRequest/medrx0335":   "unit of the dose",
}

// outcome is what became of an example.
type outcome struct {
	batch  omop.Batch
	result mapping.Result
}

// TestR5GivesTheRowsOfR4: the specification's examples that both versions have.
func TestR5GivesTheRowsOfR4(t *testing.T) {
	t.Parallel()
	r4, r5 := examples(t, "r4"), examples(t, "r5")
	require.Len(t, r4, 154)
	same, rows := 0, 0
	for name, want := range r4 {
		got, is := r5[name]
		require.True(t, is, name)
		if _, differs := changed[name]; differs {
			require.NotEqual(t, want.batch, got.batch, "%s is the same: take it off the list", name)
			continue
		}
		require.Equal(t, want, got, name)
		same++
		rows += len(want.batch.Visits) + len(want.batch.Drugs) + len(want.batch.Procedures)
	}
	require.Equal(t, 154-len(changed), same)
	require.Greater(t, rows, 30, "they give rows at all")
}

// examples maps those of a version, by Type/id.
func examples(t *testing.T, version string) map[string]outcome {
	t.Helper()
	f, err := os.Open("../../connectors/source/fhir/testdata/versions/" + version + ".ndjson.gz")
	require.NoError(t, err)
	defer f.Close()
	plain, err := gzip.NewReader(f)
	require.NoError(t, err)
	all := map[string]outcome{}
	mapper := mapping.New(memory{})
	for rec, err := range fhir.Read(t.Context(), plain, fhir.Options{}) {
		if err != nil {
			continue // connectors/source/fhir lists them
		}
		var o outcome
		o.result, err = mapper.Map(t.Context(), rec, &o.batch)
		require.NoError(t, err)
		all[rec.Type+"/"+rec.ID] = o
	}
	return all
}
