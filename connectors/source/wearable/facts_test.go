package wearable_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/connectors/source/observation"
	"github.com/trialmesh/trialmesh/connectors/source/wearable"
)

// read reads a document and returns its series and problems in order.
func read(t testing.TB, src io.Reader, opts fhir.Options) (all []*observation.Series, problems []*fhir.Problem) {
	t.Helper()
	for rec, err := range wearable.Read(t.Context(), src, opts) {
		if p, bad := fhir.AsProblem(err); bad {
			problems = append(problems, p)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, observation.Type, rec.Type)
		all = append(all, rec.Resource.(*observation.Series))
	}
	return all, problems
}

// document is a document with payloads of patient p.
func document(maker, zone string, payloads ...string) string {
	h := wearable.Header{Wearable: maker, Patient: "p", Timezone: zone}
	return h.Open() + strings.Join(payloads, ",") + wearable.Close
}

// facts are the points of a document in words, "code value unit at time", with the
// length where a value has an interval.
func facts(t testing.TB, doc string) (list, problems []string) {
	t.Helper()
	all, found := read(t, strings.NewReader(doc), fhir.Options{})
	lengths := map[string]map[int64]float64{}
	for _, s := range all {
		if s.System == wearable.SystemInterval {
			if lengths[s.Code] == nil {
				lengths[s.Code] = map[int64]float64{}
			}
			for i, at := range s.Times {
				lengths[s.Code][at] = s.Values[i]
			}
		}
	}
	for _, s := range all {
		for i, at := range s.Times {
			if s.System == wearable.SystemInterval {
				break
			}
			fact := fmt.Sprintf("%s %v %s at %s", s.Code, s.Values[i], s.Unit, time.UnixMilli(at).UTC().Format(time.RFC3339Nano))
			for _, of := range []string{s.System + "|" + s.Code, "sleep-episode", "physical-activity", "day"} {
				if length, ok := lengths[of][at]; ok {
					fact += " for " + strconv.FormatFloat(length, 'g', -1, 64) + " s"
					break
				}
			}
			list = append(list, fact)
		}
		if s.Missing > 0 {
			list = append(list, fmt.Sprintf("%s %d missing", s.Code, s.Missing))
		}
	}
	for _, p := range found {
		problems = append(problems, string(p.Rule)+" "+p.Path)
	}
	return list, problems
}

func payload(t testing.TB, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return string(raw)
}
