package fsck_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/fsck"
	"github.com/trialmesh/trialmesh/node/fsck/fscktest"
)

func check(t testing.TB, s *fscktest.Site) fsck.Report {
	t.Helper()
	report, err := fsck.Check(t.Context(), fsck.Config{DB: s.DB, Raw: s.Raw})
	require.NoError(t, err)
	return report
}

// loaded is a site with two persons and two time series.
func loaded(t testing.TB, db *sqldb.DB) *fscktest.Site {
	t.Helper()
	s := fscktest.New(t, db)
	s.Accept(t, fscktest.Person("a", 8), fscktest.Person("b", 2), fscktest.Pulse("a", "watch", 20), fscktest.Pulse("b", "band", 20))
	s.Done(t)
	return s
}

// exec runs a statement and requires that it changes one row.
func exec(t testing.TB, db *sqldb.DB, statement string, args ...any) {
	t.Helper()
	require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
		n, err := tx.Exec(t.Context(), statement, args...)
		require.EqualValues(t, 1, n, statement)
		return err
	}))
}

func one(t testing.TB, db *sqldb.DB, query string, args ...any) (id int64) {
	t.Helper()
	require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error { return tx.QueryRow(t.Context(), query, args...).Scan(&id) }))
	return id
}

func TestASoundNodeHasNoFindings(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := fscktest.New(t, db)
		require.Empty(t, check(t, s).Findings, "nothing is loaded")
		s.Accept(t, fscktest.Person("a", 8))
		require.Empty(t, check(t, s).Findings, "a job waits")
		s.Accept(t, fscktest.Pulse("a", "watch", 20))
		s.Done(t)
		_, _, _, err := s.Raw.Put(t.Context(), strings.NewReader("never acknowledged"), 100, raw.Origin{})
		require.NoError(t, err)
		report := check(t, s)
		require.Empty(t, report.Findings)
		require.True(t, report.OK())
		require.EqualValues(t, 2, report.Jobs)
		require.EqualValues(t, 12, report.Rows, "a person, a visit, weights, a death and a period")
		require.EqualValues(t, 20, report.Points)
		require.EqualValues(t, 2, report.RawFiles)
		require.EqualValues(t, len(fscktest.Person("a", 8))+len(fscktest.Pulse("a", "watch", 20)), report.RawBytes)
		require.EqualValues(t, 1, report.Unnamed)
	})
}

// TestConsentTreesAreAskedFor: what is wrong with them is among the findings.
func TestConsentTreesAreAskedFor(t *testing.T) {
	t.Parallel()
	s := fscktest.New(t, sqltest.SQLite(t))
	want := fsck.Finding{Rule: fsck.ConsentTree, Place: "trial glucose-1", Count: 3}
	report, err := fsck.Check(t.Context(), fsck.Config{DB: s.DB, Raw: s.Raw, Consents: func(context.Context, *sqldb.Tx) ([]fsck.Finding, error) {
		return []fsck.Finding{want}, nil
	}})
	require.NoError(t, err)
	require.Equal(t, []fsck.Finding{want}, report.Findings)
}

