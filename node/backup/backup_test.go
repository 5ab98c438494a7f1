package backup_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/backup"
	"github.com/trialmesh/trialmesh/node/fsck"
	"github.com/trialmesh/trialmesh/node/fsck/fscktest"
)

var moment = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

// last is the file of a site without which it would not run.
const last = "node.key"

// keys returns a recipient and who can open what is encrypted to it.
func keys(t testing.TB) ([]backup.Recipient, []backup.Identity) {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	to, err := backup.ParseRecipients("# mine\n" + key.Recipient().String() + "\n")
	require.NoError(t, err)
	of, err := backup.ParseIdentities(strings.NewReader(key.String() + "\n"))
	require.NoError(t, err)
	return to, of
}

// newSite is a site with the files of a node beside its data.
func newSite(t testing.TB, db *sqldb.DB) *fscktest.Site {
	t.Helper()
	s := fscktest.New(t, db)
	for name, text := range map[string]string{
		last: "secret", "node.yaml": "listen: 127.0.0.1:0\n", "mappings/lab.yaml": "version: 1\n", // in the backup
		"run.json": "{}", "lock": "", "raw/unfinished/raw-1": "x", "data.db-wal": "x", ".new-1": "x", // and not
	} {
		path := filepath.Join(s.Dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	return s
}

func config(s *fscktest.Site, file string, to []backup.Recipient) backup.Config {
	return backup.Config{Dir: s.Dir, DB: s.DB, Raw: s.Raw, To: file, Recipients: to, Now: moment, Program: "test"}
}

func write(t testing.TB, s *fscktest.Site, to []backup.Recipient) (string, backup.Manifest) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "node.age")
	m, err := backup.Write(t.Context(), config(s, file, to))
	require.NoError(t, err)
	return file, m
}

// restoring is how an archive is restored into dir and dsn, which is "" for SQLite.
func restoring(file string, of []backup.Identity, dir, dsn string) backup.RestoreConfig {
	return backup.RestoreConfig{
		From: file, Identities: of, Dir: dir, DSN: dsn, Last: last, Now: time.Now,
		Raw: func(_ context.Context, dir, _ string, _ *sqldb.DB) (*raw.Store, error) {
			return raw.Open(raw.Config{Dir: filepath.Join(dir, "raw"), KeyFile: filepath.Join(dir, fscktest.RawKey)})
		},
		Schema: func(ctx context.Context, dir, dsn string) error {
			db, err := sqldb.Open(ctx, sqldb.Config{DSN: dsn})
			if err != nil {
				return err
			}
			if _, err := fscktest.Open(ctx, db, dir); err != nil {
				return err
			}
			return db.Close()
		},
		Settle: func(_ context.Context, dir string, _ *sqldb.DB, m backup.Manifest) error {
			return os.WriteFile(filepath.Join(dir, "settled"), []byte(m.At.String()), 0o600)
		},
	}
}

// fresh returns the address for a restore of a database like db.
func fresh(t testing.TB, db *sqldb.DB) string {
	t.Helper()
	if db.Dialect() == sqldb.Postgres {
		return sqltest.PostgresDSN(t)
	}
	return ""
}

// restored restores an archive and opens the site that it was of.
func restored(t testing.TB, s *fscktest.Site, file string, of []backup.Identity) *fscktest.Site {
	t.Helper()
	dir, dsn := filepath.Join(t.TempDir(), "new", "node"), fresh(t, s.DB)
	m, report, err := backup.Restore(t.Context(), restoring(file, of, dir, dsn))
	require.NoError(t, err)
	require.Empty(t, report.Findings)
	require.True(t, m.At.Equal(moment))
	if dsn == "" {
		dsn = "sqlite:" + filepath.Join(dir, "data.db")
	}
	out, err := fscktest.Open(t.Context(), sqltest.Open(t, dsn), dir)
	require.NoError(t, err)
	return out
}

// tables are those that a restored site has to have row by row.
var tables = []string{
	"person", "visit_occurrence", "condition_occurrence", "measurement", "observation", "death", "observation_period",
	"load", "lineage", "quality", "ingest_job", "ingest_problem", "series", "series_chunk", "series_landed", "series_load", "series_state",
	"series_variable", "series_source", "concept", "vocabulary_load", "river_job", "schema_version_omop", "river_migration",
}

