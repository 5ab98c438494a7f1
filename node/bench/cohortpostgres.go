package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/pgserver"
)

const (
	comparePersons = 100_000
	speedupBar     = 20 // times as fast as PostgreSQL, the median definition
)

// postgresSettings are those of a server with 2 processors and 8 GB for itself, on an SSD.
// Compiling a query to machine code takes longer than most of these do. It expects one row
// of most joins that circe-be writes: by nested loops some take minutes for 1,000 people.
var postgresSettings = []string{
	"shared_buffers=2GB", "work_mem=256MB", "temp_buffers=256MB", "maintenance_work_mem=512MB", "effective_cache_size=6GB",
	"random_page_cost=1.1", "max_wal_size=8GB", "jit=off", "enable_nestloop=off",
}

// compare evaluates the same definitions on the same people with our engine and, if it is
// there, with PostgreSQL, in turn.
func compare(ctx context.Context, cfg Config) (figures []Figure, err error) {
	persons := cmp.Or(cfg.Persons, comparePersons)
	all, err := studies()
	if err != nil {
		return nil, err
	}
	small, err := readPopulation(cohortFiles, cohortFolder+"/people")
	if err != nil {
		return nil, err
	}
	server, err := pgserver.Start(ctx, cfg.Programs, postgresSettings...)
	if missing := errors.Is(err, pgserver.ErrMissing); err != nil && !missing {
		return nil, err
	} else if missing {
		cfg.Progress(fmt.Sprintf("%v: the definitions are timed with our engine alone, and nothing is compared", err))
	} else {
		defer func() { err = errors.Join(err, server.Close()) }()
	}
	folder := cfg.Dir
	if server != nil { // which has to read the files, too
		folder = server.Dir
	}
	if folder, err = os.MkdirTemp(folder, "trialmesh-bench-"); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	cfg.Progress(fmt.Sprintf("%d people are made for %d definitions", persons, len(all)))
	if err := errors.Join(os.Chmod(folder, 0o755), small.write(folder, persons)); err != nil { //nolint:gosec // the server's account reads people that are made up
		return nil, err
	}
	ours, err := readEngine(ctx, folder, all)
	if err != nil {
		return nil, err
	}
	if server == nil {
		return alone(ctx, cfg, ours, all)
	}
	cfg.Progress("PostgreSQL loads them")
	theirs, err := loadReference(ctx, server, small, folder)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, theirs.db.Close()) }()
	return beside(ctx, cfg, ours, theirs, all)
}

// alone times our engine.
func alone(ctx context.Context, cfg Config, ours engine, all []*study) ([]Figure, error) {
	var times []float64
	for i, s := range all {
		cfg.Progress(fmt.Sprintf("definition %d (%d of %d)", s.id, i+1, len(all)))
		for round := range 1 + rounds { // the first one warms up
			_, took, err := ours.entries(ctx, s)
			if err != nil {
				return nil, err
			}
			if round > 0 {
				s.ours = append(s.ours, took)
			}
		}
		times = append(times, Median(s.ours))
	}
	return []Figure{NewFigure("cohort-definition", Median(times), "ms")}, nil
}

// beside times both, and fails where they disagree.
func beside(ctx context.Context, cfg Config, ours engine, theirs oracle, all []*study) ([]Figure, error) {
	var mine, other, speedups []float64
	found := 0
	for i, s := range all {
		for round := range 1 + rounds { // the first one warms up and compares
			want, theirTime, err := theirs.entries(ctx, s)
			if err != nil {
				return nil, err
			}
			got, ourTime, err := ours.entries(ctx, s)
			if err != nil {
				return nil, err
			}
			if !slices.Equal(want, got) {
				return nil, fmt.Errorf("definition %d: PostgreSQL found %d rows and we %d, which are not the same", s.id, len(want), len(got))
			}
			if round > 0 {
				s.ours, s.theirs = append(s.ours, ourTime), append(s.theirs, theirTime)
			} else if len(want) > 0 {
				found++
			}
		}
		mine, other = append(mine, Median(s.ours)), append(other, Median(s.theirs))
		speedups = append(speedups, other[i]/mine[i])
		cfg.Progress(fmt.Sprintf("definition %d (%d of %d): %.1f ms, PostgreSQL %.1f ms, the same rows", s.id, i+1, len(all), mine[i], other[i]))
	}
	cfg.Progress(fmt.Sprintf("%d of %d definitions find somebody", found, len(all)))
	return []Figure{
		NewFigure("cohort-speedup", Median(speedups), "times").AtLeast(speedupBar),
		NewFigure("cohort-speedup-least", slices.Min(speedups), "times"),
		NewFigure("cohort-speedup-most", slices.Max(speedups), "times"),
		NewFigure("cohort-definition", Median(mine), "ms").Beside(theirs.version, Median(other)),
	}, nil
}

