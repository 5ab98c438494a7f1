package ingest_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/jobs"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/ingest"
)

const (
	childDir = "TRIALMESH_TEST_INGEST_DIR" // makes this binary the child, working in that folder
	childDSN = "TRIALMESH_TEST_INGEST_DSN"

	// childName names the process to its queue.
	childName = "TRIALMESH_TEST_INGEST_NAME"
)

// smallBatches makes several transactions of one file, none of which ends between two records
// that are alike: duplicates are counted in a batch.
func smallBatches(c *ingest.Config, q *jobs.Config) {
	c.BatchRows = 41
	q.Attempts = 100 // a job may be the victim every time
}

// child accepts every file in dir, printing a line for each, and does the jobs
// until its standard input ends.
func child(ctx context.Context, dir, dsn string) error {
	db, err := sqldb.Open(ctx, sqldb.Config{DSN: dsn})
	if err != nil {
		return err
	}
	s, err := openSite(ctx, db, dir, smallBatches, func(_ *ingest.Config, q *jobs.Config) { q.Name = os.Getenv(childName) })
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	fmt.Println("ready")
	files, err := filepath.Glob(filepath.Join(dir, "in", "*"))
	if err != nil {
		return err
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, id, err := s.Accept(ctx, filepath.Base(path), bytes.NewReader(data))
		if err != nil {
			return err
		}
		fmt.Println("accepted", file, id)
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends with the parent
		cancel()
	}()
	return <-ran
}

func TestKilledProcessesLoseAndRepeatNothing(t *testing.T) {
	t.Parallel()
	files := bundles(t, 11)
	undisturbed := newSite(t, sqltest.SQLite(t))
	undisturbed.run(t)
	jobOf := map[string]ingest.Job{}
	for _, f := range files {
		job := undisturbed.load(t, f.Name, f.Data)
		jobOf[job.File.String()] = job
	}
	want := undisturbed.content(t)

	for engine, dsn := range map[string]func() string{
		"sqlite":   func() string { return "sqlite:" + filepath.Join(t.TempDir(), "site.db") },
		"postgres": func() string { return sqltest.PostgresDSN(t) },
	} {
		t.Run(engine, func(t *testing.T) {
			dsn, dir := dsn(), t.TempDir()
			require.NoError(t, os.Mkdir(filepath.Join(dir, "in"), 0o700))
			acknowledged := map[string]string{} // digest to job
			for round, f := range files[:9] {   // each round has a file more
				require.NoError(t, os.WriteFile(filepath.Join(dir, "in", f.Name), f.Data, 0o600))
				accepted := []int{0, 1, round + 1}[round%3]               // on a slow machine too
				pause := time.Duration(rand.IntN(150)) * time.Millisecond //nolint:gosec // not a secret
				killed(t, dir, dsn, accepted, pause, acknowledged)
				t.Logf("round %d: killed %s after %d files, %d files acknowledged", round, pause, accepted, len(acknowledged))
			}
			require.NotEmpty(t, acknowledged)

			s, err := openSite(t.Context(), sqltest.Open(t, dsn), dir, smallBatches)
			require.NoError(t, err)
			s.run(t)
			begun := 0
			for _, f := range files { // those that were not acknowledged are sent again
				digest, id, err := s.Accept(t.Context(), f.Name, bytes.NewReader(f.Data))
				require.NoError(t, err)
				if known, ok := acknowledged[digest.String()]; ok {
					require.Equal(t, known, fmt.Sprint(id), "an acknowledged file keeps its job")
				}
				job := s.ended(t, id)
				require.Equal(t, ingest.Completed, job.State, job.Error)
				begun = max(begun, job.Attempt)
				require.Equal(t, jobOf[digest.String()].Counts, job.Counts, "counted once, however often it was begun")
			}
			require.Greater(t, begun, 1, "no process was killed at work")
			require.Equal(t, want, s.content(t))
		})
	}
}

// killed starts a child, kills it a pause after it has accepted so many files, and notes
// what it has acknowledged.
func killed(t *testing.T, dir, dsn string, accepted int, pause time.Duration, acknowledged map[string]string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, childDSN+"="+dsn)
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	require.NoError(t, cmd.Start())
	defer func() { _ = cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill() }()
	lines := bufio.NewScanner(stdout)
	require.True(t, lines.Scan(), "the child did not come up: %s", &stderr)
	for n := 0; ; {
		if n == accepted {
			timer := time.AfterFunc(pause, func() { _ = cmd.Process.Kill() }) // SIGKILL
			defer timer.Stop()
		}
		if !lines.Scan() {
			return // the pipe broke
		}
		if f := strings.Fields(lines.Text()); len(f) == 3 {
			acknowledged[f[1]] = f[2]
			n++
		}
	}
}

// content is what does not depend on the order of loads: rows by table, and a
// digest over all rows' keys and values.
func (s *site) content(t testing.TB) string {
	t.Helper()
	sum := sha256.New()
	require.NoError(t, s.db.Read(t.Context(), func(tx *sqldb.Tx) error {
		for _, query := range []string{
			`SELECT row_key, table_id, pointer FROM lineage ORDER BY row_key`,
			`SELECT count(*), sum(CASE WHEN is_outlier THEN 1 ELSE 0 END), sum(CASE WHEN is_valid THEN 1 ELSE 0 END) FROM quality`,
			`SELECT count(visit_occurrence_id), count(value_as_number), count(unit_concept_id) FROM measurement`,
		} {
			rows, err := tx.Query(t.Context(), query)
			if err != nil {
				return err
			}
			for rows.Next() {
				var a, b, c any
				if err := rows.Scan(&a, &b, &c); err != nil {
					return err
				}
				_, _ = fmt.Fprintf(sum, "%v %v %v\n", a, b, c)
			}
			rows.Close()
			if err := rows.Err(); err != nil {
				return err
			}
		}
		return nil
	}))
	n := s.counts(t)
	return fmt.Sprint(n[omop.PersonTable], n[omop.VisitTable], n[omop.ConditionTable], n[omop.DrugTable], n[omop.ProcedureTable],
		n[omop.MeasurementTable], n[omop.ObservationTable], n[omop.DeathTable], n[omop.PeriodTable], hex.EncodeToString(sum.Sum(nil)))
}
