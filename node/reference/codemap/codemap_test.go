package codemap_test

import (
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/series"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/reference"
	"github.com/trialmesh/trialmesh/node/reference/codemap"
)

var now = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

const (
	head      = "source_code,source_concept_id,source_vocabulary_id,source_code_description,target_concept_id,target_vocabulary_id,valid_start_date,valid_end_date,invalid_reason\n"
	potassium = "K,0,99LAB,Kalium,3023103,LOINC,1970-01-01,2099-12-31,\n"
)

// site is a store of maps with what it looks through.
type site struct {
	*codemap.Store
	db     *sqldb.DB
	words  *vocab.Store
	people *omop.Store
}

// concepts is a vocabulary as Athena delivers it; the codes given are standard.
func concepts(standard ...string) fstest.MapFS {
	text := "concept_id\tconcept_name\tdomain_id\tvocabulary_id\tconcept_class_id\tstandard_concept\tconcept_code\tvalid_start_date\tvalid_end_date\tinvalid_reason\n" +
		"45533052\tOld pain\tCondition\tICD10CM\tx\t\tR52\t19700101\t20991231\t\n"
	for _, line := range standard {
		f := strings.Split(line, " ")
		text += f[0] + "\tname\t" + f[3] + "\t" + f[1] + "\tx\tS\t" + f[2] + "\t19700101\t20991231\t\n"
	}
	return fstest.MapFS{
		"CONCEPT.csv":              {Data: []byte(text)},
		"CONCEPT_RELATIONSHIP.csv": {Data: []byte("concept_id_1\tconcept_id_2\trelationship_id\tvalid_start_date\tvalid_end_date\tinvalid_reason\n")},
	}
}

func open(t *testing.T, db *sqldb.DB) site {
	t.Helper()
	ctx := t.Context()
	words, err := vocab.Open(ctx, db)
	require.NoError(t, err)
	_, err = words.Load(ctx, concepts("3023103 LOINC 2823-3 Measurement", "3019550 LOINC 2951-2 Measurement", "8753 UCUM mmol/L Unit"))
	require.NoError(t, err)
	people, err := omop.Open(ctx, db)
	require.NoError(t, err)
	measured, err := series.Open(ctx, db, series.Config{})
	require.NoError(t, err)
	kept, err := reference.Open(ctx, db)
	require.NoError(t, err)
	return site{codemap.New(codemap.Config{Kept: kept, Vocabulary: words, DB: db, People: people, Series: measured}), db, words, people}
}

func (s site) imported(t *testing.T, rows string, replace bool) reference.Version {
	t.Helper()
	v, err := s.Import(t.Context(), []byte(head+rows), replace, now)
	require.NoError(t, err)
	return v
}

func (s site) ids(t *testing.T, vocabulary, code string) (ids []int64) {
	t.Helper()
	m, err := s.Map(t.Context())
	require.NoError(t, err)
	for _, c := range m.Standard(vocabulary, code) {
		ids = append(ids, c.ID)
	}
	return ids
}

func TestMapsAreVersioned(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db)
		require.Empty(t, s.ids(t, "99LAB", "K"))
		file, err := s.File(t.Context(), 0)
		require.NoError(t, err)
		require.Equal(t, head, string(file))

		first := s.imported(t, potassium+"NA,0,None,,3019550,LOINC,19700101,20991231,\nmmol/l,0,http://unitsofmeasure.org,,8753,UCUM,1970-01-01,2099-12-31,\n", false)
		require.Equal(t, []int{1, 3}, []int{first.Number, first.Entries})
		require.Equal(t, []int64{3023103}, s.ids(t, "99LAB", "K"))
		require.Empty(t, s.ids(t, "WinPath", "K"), "another laboratory's")
		require.Equal(t, []int64{3019550}, s.ids(t, "WinPath", "NA"), "an entry of no system counts for all")
		require.Equal(t, []int64{8753}, s.ids(t, "UCUM", "mmol/l"), "a URI is OMOP's name of it")
		require.Empty(t, s.ids(t, "UCUM", "NA"), "a code is no unit")

		// Another import of 99LAB replaces its rows and no others.
		second := s.imported(t, "K,0,99LAB,,3023103,LOINC,1970-01-01,2099-12-31,D\nKA,0,99LAB,,3023103,,,,\nKA,0,99LAB,,3019550,,,,\n", false)
		require.Equal(t, []int{2, 5}, []int{second.Number, second.Entries})
		require.Empty(t, s.ids(t, "99LAB", "K"), "an invalid entry is kept and not used")
		require.Equal(t, []int64{3023103, 3019550}, s.ids(t, "99LAB", "KA"), "a code may mean several things")
		require.NotEmpty(t, s.ids(t, "x", "NA"))

		number, entries, err := s.Entries(t.Context(), 1)
		require.NoError(t, err)
		require.Equal(t, 1, number)
		require.Equal(t, codemap.Entry{
			Code: "K", Vocabulary: "99LAB", Description: "Kalium", Target: 3023103, TargetIn: "LOINC",
			From: sqldb.Day(1970, 1, 1), To: sqldb.Day(2099, 12, 31),
		}, entries[0])
		file, err = s.File(t.Context(), 0)
		require.NoError(t, err)
		again, err := s.Import(t.Context(), file, true, now)
		require.NoError(t, err)
		require.Equal(t, second.Digest, again.Digest, "an export that is imported changes nothing")
		_, err = s.File(t.Context(), 7)
		require.ErrorIs(t, err, reference.ErrVersion)

		s.imported(t, "NA,0,RIS,,0,None,1970-01-01,2099-12-31,\n", false)
		require.Empty(t, s.ids(t, "RIS", "NA"), "known to have none, whatever counts for all")
		s.imported(t, potassium, true)
		require.Empty(t, s.ids(t, "x", "NA"), "replaced as a whole")

		// A vocabulary in which a target is not standard any more.
		_, err = s.words.Load(t.Context(), concepts("3019550 LOINC 2951-2 Measurement"))
		require.NoError(t, err)
		require.Empty(t, s.ids(t, "99LAB", "K"))
	})
}

