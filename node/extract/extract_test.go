package extract_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/cdm"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/extract"
	"github.com/trialmesh/trialmesh/node/extract/anonymity"
)

const sensitiveSpec = `study: one
k: 5
l: 2
suppression-limit: 0.2
quasi-identifiers: [birth-year, gender, death]
rare-concepts: 2
sensitive: [{name: hiv, table: condition_occurrence, concepts: [439727]}]
dates: {days: 100}
`

// TestAnExtractIsLoadedAgain writes one on each engine and reads it as a node would.
func TestAnExtractIsLoadedAgain(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db, 600)
		folder, m := s.write(t, sensitiveSpec, 1)
		persons := load(t, folder, "person")
		require.Len(t, persons, m.Persons.Written)
		require.Equal(t, 600, m.Persons.Eligible)
		require.Equal(t, 600, m.Persons.Written+m.Persons.Small+m.Persons.Uniform)

		dead := map[int64]bool{}
		for _, r := range load(t, folder, "death") {
			dead[r.Int("person_id")] = true
		}
		require.NotEmpty(t, dead)
		positive := map[int64]bool{}
		visits := map[int64]int64{}
		for _, r := range load(t, folder, "visit_occurrence") {
			visits[r.Int("visit_occurrence_id")] = r.Int("person_id")
		}
		for _, r := range load(t, folder, "condition_occurrence") {
			positive[r.Int("person_id")] = positive[r.Int("person_id")] || r.Int("condition_concept_id") == hiv
			require.NotEqualValues(t, 4000001, r.Int("condition_concept_id"), "one person has it")
			require.Equal(t, r.Int("person_id"), visits[r.Int("visit_occurrence_id")])
			require.False(t, r.Has("condition_start_datetime"))
		}
		satisfies(t, persons, dead, positive, m)
		s.intervals(t, load(t, folder, "measurement"), persons, 100)
		for _, table := range m.Tables {
			if filepath.Base(table.File) != "person.csv" && filepath.Base(table.File) != "death.csv" {
				load(t, folder, filepath.Base(table.File[:len(table.File)-len(".csv")]))
			}
		}
	})
}

// satisfies counts k and l again from what was written.
func satisfies(t *testing.T, persons []*cdm.Row, dead, positive map[int64]bool, m extract.Manifest) {
	t.Helper()
	type look struct {
		year, gender, race, ethnicity int64
		dead                          bool
	}
	count, values := map[look]int{}, map[look]map[bool]bool{}
	for _, p := range persons {
		id := p.Int("person_id")
		l := look{p.Int("year_of_birth"), p.Int("gender_concept_id"), p.Int("race_concept_id"), p.Int("ethnicity_concept_id"), dead[id]}
		if values[l] == nil {
			values[l] = map[bool]bool{}
		}
		count[l]++
		values[l][positive[id]] = true
		require.GreaterOrEqual(t, l.year, int64(1930), "nobody over 89 has a band of their own")
		require.Less(t, l.year, int64(2020))
	}
	smallest := len(persons)
	for l, n := range count {
		smallest = min(smallest, n)
		require.Len(t, values[l], 2)
	}
	require.GreaterOrEqual(t, smallest, 5)
	require.Equal(t, smallest, m.Measured.K)
	require.Len(t, count, m.Measured.Classes)
}

// intervals checks that each person's days were moved by one number of days.
func (s *site) intervals(t *testing.T, rows, persons []*cdm.Row, most int) {
	t.Helper()
	moved, of, different := map[int]int{}, map[int]int64{}, map[int]bool{}
	for _, r := range rows {
		value := int(*r.Number("value_as_number"))
		require.GreaterOrEqual(t, value, 0, "the row is invalid")
		day, _ := r.Day("measurement_date")
		by := int(day) - int(s.days[value/100][value%100])
		if before, seen := moved[value/100]; seen {
			require.Equal(t, before, by)
			require.Equal(t, of[value/100], r.Int("person_id"))
		}
		moved[value/100], of[value/100], different[by] = by, r.Int("person_id"), true
		require.LessOrEqual(t, max(by, -by), most)
	}
	require.Greater(t, len(different), most/2, "people are moved by different numbers")
	years := map[int64]int64{}
	for _, p := range persons {
		years[p.Int("person_id")] = p.Int("year_of_birth")
	}
	for i, id := range of {
		if i != 0 { // who is over 89
			year := (s.born[i] + omop.Date(moved[i])).Time().Year()
			require.LessOrEqual(t, years[id], int64(year), "the year of birth is moved with the dates")
		}
	}
}

