package ingest_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/ingest"
)

// TestAStreamOfHL7MessagesBecomesRows loads the 1,013 messages of Google's Simulated
// Hospital. What it holds was counted in its text: 610 ORU, 400 ADT, 2 MDM, 1 A34.
func TestAStreamOfHL7MessagesBecomesRows(t *testing.T) {
	t.Parallel()
	stream, err := os.ReadFile("../../connectors/source/hl7v2/testdata/simhospital/messages.out.gz")
	require.NoError(t, err)
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		s.run(t)
		job := s.load(t, "messages.out.gz", stream)
		require.Equal(t, ingest.Completed, job.State, job.Error)
		require.EqualValues(t, 1013, job.Counts.ByType["MessageHeader"])
		require.EqualValues(t, 610, job.Counts.ByType["DiagnosticReport"])
		require.EqualValues(t, 1, job.Counts.Findings["merged"])
		counts := s.counts(t)
		require.EqualValues(t, 3323, counts[omop.MeasurementTable]+counts[omop.ObservationTable]-job.Counts.ByType["AllergyIntolerance"],
			"as many results as OBX segments, each once")
		require.Equal(t, job.Counts.Stored, sum(counts)-counts[omop.PeriodTable]+1, "a person was merged with another")

		again := s.load(t, "messages.hl7", gunzip(t, stream))
		require.Equal(t, ingest.Completed, again.State, again.Error)
		require.Zero(t, again.Counts.Stored)
		require.Equal(t, counts, s.counts(t))
	})
}

func gunzip(t *testing.T, zipped []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(zipped))
	require.NoError(t, err)
	plain, err := io.ReadAll(r)
	require.NoError(t, err)
	return plain
}
