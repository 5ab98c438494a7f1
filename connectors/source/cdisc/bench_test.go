package cdisc

import (
	"bytes"
	"testing"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// BenchmarkRead reads 3,488 laboratory results in each container.
func BenchmarkRead(b *testing.B) {
	for _, kind := range []string{"xpt", "json", "ndjson"} {
		b.Run(kind, func(b *testing.B) {
			text := file(b, "testdata/msg/lb."+kind+".gz")
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				n := 0
				for range Read(b.Context(), bytes.NewReader(text), fhir.Options{}) {
					n++
				}
				if n != 3488 {
					b.Fatal(n)
				}
			}
		})
	}
}
