package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/table"
	"github.com/trialmesh/trialmesh/localstore/jobs"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/ingest"
	"github.com/trialmesh/trialmesh/node/reference"
	"github.com/trialmesh/trialmesh/node/reference/codemap"
)

// targets are the standard concepts of a vocabulary without any source code: what a code
// means is up to the site's map.
var targets = []struct {
	id             int
	domain, system string
}{{101, "Measurement", "LOINC"}, {102, "Measurement", "LOINC"}, {103, "Observation", "SNOMED"}, {104, "Condition", "SNOMED"}, {105, "Procedure", "SNOMED"}}

// mappedSite is a site whose maps can be changed, on a database of its own.
func mappedSite(t *testing.T, db *sqldb.DB) (*site, *codemap.Store) {
	t.Helper()
	words, err := vocab.Open(t.Context(), db)
	require.NoError(t, err)
	text := "concept_id\tconcept_name\tdomain_id\tvocabulary_id\tconcept_class_id\tstandard_concept\tconcept_code\tvalid_start_date\tvalid_end_date\tinvalid_reason\n"
	for _, c := range targets {
		text += fmt.Sprintf("%d\tname\t%s\t%s\tx\tS\tc%d\t19700101\t20991231\t\n", c.id, c.domain, c.system, c.id)
	}
	_, err = words.Load(t.Context(), fstest.MapFS{
		"CONCEPT.csv":              {Data: []byte(text)},
		"CONCEPT_RELATIONSHIP.csv": {Data: []byte("concept_id_1\tconcept_id_2\trelationship_id\tvalid_start_date\tvalid_end_date\tinvalid_reason\n")},
	})
	require.NoError(t, err)
	kept, err := reference.Open(t.Context(), db)
	require.NoError(t, err)
	var codes *codemap.Store
	s := newSite(t, db, func(c *ingest.Config, q *jobs.Config) {
		codes = codemap.New(codemap.Config{Kept: kept, Vocabulary: c.Vocabulary, DB: db, People: c.Store, Series: c.Series})
		c.Codes = codes
		c.BatchRows = 4 // several transactions of a file
	})
	return s, codes
}

// drawMap draws which of six codes mean what: nothing, one thing or two.
func drawMap(r *rand.Rand) string {
	text := "source_code,source_vocabulary_id,target_concept_id\n"
	for code := range 6 {
		for _, at := range r.Perm(len(targets))[:r.IntN(3)] {
			text += fmt.Sprintf("L%d,urn:lab,%d\n", code, targets[at].id)
		}
	}
	return text
}

// drawFiles draws files of three patients whose records come several times, with one code
// or another, on one day or another.
func drawFiles(r *rand.Rand) (files []string) {
	for file := range 2 + r.IntN(4) {
		patient := fmt.Sprintf("p%d", r.IntN(3))
		lines := []string{fmt.Sprintf(`{"resourceType":"Patient","id":%q,"gender":"female","birthDate":"19%d-01-01"}`, patient, 50+r.IntN(2))}
		visit := ""
		if r.IntN(2) == 0 {
			visit = `"encounter":{"reference":"Encounter/v"},`
			lines = append(lines, fmt.Sprintf(`{"resourceType":"Encounter","id":"v","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/%s"},`+
				`"period":{"start":"2020-0%d-01T10:00:00Z","end":"2020-09-01T11:00:00Z"}}`, patient, 1+r.IntN(3)))
		}
		for range 1 + r.IntN(8) {
			lines = append(lines, fmt.Sprintf(`{"resourceType":"Observation","id":"o%d","status":"final","code":{"coding":[{"system":"urn:lab","code":"L%d"}]},"subject":{"reference":"Patient/%s"},%s`+
				`"effectiveDateTime":"20%d-01-0%dT08:00:00Z","valueQuantity":{"value":%d}}`, r.IntN(4), r.IntN(6), patient, visit, 10+r.IntN(3), 1+r.IntN(3), r.IntN(3)))
		}
		files = append(files, strings.Join(lines, "\n")+strings.Repeat("\n", 1+file)) // no two are the same
	}
	return files
}