func TestFaultsOfAMapAreNamed(t *testing.T) {
	t.Parallel()
	s := open(t, sqltest.SQLite(t))
	for name, c := range map[string]struct{ rows, says string }{
		"no such concept":    {strings.Replace(potassium, "3023103", "4", 1), "line 2: the vocabulary has no concept 4"},
		"not standard":       {strings.Replace(potassium, "3023103", "45533052", 1), "concept 45533052 is not a standard concept"},
		"another vocabulary": {strings.Replace(potassium, "LOINC", "SNOMED", 1), "is of LOINC"},
		"no number":          {strings.Replace(potassium, "3023103", "K", 1), "target_concept_id is not a concept's number"},
		"past":               {strings.Replace(potassium, "2099-12-31", "2019-12-31", 1), "valid_end_date is past"},
		"dates":              {strings.Replace(potassium, "1970-01-01", "2100-01-01", 1), "valid_end_date is before"},
		"no date":            {strings.Replace(potassium, "1970-01-01", "then", 1), "valid_start_date is not a date"},
		"reason":             {strings.Replace(potassium, ",\n", ",X\n", 1), "invalid_reason is not empty, D or U"},
		"no code":            {strings.Replace(potassium, "K,", ",", 1), "source_code is empty"},
		"twice":              {potassium + potassium, "line 3: the code and its target stand at line 2"},
		"cut off":            {potassium + "K,0,\"99LAB", "quote"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := s.Import(t.Context(), []byte(head+c.rows), false, now)
			var faults reference.Faults
			require.ErrorAs(t, err, &faults)
			require.ErrorContains(t, err, c.says)
		})
	}
	unmapped := s.imported(t, "X,0,99LAB,,0,None,1970-01-01,2099-12-31,\n", false)
	require.Equal(t, 1, unmapped.Entries, "Usagi exports what nobody mapped with target 0")
	require.Empty(t, s.ids(t, "99LAB", "X"))
}

// TestUnmappedCodesHoldNobodysText: a value is listed if it is a code or of many.
func TestUnmappedCodesHoldNobodysText(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db)
		b := omop.Batch{Mapper: "m", At: now}
		number := 4.1
		for i := range 11 {
			who := omop.NewKey("p" + strconv.Itoa(i))
			b.Persons = append(b.Persons, omop.Person{Key: who, YearOfBirth: 1950})
			record := func(kind string) omop.Record {
				return omop.Record{Key: omop.NewKey(kind + strconv.Itoa(i)), Person: who}
			}
			b.Measurements = append(b.Measurements,
				omop.Measurement{Record: record("k"), Start: 1, SourceValue: "K", Number: &number, UnitSource: "mmol/l"},
				omop.Measurement{Record: record("known"), Start: 1, ConceptID: 3019550, SourceValue: "2951-2", Number: &number, UnitSource: "mmol/L", UnitConceptID: 8753})
			if i < 10 {
				b.Conditions = append(b.Conditions, omop.Condition{Record: record("few"), Start: 1, SourceValue: "fell down the stairs"})
			}
		}
		one := omop.Record{Key: omop.NewKey("one"), Person: omop.NewKey("p1")}
		b.Conditions = append(b.Conditions, omop.Condition{Record: one, Start: 1, SourceValue: "pain since the divorce", SourceConceptID: 45533052})
		b.Measurements = append(b.Measurements, omop.Measurement{Record: one, Start: 1, ConceptID: 3019550, Number: &number, UnitSource: "[degF]"},
			omop.Measurement{Record: omop.Record{Key: omop.NewKey("two"), Person: omop.NewKey("p1")}, Start: 1, ConceptID: 3019550, Number: &number, UnitSource: "as the wife says"})
		require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
			result, err := s.people.Put(t.Context(), tx, b)
			require.Empty(t, result.Refused)
			return err
		}))
		list, err := s.Unmapped(t.Context())
		require.NoError(t, err)
		require.Equal(t, []codemap.Unmapped{
			{Vocabulary: "None", Code: "K", Table: "measurement", Rows: 11, Persons: 11},
			{Vocabulary: "UCUM", Code: "mmol/l", Table: "measurement", Unit: true, Rows: 11, Persons: 11},
			{Vocabulary: "ICD10CM", Code: "R52", Name: "Old pain", Table: "condition_occurrence", Rows: 1, Persons: 1},
			{Vocabulary: "UCUM", Code: "[degF]", Table: "measurement", Unit: true, Rows: 1, Persons: 1},
		}, list, "by frequency")
	})
}

// FuzzMap reads arbitrary bytes as a map: what is taken can be exported and taken again.
func FuzzMap(f *testing.F) {
	f.Add([]byte(head + potassium))
	f.Add([]byte("\uFEFFSource_Code,source_vocabulary_id,target_concept_id\n\"K\"\"\",,0\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		once, err := codemap.Rewrite(data)
		if err != nil {
			return
		}
		twice, err := codemap.Rewrite(once)
		require.NoError(t, err)
		require.Equal(t, string(once), string(twice))
	})
}
