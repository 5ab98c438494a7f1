package ingest_test

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/localstore/jobs"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/ingest"
)

// secret stands in the records that are refused; no error, problem or log line may
// repeat it.
const secret = "Z3cr3t"

const patient = `{"resourceType":"Patient","id":"p1","gender":"female","birthDate":"1970-02-03"}`

// weight is a good record.
func weight(id string) string {
	return `{"resourceType":"Observation","id":"` + id + `","status":"final","subject":{"reference":"Patient/p1"},` +
		`"code":{"coding":[{"system":"http://loinc.org","code":"29463-7"}]},"effectiveDateTime":"2020-01-0` + id[1:] + `",` +
		`"valueQuantity":{"value":70.5,"system":"http://unitsofmeasure.org","code":"kg"}}`
}

// bundle puts resources into a collection, one a line: the first is on line 2.
func bundle(resources ...string) string {
	entries := make([]string, len(resources))
	for i, r := range resources {
		entries[i] = `{"resource":` + r + `}`
	}
	return "{\"resourceType\":\"Bundle\",\"type\":\"collection\",\"entry\":[\n" + strings.Join(entries, ",\n") + "\n]}"
}

func TestBadRecordsAreListedAndGoodOnesStored(t *testing.T) {
	t.Parallel()
	bad := weight("w2")
	lines := func(record string) string {
		return strings.Join([]string{patient, weight("w1"), record, weight("w3")}, "\n") + "\n"
	}
	inBundle := func(record string) string { return bundle(patient, weight("w1"), record, weight("w3")) }
	cases := map[string]struct {
		data string
		want ingest.Problem // Detail is not compared
		rows int64          // of measurement; 0 stands for the two good records
	}{
		"a bad line of NDJSON":       {data: lines(`{"resourceType":"Observation","id":"w2","note":"` + secret + `",}`), want: ingest.Problem{Line: 3, Rule: "malformed-json"}},
		"malformed":                  {data: inBundle(strings.Replace(bad, `70.5`, `70.5.`+secret, 1)), want: ingest.Problem{Line: 4, Path: "entry[2].resource.valueQuantity", Rule: "malformed-json"}},
		"truncated":                  {data: strings.TrimSuffix(inBundle(bad), weight("w3")+"}\n]}") + `{"resourceType":"Obs`, want: ingest.Problem{Line: 5, Rule: "truncated"}, rows: 2},
		"oversized":                  {data: inBundle(strings.Replace(bad, `"w2"`, `"w2","note":"`+strings.Repeat(secret, 1000)+`"`, 1)), want: ingest.Problem{Line: 4, Path: "entry[2]", Rule: "too-large"}},
		"wrong type":                 {data: inBundle(strings.Replace(bad, `70.5`, `"`+secret+`"`, 1)), want: ingest.Problem{Line: 4, Path: "entry[2].resource.valueQuantity.value", Rule: "wrong-type"}},
		"duplicate key":              {data: inBundle(strings.Replace(bad, `"w2"`, `"w2","id":"`+secret+`"`, 1)), want: ingest.Problem{Line: 4, Path: "entry[2].resource.id", Rule: "duplicate-key"}},
		"deeply nested":              {data: inBundle(strings.Replace(bad, `"w2"`, `"w2","x":`+strings.Repeat("[", 100)+`"`+secret+`"`+strings.Repeat("]", 100), 1)), want: ingest.Problem{Line: 4, Rule: "too-deep"}},
		"invalid UTF-8":              {data: inBundle(strings.Replace(bad, `29463-7`, secret+"\xff", 1)), want: ingest.Problem{Line: 4, Rule: "invalid-utf8"}},
		"an impossible date":         {data: inBundle(strings.Replace(bad, `2020-01-02`, `2020-02-31`, 1)), want: ingest.Problem{Line: 4, Path: "entry[2].resource.effectiveDateTime", Rule: "invalid-time"}},
		"no date":                    {data: inBundle(strings.Replace(bad, `effectiveDateTime`, secret, 1)), want: ingest.Problem{Line: 4, Path: "entry[2].resource.effectiveDateTime", Rule: "no-date"}},
		"nobody's record":            {data: inBundle(strings.Replace(bad, `Patient/p1`, `Device/`+secret, 1)), want: ingest.Problem{Line: 4, Path: "entry[2].resource.subject", Rule: "no-person"}},
		"a person who never came":    {data: inBundle(strings.Replace(bad, `Patient/p1`, `Patient/`+secret, 1)), want: ingest.Problem{Line: 4, Path: "entry[2]", Rule: "unknown-person"}},
		"the same, line by line":     {data: lines(strings.Replace(bad, `Patient/p1`, `Patient/`+secret, 1)), want: ingest.Problem{Line: 3, Rule: "unknown-person"}},
		"a patient without a birth":  {data: inBundle(`{"resourceType":"Patient","id":"` + secret + `"}`), want: ingest.Problem{Line: 4, Path: "entry[2].resource.birthDate", Rule: "no-birth-date"}},
		"a document of another kind": {data: inBundle(bad) + "\n" + `<html>` + secret, want: ingest.Problem{Line: 7, Rule: "malformed-json"}, rows: 3},
	}
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		log := &buffer{}
		s := newSite(t, db, func(c *ingest.Config, q *jobs.Config) {
			c.Reader = fhir.Options{MaxRecord: 4 << 10}
			c.Log = slog.New(slog.NewTextHandler(log, nil))
			q.Log = c.Log
		})
		s.run(t)
		for name, c := range cases {
			before := s.counts(t)
			// A person of its own keeps the cases apart.
			own := fmt.Sprintf("p%x", name)
			job := s.load(t, name, []byte(strings.ReplaceAll(strings.ReplaceAll(c.data, `Patient/p1`, `Patient/`+own), `"p1"`, `"`+own+`"`)))
			require.Equal(t, ingest.WithProblems, job.State, "%s: %s", name, job.Error)
			require.EqualValues(t, 1, job.Counts.Rejected, name)
			list, err := s.Problems(t.Context(), job.ID, 0, 100)
			require.NoError(t, err)
			require.Len(t, list, 1, name)
			require.NotContains(t, fmt.Sprint(list), secret, name)
			require.NotContains(t, fmt.Sprint(job.Counts), secret, name)
			list[0].Detail = ""
			if c.want.Path == "" {
				list[0].Path = ""
			}
			require.Equal(t, c.want, list[0], name)
			after := s.counts(t)
			require.Equal(t, cmp.Or(c.rows, 2), after[omop.MeasurementTable]-before[omop.MeasurementTable], "%s: the good records", name)
			require.EqualValues(t, 1, after[omop.PersonTable]-before[omop.PersonTable], name)
		}
		require.NotContains(t, log.String(), secret)
	})
}