func TestPseudonymsAreOfTheStudy(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t), 120)
	ids := func(key byte) (map[int]int64, map[int64]bool) {
		folder, _ := s.write(t, "study: one\nk: 2\nquasi-identifiers: [gender]\n", key)
		of, all := map[int]int64{}, map[int64]bool{}
		for _, r := range load(t, folder, "measurement") {
			of[int(*r.Number("value_as_number"))/100] = r.Int("person_id")
			all[r.Int("person_id")] = true
		}
		return of, all
	}
	first, firstAll := ids(1)
	again, _ := ids(1)
	other, otherAll := ids(2)
	for i, id := range first {
		require.Equal(t, id, again[i])
		require.NotEqual(t, id, other[i])
		require.Positive(t, id)
		require.LessOrEqual(t, id, int64(1)<<52, "a float64 holds it")
	}
	for id := range firstAll {
		require.False(t, otherAll[id], "no pseudonym is in both studies")
	}
	require.Len(t, firstAll, len(first), "one for each person")
}

func TestNothingOfTheSourceIsWritten(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t), 60)
	folder, m := s.write(t, "study: one\nk: 2\ntables:\n  - table: condition_occurrence\n    columns: [condition_start_datetime]\n  - {table: measurement, columns: [value_as_number]}\n", 1)
	files := 0
	require.NoError(t, filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := d.Info()
		require.NoError(t, err)
		if d.IsDir() {
			require.EqualValues(t, 0o700, info.Mode().Perm(), path)
			return nil
		}
		files++
		require.EqualValues(t, 0o600, info.Mode().Perm(), path)
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.False(t, bytes.Contains(text, []byte(secret)), path)
		return nil
	}))
	require.Equal(t, len(m.Tables)+1, files)
	for _, r := range load(t, folder, "condition_occurrence") {
		day, _ := r.Day("condition_start_date")
		require.True(t, r.Has("condition_start_datetime"))
		require.Equal(t, day, int32(sqldb.DateOf(r.Time("condition_start_datetime"))), "the time is moved with the day")
	}
}

func TestTheManifestIsTrueAndRecorded(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t), 80)
	folder, m := s.write(t, "study: one\nk: 3\n", 1)
	text, err := os.ReadFile(filepath.Join(folder, "manifest.json"))
	require.NoError(t, err)
	var back extract.Manifest
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, m, back)
	for _, table := range m.Tables {
		raw, err := os.ReadFile(filepath.Join(folder, table.File))
		require.NoError(t, err)
		sum := sha256.Sum256(raw)
		require.Equal(t, hex.EncodeToString(sum[:]), table.SHA256)
		require.EqualValues(t, len(raw), table.Bytes)
		require.EqualValues(t, bytes.Count(raw, []byte("\n"))-1, table.Rows)
	}
	trail, err := s.trail.Latest(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, trail, 1)
	require.Equal(t, extract.Event, trail[0].Event)
	sum := sha256.Sum256(text)
	require.Equal(t, "one sha256:"+hex.EncodeToString(sum[:]), trail[0].Subject)

	_, err = extract.Write(t.Context(), s.config(t, "study: one\n", folder, 1))
	require.ErrorContains(t, err, "replaces nothing")
}

func TestADryRunCountsTheSameAndWritesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t), 80)
	_, want := s.write(t, "study: one\nk: 3\n", 1)
	got, err := extract.Write(t.Context(), s.config(t, "study: one\nk: 3\n", "", 1))
	require.NoError(t, err)
	for i := range want.Tables {
		require.NotEmpty(t, want.Tables[i].SHA256)
		want.Tables[i].SHA256 = ""
	}
	require.Equal(t, want, got)
	trail, err := s.trail.Latest(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, trail, 1, "that of the extract")
}

func TestWhatCannotBeReachedLeavesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t), 8)
	parent := t.TempDir()
	_, err := extract.Write(t.Context(), s.config(t, "study: one\nk: 11\n", filepath.Join(parent, "extract"), 1))
	require.ErrorIs(t, err, anonymity.ErrUnreachable)
	left, err := os.ReadDir(parent)
	require.NoError(t, err)
	require.Empty(t, left)
	trail, err := s.trail.Latest(t.Context(), 10)
	require.NoError(t, err)
	require.Empty(t, trail)
}

