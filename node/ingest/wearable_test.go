package ingest_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/wearable"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/ingest"
	"github.com/trialmesh/trialmesh/node/mapping"
)

// worn are one answer of each maker and what it says: a value of one variable.
var worn = map[string]struct {
	zone, payload, code, unit string
	value                     float64
	at                        string
}{
	"fitbit":      {"Europe/Berlin", `{"activities-steps":[{"dateTime":"2026-03-01","value":"9206"},{"dateTime":"2026-03-02","value":"0"}]}`, "41950-7", "{steps}/(24.h)", 9206, "2026-02-28T23:00:00Z"},
	"oura":        {"", `{"data":[{"bpm":60,"source":"sleep","timestamp":"2026-03-01T02:03:04+01:00"}],"next_token":null}`, "8867-4", "/min", 60, "2026-03-01T01:03:04Z"},
	"garmin":      {"", `{"calendarDate":"2026-03-01","heartRateValues":[[1772352000000,71],[1772352120000,null]]}`, "8867-4", "/min", 71, "2026-03-01T08:00:00Z"},
	"google":      {"", `{"point":[{"dataTypeName":"com.google.weight","startTimeNanos":"1772352000000000000","endTimeNanos":"1772352000000000000","value":[{"fpVal":72.5}]}]}`, "29463-7", "kg", 72.5, "2026-03-01T08:00:00Z"},
	"withings":    {"", `{"status":0,"body":{"measuregrps":[{"attrib":0,"category":1,"date":1772352000,"measures":[{"type":10,"unit":0,"value":121}]}]}}`, "8480-6", "mm[Hg]", 121, "2026-03-01T08:00:00Z"},
	"openmhealth": {"", `{"header":{"id":"1","creation_date_time":"2026-03-01T09:00:00Z","schema_id":{"namespace":"omh","name":"body-temperature","version":"2.0"}},"body":{"body_temperature":{"value":98.6,"unit":"F"},"effective_time_frame":{"date_time":"2026-03-01T08:00:00Z"}}}`, "8310-5", "Cel", 37, "2026-03-01T08:00:00Z"},
}

// TestWhatWearablesSayIsReadBack: each maker's value comes back from the store with
// its unit and time, and of the patient that the document names.
func TestWhatWearablesSayIsReadBack(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		s.run(t)
		s.load(t, "patients.ndjson", patients(2))
		missing := int64(0)
		for maker, w := range worn {
			h := wearable.Header{Wearable: maker, Patient: "p1", Timezone: w.zone}
			job := s.load(t, maker+".json", []byte(h.Open()+w.payload+wearable.Close))
			require.Equal(t, ingest.Completed, job.State, "%s %s", maker, job.Error)
			missing += job.Counts.Findings["missing-value"]
			at, err := time.Parse(time.RFC3339, w.at)
			require.NoError(t, err)
			require.Contains(t, s.seriesOf(t, "p1"), point{maker, w.code, w.unit, at.UnixMilli(), w.value})
		}
		require.EqualValues(t, 2, missing, "an unworn day and an unworn minute")
		require.Empty(t, s.seriesOf(t, "p0"))

		h := wearable.Header{Wearable: "oura", Patient: "nobody"}
		job := s.load(t, "nobody.json", []byte(h.Open()+worn["oura"].payload+wearable.Close))
		problems, err := s.Problems(t.Context(), job.ID, 0, 10)
		require.NoError(t, err)
		require.Len(t, problems, 1)
		require.Equal(t, "unknown-person", problems[0].Rule)
		require.Zero(t, job.Counts.Stored)
	})
}

// point is a point of a series with what it means.
type point struct {
	source, code, unit string
	at                 int64
	value              float64
}

// seriesOf returns all points of a patient, but not the lengths of intervals.
func (s *site) seriesOf(t testing.TB, patient string) (all []point) {
	t.Helper()
	require.NoError(t, s.db.Read(t.Context(), func(tx *sqldb.Tx) error {
		person, err := s.store.PersonByKey(t.Context(), tx, mapping.PersonKey(patient))
		if err != nil {
			return err
		}
		sources, err := s.series.Sources(t.Context(), tx)
		if err != nil {
			return err
		}
		variables, err := s.series.Variables(t.Context(), tx)
		if err != nil {
			return err
		}
		for id, v := range variables {
			for p, err := range s.series.Points(t.Context(), tx, person, id, math.MinInt64, math.MaxInt64) {
				if err != nil {
					return err
				}
				if v.System != wearable.SystemInterval {
					all = append(all, point{sources[p.Source], v.Code, v.Unit, p.Time, p.Value})
				}
			}
		}
		return nil
	}))
	return all
}