// oracle is PostgreSQL with a CDM in it.
type oracle struct {
	db      *sqldb.DB
	version string
}

// loadReference makes the CDM of a folder, with the keys and indexes that OHDSI ships.
func loadReference(ctx context.Context, server *pgserver.Server, tables *population, folder string) (r oracle, err error) {
	if r.db, err = sqldb.Open(ctx, sqldb.Config{DSN: server.DSN + "&search_path=cdm"}); err != nil {
		return r, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.db.Close())
		}
	}()
	statements := []string{
		"CREATE SCHEMA cdm", "CREATE SCHEMA results",
		"CREATE TABLE results.cohort (cohort_definition_id bigint, subject_id bigint, cohort_start_date date, cohort_end_date date)",
	}
	statements = append(statements, ohdsi("ddl"))
	for _, t := range tables.tables {
		statements = append(statements, fmt.Sprintf("COPY cdm.%s (%s) FROM '%s' (FORMAT csv, HEADER)",
			t.name, strings.Join(t.header, ", "), strings.ReplaceAll(filepath.Join(folder, t.name+".csv"), "'", "''")))
	}
	statements = append(statements, ohdsi("primary_keys"), ohdsi("indices"), "ANALYZE")
	for _, s := range statements {
		if err := r.db.Write(ctx, func(tx *sqldb.Tx) error {
			_, err := tx.Exec(ctx, s)
			return err
		}); err != nil {
			return r, err
		}
	}
	err = r.db.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.QueryRow(ctx, "SELECT 'PostgreSQL ' || split_part(current_setting('server_version'), ' ', 1)").Scan(&r.version)
	})
	return r, err
}

// bounded is the type of a text with a limit, over which some of the people's go.
var bounded = regexp.MustCompile(`(?i)varchar\([0-9a-z]+\)`)

// ohdsi is one of the scripts that make a CDM, in the schema cdm. Its people lack columns
// that no definition reads, so that nothing is required.
func ohdsi(name string) string {
	text, err := cohortFiles.ReadFile(cohortFolder + "/cdm/OMOPCDM_postgresql_5.4_" + name + ".sql")
	if err != nil {
		panic(err) // it is embedded
	}
	return bounded.ReplaceAllString(strings.NewReplacer("@cdmDatabaseSchema", "cdm", "NOT NULL", "NULL").Replace(string(text)), "text")
}

// entries runs the SQL of a definition, and returns its rows and the milliseconds it took.
func (r oracle) entries(ctx context.Context, s *study) (rows []entry, took float64, err error) {
	begun := time.Now()
	err = r.db.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, s.sql)
		return err
	})
	took = milliseconds(begun)
	if err != nil {
		return nil, 0, fmt.Errorf("definition %d: %w", s.id, err)
	}
	err = r.db.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.Each(ctx, `SELECT subject_id, cohort_start_date::text, cohort_end_date::text FROM results.cohort
			WHERE cohort_definition_id = ? ORDER BY 1, 2, 3`, []any{s.id}, func(row *sqldb.Rows) error {
			var e entry
			if err := row.Scan(&e.person, &e.start, &e.end); err != nil {
				return err
			}
			rows = append(rows, e)
			return nil
		})
	})
	return rows, took, err
}
