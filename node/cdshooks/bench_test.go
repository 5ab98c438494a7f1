package cdshooks_test

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/cdshooks"
	"github.com/trialmesh/trialmesh/node/mapping"
	"github.com/trialmesh/trialmesh/node/screen"
	"github.com/trialmesh/trialmesh/simulations/testdata"
)

// The size of the store and of the rules of the benchmark.
const (
	copiesOfPatients = 4 // of 266, each under ids of its own
	trialsOfSite     = 20
)

// What the trials are about: viral sinusitis, pharyngitis, bronchitis and diabetes; and
// body height, which is measured of everybody.
var conditions = []int64{40481087, 4112343, 260139, diabetes}

const height = 3036277

// BenchmarkHook measures one call of patient-view, from the signed request to the answer,
// over a store of 1,064 patients of Synthea and 20 trials; p95 is what EHRs wait for.
func BenchmarkHook(b *testing.B) {
	for name, open := range map[string]func(testing.TB) *sqldb.DB{"sqlite": sqltest.SQLite, "postgres": sqltest.Postgres} {
		b.Run(name, func(b *testing.B) { benchmarkHook(b, open(b)) })
	}
}

func benchmarkHook(b *testing.B, db *sqldb.DB) {
	s := newSite(b, db)
	s.register(cdshooks.Client{Issuer: issuer, Keys: theEHR().public(b)})
	ids := s.synthea(b)
	for i := range trialsOfSite {
		has, hasNot := conditions[i%4], conditions[(i+1)%4]
		r, err := screen.Parse(fmt.Appendf(nil, `{"trial":"trial-%02d","title":"A trial","contact":"Office","link":"https://trials.example/x","criteria":[
			{"name":"Has","cohort":%s},{"name":"Measured","cohort":%s},{"name":"Has not","exclude":true,"cohort":%s}]}`,
			i, cohort("ConditionOccurrence", has), cohort("Measurement", height), cohort("ConditionOccurrence", hasNot)))
		require.NoError(b, err)
		require.NoError(b, s.rules.Add(b.Context(), r, s.now))
	}
	var took []time.Duration
	calls, cards := 0, 0
	for b.Loop() {
		b.StopTimer()
		token := theEHR().token(b, s.now, nil, object{"aud": base + viewPath})
		body := view(object{"patientId": ids[calls%len(ids)]}, nil)
		calls++
		b.StartTimer()
		began := time.Now()
		a := s.send("POST", viewPath, body, token)
		took = append(took, time.Since(began))
		if a.status != 200 {
			b.Fatal(a.body)
		}
		cards += strings.Count(a.body, `"indicator"`)
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[calls*95/100].Microseconds())/1000, "p95-ms")
	b.ReportMetric(float64(cards)/float64(calls), "cards/op")
}

// synthea stores the patients of the test data several times and returns their ids.
func (s *site) synthea(b *testing.B) (ids []string) {
	b.Helper()
	dir := b.TempDir()
	require.NoError(b, testdata.ExtractVocabulary(dir))
	words, err := vocab.Open(b.Context(), s.db)
	require.NoError(b, err)
	_, err = words.Load(b.Context(), os.DirFS(dir))
	require.NoError(b, err)
	mapper := mapping.New(words)
	for _, h := range testdata.Hospitals() {
		patients := h.PatientIDs()
		next := 0
		for f, err := range h.Files(b.Context()) {
			require.NoError(b, err)
			if f.Infrastructure() {
				continue
			}
			own := patients[next]
			next++
			for i := range copiesOfPatients {
				id := fmt.Sprintf("%x%s", i, own[1:])
				ids = append(ids, id)
				s.store(b, mapper, bytes.ReplaceAll(f.Data, []byte(own), []byte(id)))
			}
		}
	}
	return ids
}

func (s *site) store(b *testing.B, mapper *mapping.Mapper, bundle []byte) {
	b.Helper()
	batch := omop.Batch{Raw: [32]byte{1}, Mapper: mapping.Version, At: start}
	for record, err := range fhir.Read(b.Context(), bytes.NewReader(bundle), fhir.Options{}) {
		require.NoError(b, err)
		_, err := mapper.Map(b.Context(), record, &batch)
		require.NoError(b, err)
	}
	mapping.Periods(&batch)
	require.NoError(b, s.db.Write(b.Context(), func(tx *sqldb.Tx) error {
		_, err := s.people.Put(b.Context(), tx, batch)
		return err
	}))
}