// TestWhoIsOver89 has no day that says so.
func TestWhoIsOver89(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"{method: year}", "{days: 7, weekdays: true}"} {
		s := newSite(t, sqltest.SQLite(t), 40)
		folder, m := s.write(t, "study: one\nk: 2\nsuppression-limit: 0.5\nbirth-year-bands: [1]\nquasi-identifiers: [gender]\ndates: "+method+"\n", 1)
		for _, r := range load(t, folder, "person") {
			require.EqualValues(t, 1900, r.Int("year_of_birth"), "it is left out")
			require.Zero(t, r.Int("race_concept_id"))
		}
		oldest := 0
		for _, r := range load(t, folder, "observation_period") {
			start, _ := r.Day("observation_period_start_date")
			end, _ := r.Day("observation_period_end_date")
			require.LessOrEqual(t, end, int32(sqldb.DateOf(now)))
			require.GreaterOrEqual(t, omop.Date(start).Time().Year(), 1936)
			if omop.Date(start) == sqldb.Day(1936, 1, 1) {
				oldest++
			}
			if method == "{method: year}" {
				require.Equal(t, 1, omop.Date(start).Time().YearDay())
				require.Equal(t, 1, omop.Date(end).Time().YearDay())
			}
		}
		require.Equal(t, 1, oldest, "the period of the oldest begins with their band")
		require.Positive(t, m.Tables[1].Cut)
		_, err := os.Stat(filepath.Join(folder, "cdm", "death.csv"))
		require.ErrorIs(t, err, fs.ErrNotExist, "death is no quasi-identifier")
	}
}

func TestOnlyThePermittedAreWritten(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t), 90)
	permitted := map[omop.PersonID]bool{}
	require.NoError(t, s.db.Read(t.Context(), func(tx *sqldb.Tx) error {
		for p, err := range s.store.Persons(t.Context(), tx) {
			require.NoError(t, err)
			if p.YearOfBirth >= 1980 {
				permitted[p.ID] = true
			}
		}
		return nil
	}))
	cfg := s.config(t, "study: one\nk: 2\nquasi-identifiers: [gender]\n", "", 1)
	cfg.To = filepath.Join(t.TempDir(), "extract")
	cfg.Permits, cfg.Trial = func(p omop.PersonID) bool { return permitted[p] }, "glucose-1"
	m, err := extract.Write(t.Context(), cfg)
	require.NoError(t, err)
	require.Equal(t, extract.Persons{Store: 90, Eligible: len(permitted), Written: len(permitted)}, m.Persons)
	require.Less(t, m.Risk.Journalist, m.Risk.Prosecutor, "others of the site look the same")
	for _, r := range load(t, cfg.To, "measurement") {
		require.GreaterOrEqual(t, s.born[int(*r.Number("value_as_number"))/100], sqldb.Day(1980, 1, 1))
	}
}

func TestPersonsDoNotPrint(t *testing.T) {
	t.Parallel()
	require.Equal(t, "key:redacted", fmt.Sprintf("%v", extract.NewKey([32]byte{1})))
	s := newSite(t, sqltest.SQLite(t), 3)
	require.NoError(t, s.db.Read(t.Context(), func(tx *sqldb.Tx) error {
		var ids []omop.PersonID
		for p, err := range s.store.Persons(t.Context(), tx) {
			require.NoError(t, err)
			ids = append(ids, p.ID)
		}
		for x, err := range s.store.Extract(t.Context(), tx, omop.ConditionTable, []string{"condition_start_date"}, ids) {
			require.NoError(t, err)
			require.Equal(t, "row:redacted row:redacted", fmt.Sprintf("%v %+v", x, x.ID))
			_, err := json.Marshal(x)
			require.Error(t, err)
		}
		for _, column := range []string{"stop_reason", "condition_source_value", "person_id", "nothing"} {
			for _, err := range s.store.Extract(t.Context(), tx, omop.ConditionTable, []string{column}, ids) {
				require.ErrorContains(t, err, "does not leave the store")
			}
		}
		return nil
	}))
}
