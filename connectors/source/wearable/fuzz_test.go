package wearable_test

import (
	"bytes"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/connectors/source/observation"
	"github.com/trialmesh/trialmesh/connectors/source/wearable"
)

// FuzzRead states what holds for any input: a series has a person, a code, a unit, and
// a value for each time, once, of a year that may be; and no problem has a byte that
// only the input has.
func FuzzRead(f *testing.F) {
	for _, maker := range []string{"fitbit", "google", "oura", "garmin"} {
		files, err := filepath.Glob(filepath.Join("testdata", maker, "*.json"))
		require.NoError(f, err)
		for _, file := range files {
			if text := payload(f, maker+"/"+filepath.Base(file)); len(text) < 5000 {
				f.Add([]byte(document(maker, "UTC", text)))
			}
		}
	}
	for _, seed := range []string{
		document("openmhealth", "", dataPoint("heart-rate/1.0", `{"heart_rate":{"value":60,"unit":"beats/min"},"effective_time_frame":{"date_time":"2026-03-01T08:30:00+01:00"}}`)),
		document("withings", "", `{"status":0,"body":{"measuregrps":[{"attrib":0,"category":1,"date":1772352000,"measures":[{"type":1,"unit":-3,"value":74126}]}]}}`),
		document("withings", "", `{"status":0,"body":{"series":{"1772352000":{"duration":60,"steps":21}}}}`),
		document("google", "UTC", `{"dataPoints":[{"dailyRestingHeartRate":{"date":{"year":2026,"month":3,"day":1},"beatsPerMinute":"52"}}]}`),
		`{"wearable":"oura"`, "\x1f\x8b", "1e700", `{"wearable":"oura","patient":"p","payloads":[[[`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for rec, err := range wearable.Read(t.Context(), bytes.NewReader(data), fhir.Options{MaxTotal: 1 << 20}) {
			if err != nil {
				p, bad := fhir.AsProblem(err)
				require.True(t, bad, "%v", err)
				require.False(t, strings.ContainsFunc(p.Error(), func(r rune) bool { return r < ' ' || r > '~' }))
				continue
			}
			s := rec.Resource.(*observation.Series)
			require.NotEmpty(t, s.Person)
			require.NotEmpty(t, s.Code)
			require.NotEmpty(t, s.Unit)
			require.Len(t, s.Values, len(s.Times))
			seen := map[int64]bool{}
			for i, at := range s.Times {
				require.False(t, math.IsNaN(s.Values[i]) || math.IsInf(s.Values[i], 0))
				require.False(t, seen[at])
				seen[at] = true
				require.Less(t, max(at, -at), int64(240*366*24*3600*1000))
			}
		}
	})
}
