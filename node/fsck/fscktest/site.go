// Package fscktest makes small sites for tests of backups and checks: a database, raw
// copies and loads by the node's own ingest service.
package fscktest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/dataset"
	"github.com/trialmesh/trialmesh/localstore/jobs"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/series"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/ingest"
)

// RawKey is the name of the key file of a site's raw copies.
const RawKey = "raw.key"

// Site is a node as far as loads go, in a folder.
type Site struct {
	*ingest.Service
	Dir    string
	DB     *sqldb.DB
	Raw    *raw.Store
	Series *series.Store
}

// Open puts a site together over db and dir, which gets a key file if it has none.
func Open(ctx context.Context, db *sqldb.DB, dir string) (*Site, error) {
	s := &Site{Dir: dir, DB: db}
	key := filepath.Join(dir, RawKey)
	if _, err := os.Stat(key); os.IsNotExist(err) {
		if err := raw.CreateKey(key); err != nil {
			return nil, err
		}
	}
	var err error
	if s.Raw, err = raw.Open(raw.Config{Dir: filepath.Join(dir, "raw"), KeyFile: key}); err != nil {
		return nil, err
	}
	if err := jobs.Migrate(ctx, db); err != nil {
		return nil, err
	}
	store, err := omop.Open(ctx, db)
	if err != nil {
		return nil, err
	}
	if s.Series, err = series.Open(ctx, db, series.Config{}); err != nil {
		return nil, err
	}
	if _, err := dataset.Open(ctx, db); err != nil {
		return nil, err
	}
	words, err := vocab.Open(ctx, db)
	if err != nil {
		return nil, err
	}
	queue, err := jobs.New(jobs.Config{DB: db, Workers: 1})
	if err != nil {
		return nil, err
	}
	s.Service, err = ingest.Open(ctx, ingest.Config{
		DB: db, Store: store, Series: s.Series, Raw: s.Raw, Vocabulary: words, Jobs: queue, BatchRows: 10,
	})
	return s, err
}

// New opens a site in a folder of the test and loads a vocabulary of three concepts.
func New(t testing.TB, db *sqldb.DB) *Site {
	t.Helper()
	s, err := Open(t.Context(), db, t.TempDir())
	require.NoError(t, err)
	words, err := vocab.Open(t.Context(), db)
	require.NoError(t, err)
	_, err = words.Load(t.Context(), fstest.MapFS{
		"CONCEPT.csv": {Data: []byte("concept_id\tconcept_name\tdomain_id\tvocabulary_id\tconcept_class_id\tstandard_concept\tconcept_code\tvalid_start_date\tvalid_end_date\tinvalid_reason\n" +
			"3025315\tBody weight\tMeasurement\tLOINC\tClinical Observation\tS\t29463-7\t19700101\t20991231\t\n" +
			"9529\tkilogram\tUnit\tUCUM\tUnit\tS\tkg\t19700101\t20991231\t\n" +
			"9202\tOutpatient Visit\tVisit\tVisit\tVisit\tS\tOP\t19700101\t20991231\t\n")},
		"CONCEPT_RELATIONSHIP.csv": {Data: []byte("concept_id_1\tconcept_id_2\trelationship_id\tvalid_start_date\tvalid_end_date\tinvalid_reason\n")},
	})
	require.NoError(t, err)
	return s
}

// Accept accepts files and returns their jobs.
func (s *Site) Accept(t testing.TB, files ...string) []ingest.JobID {
	t.Helper()
	ids := make([]ingest.JobID, len(files))
	for i, text := range files {
		var err error
		_, ids[i], err = s.Service.Accept(t.Context(), fmt.Sprintf("file %d", i), strings.NewReader(text))
		require.NoError(t, err)
	}
	return ids
}

// Start does jobs until stop is called or the test ends.
func (s *Site) Start(t testing.TB) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	ended := false
	stop = func() {
		cancel()
		if !ended {
			ended = true
			require.NoError(t, <-done)
		}
	}
	t.Cleanup(stop)
	return stop
}

// Done waits until all jobs are over, merges time series and stops.
func (s *Site) Done(t testing.TB) {
	t.Helper()
	stop := s.Start(t)
	require.Eventually(t, func() bool {
		list, err := s.Jobs(t.Context(), 0, 1000)
		require.NoError(t, err)
		for _, j := range list {
			if !j.State.Ended() {
				return false
			}
			require.Equal(t, ingest.Completed, j.State, j.Error)
		}
		return true
	}, time.Minute, 5*time.Millisecond)
	stop()
	for {
		n, err := s.Series.Compact(t.Context())
		require.NoError(t, err)
		if n == 0 {
			return
		}
	}
}

// Person returns a file of a person who died: a visit, and weights of which the first
// is of the visit.
func Person(id string, weights int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `{"resourceType":"Patient","id":"%s","gender":"male","birthDate":"1950-01-02","deceasedDateTime":"2024-05-06T07:08:09Z"}`+"\n", id)
	fmt.Fprintf(&b, `{"resourceType":"Encounter","id":"e-%s","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/%s"},"period":{"start":"2020-01-01T10:00:00Z","end":"2020-01-01T11:00:00Z"}}`+"\n", id, id)
	visit := fmt.Sprintf(`,"encounter":{"reference":"Encounter/e-%s"}`, id)
	for i := range weights {
		fmt.Fprintf(&b, `{"resourceType":"Observation","id":"w-%s-%d","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"29463-7"}]},`+
			`"subject":{"reference":"Patient/%s"}%s,"effectiveDateTime":"2020-01-01T10:%02d:00Z","valueQuantity":{"value":%d.5,"system":"http://unitsofmeasure.org","code":"kg"}}`+"\n",
			id, i, id, visit, i%60, 60+i%40)
		visit = ""
	}
	return b.String()
}

// Pulse returns a document with a time series of a person.
func Pulse(person, source string, points int) string {
	var times, values strings.Builder
	for i := range points {
		comma := ","
		if i == 0 {
			comma = ""
		}
		fmt.Fprintf(&times, "%s%d", comma, 1772352000000+int64(i)*60000)
		fmt.Fprintf(&values, "%s%d", comma, 60+i%30)
	}
	return fmt.Sprintf(`{"source":"%s","observations":[{"person":"%s","system":"http://loinc.org","code":"8867-4","unit":"/min","times":[%s],"values":[%s]}]}`,
		source, person, times.String(), values.String())
}
