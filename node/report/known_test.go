package report_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/table"
	"github.com/trialmesh/trialmesh/localstore/jobs"
	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/series"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/ingest"
	"github.com/trialmesh/trialmesh/node/report"
)

// gibleed are the tables of 55 persons of Eunomia's GiBleed, with what Achilles finds
// in them; its ORIGIN.md says how.
const gibleed = "../../connectors/source/cdm/testdata/gibleed"

// loader loads files into a site.
type loader struct {
	*ingest.Service
	t testing.TB
}

func newLoader(t testing.TB, s *site, mappings ...string) loader {
	t.Helper()
	ctx, dir := t.Context(), t.TempDir()
	require.NoError(t, raw.CreateKey(filepath.Join(dir, "raw.key")))
	files, err := raw.Open(raw.Config{Dir: filepath.Join(dir, "raw"), KeyFile: filepath.Join(dir, "raw.key")})
	require.NoError(t, err)
	points, err := series.Open(ctx, s.db, series.Config{})
	require.NoError(t, err)
	words, err := vocab.Open(ctx, s.db)
	require.NoError(t, err)
	require.NoError(t, jobs.Migrate(ctx, s.db))
	queue, err := jobs.New(jobs.Config{DB: s.db})
	require.NoError(t, err)
	var set *table.Set
	for _, folder := range mappings {
		set, err = table.LoadSet(os.DirFS(folder))
		require.NoError(t, err)
	}
	loads, err := ingest.Open(ctx, ingest.Config{Tables: set, DB: s.db, Store: s.store, Series: points, Raw: files, Vocabulary: words, Jobs: queue})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- loads.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	return loader{loads, t}
}

// load loads a file and returns the report of the load.
func (l loader) load(name string, content []byte) report.Load {
	l.t.Helper()
	_, id, err := l.Accept(l.t.Context(), name, bytes.NewReader(content))
	require.NoError(l.t, err)
	var job ingest.Job
	require.Eventually(l.t, func() bool {
		job, err = l.Job(l.t.Context(), id)
		require.NoError(l.t, err)
		return job.State.Ended()
	}, time.Minute, 2*time.Millisecond)
	listed, err := l.Problems(l.t.Context(), id, 0, 1000)
	require.NoError(l.t, err)
	return report.OfLoad(job, listed)
}

// importCDM loads the tables of a folder and returns the reports by table.
func (l loader) importCDM(folder string) map[string]report.Load {
	l.t.Helper()
	out := map[string]report.Load{}
	for _, table := range []string{
		"person", "observation_period", "death", "visit_occurrence", "condition_occurrence", "drug_exposure", "procedure_occurrence", "measurement", "observation",
	} {
		content, err := os.ReadFile(filepath.Join(folder, table+".csv.gz"))
		require.NoError(l.t, err)
		out[table] = l.load(table+".csv.gz", content)
	}
	return out
}

// achilles reads aggregates without strata, and the first of those by strata.
func achilles(t testing.TB, file string) map[string]int64 {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	plain, err := gzip.NewReader(f)
	require.NoError(t, err)
	rows, err := csv.NewReader(plain).ReadAll()
	require.NoError(t, err)
	out := map[string]int64{}
	for _, row := range rows[1:] {
		n, err := strconv.ParseFloat(row[len(row)-1], 64)
		require.NoError(t, err)
		out[row[0]] += int64(n)
	}
	return out
}

// comparable are the analyses of Achilles that are a check here. It counts the rows of
// a table in observation (01) and out of it (10).
var comparable = []struct{ check, violations, inside, outside string }{
	{"person.no-observation-period", "", "1", ""},
	{"observation_period.end-before-start", "115", "", ""},
	{"visit_occurrence.orphan-person", "207", "201", "208"},
	{"visit_occurrence.outside-period", "208", "201", "208"},
	{"condition_occurrence.orphan-person", "409", "401", "410"},
	{"condition_occurrence.outside-period", "410", "401", "410"},
	{"condition_occurrence.end-before-start", "411", "", ""},
	{"procedure_occurrence.orphan-person", "609", "601", "610"},
	{"procedure_occurrence.outside-period", "610", "601", "610"},
	{"drug_exposure.orphan-person", "709", "701", "710"},
	{"drug_exposure.outside-period", "710", "701", "710"},
	{"drug_exposure.end-before-start", "711", "701", "710"},
	{"observation.orphan-person", "809", "801", "810"},
	{"observation.outside-period", "810", "801", "810"},
	{"measurement.orphan-person", "1809", "1801", "1810"},
	{"measurement.outside-period", "1810", "1801", "1810"},
	{"measurement.no-value", "1821", "1801", "1810"}, // no value is a concept
}

