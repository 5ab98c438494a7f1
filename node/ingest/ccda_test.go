package ingest_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/ingest"
)

// TestAClinicalDocumentBecomesRows loads the patient of HL7's connectathon. What its
// sections promise was read off their narrative: two visits (the header's and one of the
// encounters section), pneumonia and costal chondritis, albuterol and an influenza
// vaccine, a chest x-ray, a urine test, a pulse, an allergy, and smoking. Asthma has no
// date in any form.
func TestAClinicalDocumentBecomesRows(t *testing.T) {
	t.Parallel()
	zipped, err := os.ReadFile("../../connectors/source/ccda/testdata/connectathon/cases.ndjson.gz")
	require.NoError(t, err)
	var patient struct{ Document string }
	require.NoError(t, json.Unmarshal(gunzip(t, zipped), &patient))
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		s.run(t)
		job := s.load(t, "Myra_Jones_v2.xml", []byte(patient.Document))
		require.Equal(t, ingest.WithProblems, job.State, job.Error)
		problems, err := s.Problems(t.Context(), job.ID, 0, 10)
		require.NoError(t, err)
		require.Equal(t, []ingest.Problem{{
			Line: 282, Path: "section[Problems].entry[2].act.entryRelationship[1].observation.onsetDateTime", Rule: "no-date",
		}}, problems)
		require.EqualValues(t, 1, job.Counts.ByType["Section 18776-5"], "the plan of treatment is counted, not read")
		counts := s.counts(t)
		require.Equal(t, map[omop.Table]int64{
			omop.PersonTable: 1, omop.VisitTable: 2, omop.ConditionTable: 2, omop.DrugTable: 2, omop.ProcedureTable: 1,
			omop.MeasurementTable: 2, omop.ObservationTable: 2, omop.DeathTable: 0, omop.PeriodTable: 1,
			omop.DeviceTable: 0, omop.SpecimenTable: 0, omop.VisitDetailTable: 0, omop.PayerPlanTable: 0,
			omop.LocationTable: 0, omop.CareSiteTable: 0, omop.ProviderTable: 0,
		}, counts)
		require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
			var gravity, low float64
			var pulse int
			require.NoError(t, tx.QueryRow(t.Context(), `SELECT value_as_number, range_low FROM measurement WHERE measurement_source_value = '5811-5'`).Scan(&gravity, &low))
			require.NoError(t, tx.QueryRow(t.Context(), `SELECT count(*) FROM measurement WHERE measurement_source_value = '8867-4' AND value_as_number = 80 AND unit_source_value = '/min'`).Scan(&pulse))
			require.Equal(t, []float64{1.015, 1.005}, []float64{gravity, low})
			require.Equal(t, 1, pulse)
			return nil
		}))

		again := s.load(t, "again.xml", []byte("<?xml version=\"1.0\"?>\n<!-- sent again -->"+patient.Document[len(`<?xml version="1.0" encoding="utf-8"?>`):]))
		require.Equal(t, ingest.WithProblems, again.State, again.Error)
		require.Zero(t, again.Counts.Stored+again.Counts.Replaced)
		require.Equal(t, counts, s.counts(t))
	})
}