// content returns the rows of all tables as text.
func content(t testing.TB, db *sqldb.DB) map[string]string {
	t.Helper()
	all := map[string]string{}
	require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
		for _, table := range tables {
			row := fmt.Sprintf("SELECT CAST(t.* AS TEXT) FROM %s t ORDER BY 1", table)
			if db.Dialect() == sqldb.SQLite {
				row = fmt.Sprintf(`SELECT (SELECT group_concat(quote(name)) FROM pragma_table_info('%s'))`, table)
			}
			text, err := lines(t.Context(), tx, row)
			if err != nil {
				return err
			}
			if db.Dialect() == sqldb.SQLite {
				columns := strings.ReplaceAll(strings.Trim(text, "'\n"), "','", "), quote(")
				if text, err = lines(t.Context(), tx, "SELECT concat_ws('|', quote("+columns+")) FROM "+table+" ORDER BY 1"); err != nil {
					return err
				}
			}
			all[table] = text
		}
		return nil
	}))
	return all
}

func lines(ctx context.Context, tx *sqldb.Tx, query string) (string, error) {
	rows, err := tx.Query(ctx, query)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	var b strings.Builder
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return "", err
		}
		b.WriteString(text + "\n")
	}
	return b.String(), rows.Err()
}

func TestARestoredNodeIsWhatWasBackedUp(t *testing.T) {
	t.Parallel()
	to, of := keys(t)
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		s.Accept(t, fscktest.Person("a", 30), fscktest.Person("b", 2), fscktest.Pulse("a", "watch", 50))
		s.Done(t)
		waiting := s.Accept(t, fscktest.Pulse("b", "watch", 10))[0]
		file, m := write(t, s, to)
		require.EqualValues(t, 4, m.RawFiles)
		info, err := os.Stat(file)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		left, err := os.ReadDir(filepath.Dir(file))
		require.NoError(t, err)
		require.Len(t, left, 1, "nothing but the archive")
		require.NoFileExists(t, filepath.Join(s.Dir, "backup", "data.db"))

		r := restored(t, s, file, of)
		require.Equal(t, content(t, s.DB), content(t, r.DB))
		for _, name := range []string{last, "node.yaml", "mappings/lab.yaml", "raw.key"} {
			want, err := os.ReadFile(filepath.Join(s.Dir, name))
			require.NoError(t, err)
			got, err := os.ReadFile(filepath.Join(r.Dir, name))
			require.NoError(t, err)
			require.Equal(t, want, got, name)
		}
		require.FileExists(t, filepath.Join(r.Dir, "settled"))
		for _, name := range []string{"run.json", "raw/unfinished/raw-1", ".new-1", "restoring"} {
			require.NoFileExists(t, filepath.Join(r.Dir, name))
		}

		// It goes on where it was: keys that were given out are not given out again.
		r.Accept(t, fscktest.Person("c", 3), fscktest.Pulse("a", "band", 5))
		r.Done(t)
		job, err := r.Job(t.Context(), waiting)
		require.NoError(t, err)
		require.EqualValues(t, 10, job.Counts.Stored)
		report, err := fsck.Check(t.Context(), fsck.Config{DB: r.DB, Raw: r.Raw})
		require.NoError(t, err)
		require.Empty(t, report.Findings)
		require.EqualValues(t, 65, report.Points)
	})
}

// TestABackupOfABusyNodeIsOneState backs a site up while its jobs run: what is
// restored is sound, has every job and comes to the same end.
func TestABackupOfABusyNodeIsOneState(t *testing.T) {
	t.Parallel()
	to, of := keys(t)
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		var files []string
		for i := range 12 {
			files = append(files, fscktest.Person(fmt.Sprint("p", i), 25))
		}
		s.Accept(t, files...)
		stop := s.Start(t)
		rows := func(db *sqldb.DB) (n, sum int64) {
			require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
				return tx.QueryRow(t.Context(), "SELECT count(*), coalesce(CAST(sum(value_as_number) AS BIGINT), 0) FROM measurement").Scan(&n, &sum)
			}))
			return n, sum
		}
		require.Eventually(t, func() bool { n, _ := rows(s.DB); return n > 0 }, time.Minute, time.Millisecond)
		file, m := write(t, s, to)
		s.Accept(t, fscktest.Person("late", 1))
		stop()
		require.EqualValues(t, 12, m.RawFiles, "every file that was acknowledged before, and no later one")

		r := restored(t, s, file, of)
		before, _ := rows(r.DB)
		require.NotZero(t, before)
		list, err := r.Jobs(t.Context(), 0, 100)
		require.NoError(t, err)
		require.Len(t, list, 12)
		r.Done(t)
		n, sum := rows(r.DB)
		require.EqualValues(t, 12*25, n, "from %d", before)
		require.EqualValues(t, 12*(25*60+24*25/2)+12*25/2, sum)
	})
}
