package ingest_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/jobs"
	"github.com/trialmesh/trialmesh/localstore/series"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/ingest"
	"github.com/trialmesh/trialmesh/node/mapping"
)

// pulses is a document with n points a second apart of each person.
func pulses(source string, n int, persons ...string) []byte {
	var doc bytes.Buffer
	fmt.Fprintf(&doc, `{"source":%q,"observations":[`, source)
	for i, p := range persons {
		if i > 0 {
			doc.WriteByte(',')
		}
		fmt.Fprintf(&doc, `{"person":%q,"system":"http://loinc.org","code":"8867-4","unit":"/min","times":[`, p)
		for k := range n {
			fmt.Fprintf(&doc, "%d,", 1772352000000+1000*int64(k))
		}
		fmt.Fprintf(&doc, `%d],"values":[%s72]}`, 1772352000000+1000*int64(n), strings.Repeat("71,", n))
	}
	doc.WriteString("]}")
	return doc.Bytes()
}

// points counts the points of a patient's pulse.
func (s *site) points(t testing.TB, patient string) (n int) {
	t.Helper()
	require.NoError(t, s.db.Read(t.Context(), func(tx *sqldb.Tx) error {
		person, err := s.store.PersonByKey(t.Context(), tx, mapping.PersonKey(patient))
		if err != nil {
			return err
		}
		variables, err := s.series.Variables(t.Context(), tx)
		if err != nil {
			return err
		}
		for id, v := range variables {
			require.Equal(t, series.Variable{ConceptID: v.ConceptID, System: "http://loinc.org", Code: "8867-4", Unit: "/min"}, v)
			for _, err := range s.series.Points(t.Context(), tx, person, id, math.MinInt64, math.MaxInt64) {
				if err != nil {
					return err
				}
				n++
			}
		}
		return nil
	}))
	return n
}

func TestSeriesBecomePointsOnce(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		s.run(t)
		s.load(t, "patients.ndjson", patients(3))
		const many = 130_000 // more than a batch of the store holds
		job := s.load(t, "pulse.json", pulses("ward-3", many, "p0", "p1"))
		require.Equal(t, ingest.Completed, job.State, job.Error)
		require.EqualValues(t, 2, job.Counts.ByType["Series"])
		require.EqualValues(t, 2*(many+1), job.Counts.Stored)
		require.Equal(t, many+1, s.points(t, "p0"))
		require.Zero(t, s.points(t, "p2"))

		// The same points in other bytes: nothing is there twice.
		var zipped bytes.Buffer
		w := gzip.NewWriter(&zipped)
		_, err := w.Write(pulses("ward-3", many, "p1", "p0"))
		require.NoError(t, err)
		require.NoError(t, w.Close())
		require.Equal(t, ingest.Completed, s.load(t, "again.json.gz", zipped.Bytes()).State)
		for merged := int64(1); merged > 0; {
			merged, err = s.series.Compact(t.Context())
			require.NoError(t, err)
		}
		require.Equal(t, many+1, s.points(t, "p1"))
	})
}

func TestABadSeriesKeepsNoOtherOut(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t), func(_ *ingest.Config, q *jobs.Config) { q.Attempts = 1 })
	s.run(t)
	s.load(t, "patients.ndjson", patients(1))
	doc := `{"source":"s","observations":[
		{"person":"nobody","code":"c","time":1,"value":1},
		{"person":"p0","code":"8867-4","system":"http://loinc.org","unit":"beats","time":1,"value":1},
		{"person":"p0","code":"8867-4","system":"http://loinc.org","unit":"/min","times":[1,999999999999999],"values":[1,2]},
		{"person":"p0"}]}`
	job := s.load(t, "mixed.json", []byte(doc))
	require.Equal(t, ingest.WithProblems, job.State, job.Error)
	require.EqualValues(t, 1, job.Counts.Stored)
	require.EqualValues(t, 4, job.Counts.Rejected)
	problems, err := s.Problems(t.Context(), job.ID, 0, 10)
	require.NoError(t, err)
	got := map[string]string{}
	for _, p := range problems {
		got[p.Path] = p.Rule
	}
	require.Equal(t, map[string]string{
		"observations[0].person":    "unknown-person",
		"observations[1].unit":      ingest.RuleInvalidUnit,
		"observations[2].values[1]": "time-range",
		"observations[3].code":      "missing-field",
	}, got)
	require.Equal(t, 1, s.points(t, "p0"))
}