// TestRemappedIsAsIfLoadedSo is a law: what one mapper has loaded and another maps again
// is what the other would have loaded.
func TestRemappedIsAsIfLoadedSo(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		seeds := uint64(4)
		if db.Dialect() == sqldb.Postgres {
			seeds = 2
		}
		for seed := range seeds {
			r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // not a secret
			before, after, files := drawMap(r), drawMap(r), drawFiles(r)
			fresh := sqltest.SQLite
			if db.Dialect() == sqldb.Postgres {
				fresh = sqltest.Postgres
			}
			changed, codes := mappedSite(t, fresh(t))
			changed.run(t)
			for _, text := range []string{before, after} {
				_, err := codes.Import(t.Context(), []byte(text), true, time.Now())
				require.NoError(t, err)
				if text == before {
					changed.loadAll(t, files)
				}
			}
			done, err := changed.Remap(t.Context(), true)
			require.NoError(t, err)
			require.Equal(t, len(files), done.Files)
			changed.settled(t)
			none, err := changed.Remap(t.Context(), true)
			require.NoError(t, err)
			require.Zero(t, none.Files, "nothing is outdated any more")

			straight, codes := mappedSite(t, fresh(t))
			straight.run(t)
			_, err = codes.Import(t.Context(), []byte(after), true, time.Now())
			require.NoError(t, err)
			straight.loadAll(t, files)
			require.Equal(t, straight.rows(t), changed.rows(t), "seed %d\n%s\n%s\n%s", seed, before, after, strings.Join(files, "--\n"))
			require.Empty(t, changed.misfits(t, straight.periods(t)), "seed %d", seed)
		}
	})
}

func (s *site) loadAll(t *testing.T, files []string) {
	t.Helper()
	for i, f := range files {
		job := s.load(t, fmt.Sprint(i), []byte(f))
		require.Equal(t, ingest.Completed, job.State, job.Error)
	}
}

// during does jobs while f runs and until none is left.
func (s *site) during(t *testing.T, f func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	f()
	s.settled(t)
	cancel()
	require.NoError(t, <-ended)
}

// settled waits until no job is left.
func (s *site) settled(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		list, err := s.Jobs(t.Context(), 0, 1000)
		require.NoError(t, err)
		return !slices.ContainsFunc(list, func(j ingest.Job) bool { return !j.State.Ended() })
	}, time.Minute, 5*time.Millisecond)
}

// rows is all that is stored, with rows named by their keys instead of their numbers, and
// where each is from.
func (s *site) rows(t *testing.T) (all []string) {
	t.Helper()
	of := []string{"l.row_key", "p.row_key", "load.raw", "l.pointer"}
	visit := "(SELECT v.row_key FROM lineage v WHERE v.row_id = t.visit_occurrence_id)"
	person := " JOIN lineage p ON p.row_id = t.person_id"
	require.NoError(t, s.db.Read(t.Context(), func(tx *sqldb.Tx) error {
		for table, columns := range map[string][]string{
			"person":               {"year_of_birth", "gender_concept_id"},
			"visit_occurrence":     {"visit_start_date", "visit_end_date"},
			"condition_occurrence": {"condition_concept_id", "condition_start_date", visit},
			"procedure_occurrence": {"procedure_concept_id", "procedure_date", visit},
			"measurement":          {"measurement_concept_id", "measurement_date", "value_as_number", visit},
			"observation":          {"observation_concept_id", "observation_date", "value_as_number", visit},
		} {
			all = append(all, dump(t, tx, table, append(slices.Clone(of), columns...), table+" t JOIN lineage l ON l.row_id = t."+table+"_id JOIN load ON load.load_id = l.load_id"+person)...)
		}
		all = append(all, dump(t, tx, "quality", []string{"l.row_key", "is_valid", "is_outlier"}, "quality q LEFT JOIN lineage l ON l.row_id = q.row_id")...)
		all = append(all, dump(t, tx, "lineage", []string{"row_key", "table_id"}, "lineage")...)
		return nil
	}))
	slices.Sort(all)
	return all
}

// period is when events of a person can be expected.
type period struct{ start, end omop.Date }