// TestFileWithNothingInItIsNoSuccess: an export that broke must not look loaded.
func TestFileWithNothingInItIsNoSuccess(t *testing.T) {
	t.Parallel()
	var zipped bytes.Buffer
	require.NoError(t, gzip.NewWriter(&zipped).Close())
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		s.run(t)
		_, _, err := s.Accept(t.Context(), "f", strings.NewReader(""))
		require.ErrorIs(t, err, ingest.ErrEmpty)
		list, err := s.Jobs(t.Context(), 0, 10)
		require.NoError(t, err)
		require.Empty(t, list)
		for name, data := range map[string]string{
			"white space": " \n\t\r\n", "a byte order mark": "\xef\xbb\xbf\n", "nothing, zipped": zipped.String(),
			"an empty bundle": bundle(),
		} {
			job := s.load(t, name, []byte(data))
			require.Equal(t, ingest.WithProblems, job.State, name)
			require.EqualValues(t, 1, job.Counts.Rejected, name)
			problems, err := s.Problems(t.Context(), job.ID, 0, 10)
			require.NoError(t, err)
			require.Len(t, problems, 1, name)
			require.Equal(t, ingest.RuleNoRecord, problems[0].Rule, name)
		}
		require.Zero(t, sum(s.counts(t)))
	})
}

func TestNameHasABound(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t))
	name := strings.Repeat("é", ingest.MaxName/2) + "x"
	job, err := s.Job(t.Context(), s.accept(t, name, []byte(patient)))
	require.NoError(t, err)
	require.Equal(t, name, job.Name)
	_, _, err = s.Accept(t.Context(), name+"x", strings.NewReader(patient))
	require.ErrorIs(t, err, ingest.ErrName)
}

// buffer collects the log of several goroutines.
type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
