package fhir

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func BenchmarkRead(b *testing.B) {
	for name, data := range map[string][]byte{
		"bundle": unzip(b, "synthea/kidney.json.gz"),
		"ndjson": bytes.Repeat(unzip(b, "bulk/MedicationRequest.ndjson.gz"), 50),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				for _, err := range Read(b.Context(), bytes.NewReader(data), Options{}) {
					require.NoError(b, err)
					n++
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "resources/s")
		})
	}
}