func (s *site) periods(t *testing.T) map[string]period {
	t.Helper()
	found := map[string]period{}
	require.NoError(t, s.db.Read(t.Context(), func(tx *sqldb.Tx) error {
		rows, err := tx.Query(t.Context(), "SELECT p.row_key, observation_period_start_date, observation_period_end_date FROM observation_period t JOIN lineage p ON p.row_id = t.person_id")
		require.NoError(t, err)
		defer rows.Close()
		for rows.Next() {
			var key []byte
			var p period
			require.NoError(t, rows.Scan(&key, &p.start, &p.end))
			found[string(key)] = p
		}
		return rows.Err()
	}))
	return found
}

// misfits are the persons whose period is wider than the given one, which may cover rows
// that a later file has moved, or narrower than their events.
func (s *site) misfits(t *testing.T, widest map[string]period) (keys []string) {
	t.Helper()
	have := s.periods(t)
	require.Len(t, have, len(widest))
	for key, p := range have {
		if p.start < widest[key].start || p.end > widest[key].end {
			keys = append(keys, fmt.Sprintf("%x", key))
		}
	}
	require.NoError(t, s.db.Read(t.Context(), func(tx *sqldb.Tx) error {
		for table, day := range map[string]string{
			"visit_occurrence": "visit_start_date", "condition_occurrence": "condition_start_date", "procedure_occurrence": "procedure_date",
			"measurement": "measurement_date", "observation": "observation_date",
		} {
			keys = append(keys, dump(t, tx, table, []string{"e." + day}, table+" e WHERE NOT EXISTS (SELECT 1 FROM observation_period o WHERE o.person_id = e.person_id AND e."+day+
				" BETWEEN o.observation_period_start_date AND o.observation_period_end_date)")...)
		}
		return nil
	}))
	return keys
}

func dump(t *testing.T, tx *sqldb.Tx, what string, columns []string, from string) (out []string) {
	t.Helper()
	rows, err := tx.Query(t.Context(), "SELECT "+strings.Join(columns, ", ")+" FROM "+from)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		require.NoError(t, rows.Scan(into...))
		for i, v := range values {
			if b, ok := v.([]byte); ok {
				values[i] = fmt.Sprintf("%x", b)
			}
		}
		out = append(out, fmt.Sprint(what, values))
	}
	require.NoError(t, rows.Err())
	return out
}

func TestOneFileIsMappedAgain(t *testing.T) {
	t.Parallel()
	s, codes := mappedSite(t, sqltest.SQLite(t))
	s.run(t)
	first := s.load(t, "f", []byte(patient+"\n"+strings.Replace(weight("w1"), `"code":"29463-7"`, `"code":"L0"`, 1)+"\n"))
	require.Equal(t, ingest.Completed, first.State)
	done, err := s.RemapFile(t.Context(), first.File)
	require.NoError(t, err)
	require.NotEqual(t, first.ID, done.Jobs[0], "also if nothing has changed")
	again := s.ended(t, done.Jobs[0])
	require.Equal(t, "f", again.Name)
	require.Zero(t, again.Counts.Stored+again.Counts.Replaced+again.Counts.Removed)
	_, err = codes.Import(t.Context(), []byte("source_code,source_vocabulary_id,target_concept_id\nL0,LOINC,104\n"), false, time.Now())
	require.NoError(t, err)
	done, err = s.RemapFile(t.Context(), first.File)
	require.NoError(t, err)
	moved := s.ended(t, done.Jobs[0])
	require.Contains(t, moved.Mapper, " codes 1")
	require.Positive(t, moved.Counts.Removed, "measurements are conditions now")
	require.Equal(t, moved.Counts.Removed, moved.Counts.Stored)
	require.Zero(t, s.counts(t)[omop.MeasurementTable])
	_, err = s.RemapFile(t.Context(), raw.Digest{1})
	require.ErrorIs(t, err, ingest.ErrFile)
}

