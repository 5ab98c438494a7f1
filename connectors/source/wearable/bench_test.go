package wearable_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/connectors/source/wearable"
)

// BenchmarkRead reads a day of a heart rate each second, as each maker writes it.
func BenchmarkRead(b *testing.B) {
	const n = 86_400
	var oura, fitbit, garmin strings.Builder
	for i := range n {
		comma := ","
		if i == 0 {
			comma = ""
		}
		clock := fmt.Sprintf("%02d:%02d:%02d", i/3600, i/60%60, i%60)
		fmt.Fprintf(&oura, `%s{"bpm":%d,"source":"awake","timestamp":"2026-03-01T%s+01:00"}`, comma, 50+i%50, clock)
		fmt.Fprintf(&fitbit, `%s{"time":%q,"value":%d}`, comma, clock, 50+i%50)
		fmt.Fprintf(&garmin, `%s[%d,%d]`, comma, 1772323200000+1000*int64(i), 50+i%50)
	}
	for maker, text := range map[string]string{
		"oura":   `{"data":[` + oura.String() + `]}`,
		"fitbit": `{"activities-heart":[{"dateTime":"2026-03-01","value":{}}],"activities-heart-intraday":{"datasetInterval":1,"datasetType":"second","dataset":[` + fitbit.String() + `]}}`,
		"garmin": `{"heartRateValues":[` + garmin.String() + `]}`,
	} {
		doc := document(maker, "Europe/Berlin", text)
		b.Run(maker, func(b *testing.B) {
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			for b.Loop() {
				for _, err := range wearable.Read(b.Context(), strings.NewReader(doc), fhir.Options{}) {
					require.NoError(b, err)
				}
			}
			b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "points/s")
		})
	}
}