// TestEachDefectIsFoundAndNamed breaks a site in many places and compares all that is found.
func TestEachDefectIsFoundAndNamed(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := loaded(t, db)
		weights := make([]int64, 5)
		for i := range weights {
			weights[i] = one(t, db, "SELECT measurement_id FROM measurement WHERE visit_occurrence_id IS NULL ORDER BY 1 LIMIT 1 OFFSET ?", i)
		}
		exec(t, db, "DELETE FROM lineage WHERE row_id = ?", weights[0])
		exec(t, db, "DELETE FROM measurement WHERE measurement_id = ?", weights[1])
		exec(t, db, "UPDATE lineage SET load_id = 999999 WHERE row_id = ?", weights[2])
		exec(t, db, "UPDATE measurement SET person_id = 999999 WHERE measurement_id = ?", weights[3])
		exec(t, db, "UPDATE measurement SET visit_occurrence_id = 999999 WHERE measurement_id = ?", weights[4])
		exec(t, db, "UPDATE measurement SET provider_id = 999999 WHERE measurement_id = ?", weights[4])
		exec(t, db, "INSERT INTO quality (row_id, is_valid, is_outlier) VALUES (999999, FALSE, FALSE)")
		exec(t, db, "DELETE FROM lineage WHERE table_id = 8 AND row_id = (SELECT min(row_id) FROM lineage WHERE table_id = 8)")
		exec(t, db, "INSERT INTO lineage (row_id, row_key, table_id, content, load_id, pointer) SELECT 999998, ?, 77, content, load_id, pointer FROM lineage WHERE row_id = ?",
			[]byte("123456789012345678901234"), weights[4])

		chunk := one(t, db, "SELECT min(chunk_id) FROM series_chunk")
		exec(t, db, "UPDATE series_chunk SET body = ? WHERE chunk_id = ?", []byte("\x01not a body"), chunk)
		other := one(t, db, "SELECT max(chunk_id) FROM series_chunk")
		exec(t, db, "DELETE FROM series WHERE series_id = (SELECT series_id FROM series_chunk WHERE chunk_id = ?)", other)
		exec(t, db, "DELETE FROM series_load WHERE load_id = (SELECT max(load_id) FROM series_load)")
		exec(t, db, "UPDATE series SET person_id = 999999")
		exec(t, db, "INSERT INTO dataset (name, schema, missing, loaded_at) VALUES ('registry', '{}', '[]', '2026-11-22')")
		set := one(t, db, "SELECT dataset_id FROM dataset")
		exec(t, db, "INSERT INTO dataset_row (dataset_id, person_id, body) VALUES (?, 999999, ?)", set, []byte{})
		lone := one(t, db, "SELECT series_id FROM series")

		jobs := make([]int64, 4)
		digests := make([]raw.Digest, 4)
		for i := range jobs {
			jobs[i] = one(t, db, "SELECT job_id FROM ingest_job ORDER BY job_id LIMIT 1 OFFSET ?", i)
			var file string
			require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
				return tx.QueryRow(t.Context(), "SELECT file FROM ingest_job WHERE job_id = ?", jobs[i]).Scan(&file)
			}))
			var err error
			digests[i], err = raw.ParseDigest(file)
			require.NoError(t, err)
		}
		path := func(d raw.Digest) string { return filepath.Join(s.Dir, "raw", raw.Path(d)) }
		require.NoError(t, os.Remove(path(digests[0])))
		data, err := os.ReadFile(path(digests[1]))
		require.NoError(t, err)
		data[len(data)/2] ^= 1
		require.NoError(t, os.WriteFile(path(digests[1]), data, 0o600))
		require.NoError(t, os.Rename(path(digests[3]), path(digests[3])+"x"), "a name that is none")
		exec(t, db, "UPDATE ingest_job SET state = 'running' WHERE job_id = ?", jobs[2])
		exec(t, db, "DELETE FROM ingest_job WHERE job_id = ?", jobs[1])
		load := one(t, db, "SELECT load_id FROM load WHERE raw = ?", digests[1][:])

		report := check(t, s)
		require.ElementsMatch(t, []fsck.Finding{
			{Rule: fsck.NoLineage, Place: "measurement", Count: 1, Rows: []int64{weights[0]}},
			{Rule: fsck.NoRow, Place: "measurement", Count: 1, Rows: []int64{weights[1]}},
			{Rule: fsck.NoLoad, Place: "lineage", Count: 1},
			{Rule: fsck.UnknownPerson, Place: "measurement", Count: 1, Rows: []int64{weights[3]}},
			{Rule: fsck.UnknownVisit, Place: "measurement", Count: 1, Rows: []int64{weights[4]}},
			{Rule: fsck.UnknownSite, Place: "measurement", Count: 1, Rows: []int64{weights[4]}},
			{Rule: fsck.NoFinding, Place: "quality", Count: 1, Rows: []int64{999999}},
			{Rule: fsck.NoLineage, Place: "death", Count: 1},
			{Rule: fsck.NoRow, Place: "lineage", Count: 1},
			{Rule: "damaged-body", Place: "series_chunk", Count: 1, Rows: []int64{chunk}},
			{Rule: fsck.UnknownSeries, Place: "series_chunk", Count: 1, Rows: []int64{other}},
			{Rule: "point-no-load", Place: "series_chunk", Count: 1, Rows: []int64{other}},
			{Rule: fsck.UnknownPerson, Place: "series", Count: 1, Rows: []int64{lone}},
			{Rule: fsck.UnknownPerson, Place: "dataset_row", Count: 1, Rows: []int64{set}},
			{Rule: fsck.RawMissing, Place: "raw " + digests[0].String(), Count: 2, Jobs: jobs[:1]},
			{Rule: fsck.RawDamaged, Place: "raw " + digests[1].String(), Count: 1},
			{Rule: fsck.RawMissing, Place: "raw " + digests[3].String(), Count: 1, Jobs: jobs[3:4]},
			{Rule: fsck.NotQueued, Place: "ingest_job", Count: 1, Rows: jobs[2:3]},
			{Rule: fsck.Unacked, Place: "river_job", Count: 1, Rows: jobs[1:2]},
			{Rule: fsck.NoJob, Place: "load", Count: 1, Rows: []int64{load}},
		}, report.Findings)
		require.False(t, report.OK())
	})
}