// TestACorrectedMappingLeavesNothingOfTheWrongOne: persons who never were go with the last
// row that names them, unless something else of the site does.
func TestACorrectedMappingLeavesNothingOfTheWrongOne(t *testing.T) {
	t.Parallel()
	const (
		who = "version: 1\nname: who\ncolumns: [MRN, Bed, Born]\npatient: {id: %s}\nrecords:\n  - patient: {birth: Born}\n"
		lab = "version: 1\nname: lab\ncolumns: [MRN, Bed, Taken, Test, Result]\npatient: {id: %s}\ncodes:\n  Test: {K: LOINC 2823-3}\nrecords:\n  - observation: {time: Taken, code: Test, value: Result}\n"
	)
	sets := map[string]*table.Set{}
	for _, column := range []string{"MRN", "Bed"} {
		var err error
		sets[column], err = table.LoadSet(fstest.MapFS{
			"who.yaml": {Data: fmt.Appendf(nil, who, column)}, "lab.yaml": {Data: fmt.Appendf(nil, lab, column)},
		})
		require.NoError(t, err)
	}
	files := []string{
		"MRN,Bed,Born\n1,B7,1950-01-01\n2,B8,1960-01-01\n3,B9,1970-01-01\n",
		"MRN,Bed,Taken,Test,Result\n1,B7,2020-01-01,K,4.1\n2,B8,2020-01-02,K,4.2\n",
	}
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		dir := t.TempDir()
		var held []omop.PersonID
		var asked atomic.Int32 // the first attempt that asks dies in its last transaction
		open := func(tables *table.Set) *site {
			s, err := openSite(t.Context(), db, dir, func(c *ingest.Config, _ *jobs.Config) {
				c.Tables = tables
				c.Concerned = func(_ context.Context, _ *sqldb.Tx, persons []omop.PersonID) ([]omop.PersonID, error) {
					if asked.Add(1) == 1 {
						return nil, errors.New("struck")
					}
					return slices.DeleteFunc(slices.Clone(persons), func(p omop.PersonID) bool { return !slices.Contains(held, p) }), nil
				}
			})
			require.NoError(t, err)
			return s
		}
		remapped := func(column string) *site {
			s := open(sets[column])
			s.during(t, func() {
				done, err := s.Remap(t.Context(), true)
				require.NoError(t, err)
				require.Len(t, done.Jobs, len(files))
			})
			return s
		}
		wrong := open(sets["Bed"])
		wrong.during(t, func() {
			for _, f := range files {
				wrong.load(t, "f", []byte(f))
			}
		})
		require.EqualValues(t, 3, wrong.counts(t)[omop.PersonTable])
		before := wrong.rows(t)

		right := remapped("MRN")
		n := right.counts(t)
		require.EqualValues(t, 3, n[omop.PersonTable])
		require.EqualValues(t, 2, n[omop.MeasurementTable])
		require.EqualValues(t, 2, n[omop.PeriodTable])
		for _, row := range right.rows(t) {
			require.NotContains(t, before, row, "nothing of the wrong mapping is left")
		}

		// A person who has given a consent stays.
		require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
			for p, err := range right.store.Persons(t.Context(), tx) {
				require.NoError(t, err)
				if p.YearOfBirth == 1950 {
					held = append(held, p.ID)
				}
			}
			return nil
		}))
		require.EqualValues(t, 4, remapped("Bed").counts(t)[omop.PersonTable])
	})
}

// TestAFileThatCannotBeReadAnyMoreLosesNothing: a mapping that was taken away is no reason
// to remove what it has brought.
func TestAFileThatCannotBeReadAnyMoreLosesNothing(t *testing.T) {
	t.Parallel()
	db, dir := sqltest.SQLite(t), t.TempDir()
	const who = "version: 1\nname: who\ncolumns: [MRN, Born]\npatient: {id: MRN}\nrecords:\n  - patient: {birth: Born}\n"
	set, err := table.LoadSet(fstest.MapFS{"who.yaml": {Data: []byte(who)}})
	require.NoError(t, err)
	for _, tables := range []*table.Set{set, nil} {
		s, err := openSite(t.Context(), db, dir, func(c *ingest.Config, _ *jobs.Config) { c.Tables = tables })
		require.NoError(t, err)
		s.during(t, func() {
			job := s.load(t, "who.csv", []byte("MRN,Born\n1,1950-01-01\n"))
			require.Equal(t, tables == nil, job.State == ingest.WithProblems)
		})
		require.EqualValues(t, 1, s.counts(t)[omop.PersonTable])
	}
}