// TestChecksFindWhatAchillesFinds compares on SQLite; that the engines agree is
// TestEachDefectIsFoundByItsCheck's.
func TestChecksFindWhatAchillesFinds(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t))
	loads := newLoader(t, s).importCDM(gibleed)
	r := s.report()
	want := achilles(t, filepath.Join(gibleed, "expected.csv.gz"))
	compare(t, r, want)
	require.EqualValues(t, 55, find(t, r, "person.unknown-gender").Denominator)

	// What the loads found is in their reports.
	orphans := loads["observation_period"]
	require.Equal(t, want["118"], orphans.Rejected)
	require.Equal(t, []report.LoadRule{
		{Rule: "unknown-person", Category: report.Conformance, Subcategory: report.Relational, Severity: report.Reject, Outcome: report.NotStored, Count: want["118"]},
	}, only(orphans.Rules, "unknown-person"))
	require.Zero(t, orphans.Unlisted)
	for table, analysis := range map[string]string{"condition_occurrence": "413", "procedure_occurrence": "613", "drug_exposure": "713", "observation": "813", "measurement": "1813"} {
		found := only(loads[table].Rules, "unknown-visit")
		require.Len(t, found, 1, table)
		require.Equal(t, want[analysis], found[0].Count, table)
		require.Equal(t, report.Relational, found[0].Subcategory)
	}
}

// TestRepeatedSubjectsAreNamed loads DM of the CDISC pilot as one project published it:
// 400 rows, of which 306 subjects and the rest repeated rows, one of them a fragment.
func TestRepeatedSubjectsAreNamed(t *testing.T) {
	t.Parallel()
	const folder = "../../connectors/source/table/testdata/sdtm"
	s := newSite(t, sqltest.SQLite(t))
	content, err := os.ReadFile(filepath.Join(folder, "dm.csv.gz"))
	require.NoError(t, err)
	l := newLoader(t, s, folder).load("dm.csv.gz", content)
	var unique int64
	for _, r := range l.Rules {
		if r.Subcategory == report.Uniqueness && r.Outcome == report.NotStored {
			unique += r.Count
		}
	}
	require.EqualValues(t, 93, unique)
	require.EqualValues(t, 306, find(t, s.report(), "person.unknown-gender").Denominator)
}

func compare(t testing.TB, r report.Report, want map[string]int64) {
	t.Helper()
	for _, c := range comparable {
		check := find(t, r, c.check)
		if c.violations != "" {
			require.Equal(t, want[c.violations], check.Violations, c.check)
		}
		if c.inside != "" {
			require.Equal(t, want[c.inside]+want[c.outside], check.Denominator, c.check)
		}
	}
}

func only(list []report.LoadRule, rule string) (out []report.LoadRule) {
	for _, r := range list {
		if r.Rule == rule {
			out = append(out, r)
		}
	}
	return out
}

// TestAWholeCDMAgainstAchilles compares with what Achilles has published of Eunomia's
// GiBleed, if TRIALMESH_GIBLEED names the folder of its 40 files.
func TestAWholeCDMAgainstAchilles(t *testing.T) {
	folder := os.Getenv("TRIALMESH_GIBLEED")
	if folder == "" {
		t.Skip("TRIALMESH_GIBLEED names no folder")
	}
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		newLoader(t, s).importCDM(folder)
		began := time.Now()
		r := s.report()
		t.Logf("%d checks in %s", len(r.Checks), time.Since(began))
		compare(t, r, achilles(t, filepath.Join(folder, "achilles_results.csv.gz")))
		for _, c := range r.Checks {
			if c.Violations > 0 {
				t.Logf("%s: %d of %d, passed %t", c.ID, c.Violations, c.Denominator, c.Passed)
			}
		}
		if page := os.Getenv("TRIALMESH_QUALITY_PAGE"); page != "" {
			f, err := os.Create(page)
			require.NoError(t, err)
			require.NoError(t, report.WritePage(f, report.Page{Report: &r, Standalone: true}))
			require.NoError(t, f.Close())
		}
	})
}