func TestADamagedDatabaseIsAFinding(t *testing.T) {
	t.Parallel()
	s := loaded(t, sqltest.SQLite(t))
	require.NoError(t, s.DB.Write(t.Context(), func(tx *sqldb.Tx) error {
		for _, statement := range []string{"PRAGMA ignore_check_constraints = ON", "UPDATE lineage SET content = x'00' WHERE table_id = 1"} {
			if _, err := tx.Exec(t.Context(), statement); err != nil {
				return err
			}
		}
		return nil
	}))
	report := check(t, s)
	require.Equal(t, []fsck.Finding{{Rule: fsck.DamagedDatabase, Place: "CHECK constraint failed in lineage", Count: 2}}, report.Findings)

	path := filepath.Join(t.TempDir(), "damaged.db")
	require.NoError(t, s.DB.Backup(t.Context(), path))
	page := pageOf(t, path, "measurement_by_person")
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	copy(data[(page-1)*4096:page*4096], bytes.Repeat([]byte("damaged"), 4096))
	require.NoError(t, os.WriteFile(path, data, 0o600))
	s.DB = sqltest.Open(t, "sqlite:"+path)
	report = check(t, s)
	require.False(t, report.OK())
	for _, f := range report.Findings {
		require.Equal(t, fsck.DamagedDatabase, f.Rule)
	}
}

// pageOf is the number of the first page of a table or index, from 1.
func pageOf(t *testing.T, path, name string) (page int) {
	t.Helper()
	db, err := sqldb.Open(t.Context(), sqldb.Config{DSN: "sqlite:" + path})
	require.NoError(t, err)
	require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
		return tx.QueryRow(t.Context(), "SELECT rootpage FROM sqlite_schema WHERE name = ?", name).Scan(&page)
	}))
	require.NoError(t, db.Close())
	return page
}

func TestACheckEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := loaded(t, sqltest.SQLite(t))
	ctx, cancel := context.WithCancel(t.Context())
	_, err := fsck.Check(ctx, fsck.Config{DB: s.DB, Raw: s.Raw, Progress: func(p fsck.Progress) {
		if p.Doing == "raw copies" {
			cancel()
		}
	}})
	require.ErrorIs(t, err, context.Canceled)
}

// TestAMergedPersonIsSound: the death of a person who was merged is the survivor's, and
// its lineage has the name it came under.
func TestAMergedPersonIsSound(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		message := func(event, rest string) string {
			return "MSH|^~\\&|A|H|N|H|20260301080000||ADT^" + event + "|" + event + "|P|2.5.1\r" + rest + "\r"
		}
		pid := func(id, death string) string {
			return "PID|1||" + id + "^^^H1||Family^Given||19400101|F" + strings.Repeat("|", 21) + death
		}
		s := fscktest.New(t, db)
		s.Accept(t, message("A01", pid("old", "20250101|Y"))+message("A08", pid("new", ""))+message("A40", pid("new", "")+"\rMRG|old^^^H1"))
		s.Done(t)
		require.EqualValues(t, 1, one(t, db, "SELECT count(*) FROM person"))
		require.EqualValues(t, 1, one(t, db, "SELECT count(*) FROM death"))
		require.EqualValues(t, 1, one(t, db, "SELECT count(*) FROM merged_person"))
		require.Empty(t, check(t, s).Findings)
	})
}
