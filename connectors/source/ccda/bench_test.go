package ccda

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkRead reads HL7's example documents, of 30 to 190 kB.
func BenchmarkRead(b *testing.B) {
	documents, bytes := outsideCases(b, "examples/documents.ndjson.gz"), 0
	for _, d := range documents {
		bytes += len(d.Document)
	}
	b.SetBytes(int64(bytes))
	b.ReportAllocs()
	records := 0
	for b.Loop() {
		for _, d := range documents {
			for range Read(b.Context(), strings.NewReader(d.Document), Options{}) {
				records++
			}
		}
	}
	require.Positive(b, records)
	b.ReportMetric(float64(b.N*len(documents))/b.Elapsed().Seconds(), "documents/s")
	b.ReportMetric(float64(records)/b.Elapsed().Seconds(), "records/s")
}
