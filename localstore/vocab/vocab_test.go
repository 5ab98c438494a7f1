package vocab_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/localstore/vocab"
)

func opened(t testing.TB, db *sqldb.DB) *vocab.Store {
	t.Helper()
	s, err := vocab.Open(t.Context(), db)
	require.NoError(t, err)
	return s
}

func lookup(t testing.TB, s *vocab.Store, vocabulary, code string) vocab.Mapping {
	t.Helper()
	m, err := s.Lookup(t.Context(), vocabulary, code)
	require.NoError(t, err)
	return m
}

// athena is a folder in Athena's own layout: tabs, no quoting, dates without
// hyphens. Each line of concepts is "id code standard invalid".
func athena(release string, concepts []string, maps ...[2]int) fstest.MapFS {
	var c, r strings.Builder
	c.WriteString("concept_id\tconcept_name\tdomain_id\tvocabulary_id\tconcept_class_id\tstandard_concept\tconcept_code\tvalid_start_date\tvalid_end_date\tinvalid_reason\r\n")
	for _, line := range concepts {
		f := strings.Split(line, " ")
		fmt.Fprintf(&c, "%s\tA \"quoted\" name, with comma\tDrug\tRxNorm\tClinical Drug\t%s\t%s\t19700101\t20991231\t%s\r\n", f[0], f[2], f[1], f[3])
	}
	r.WriteString("concept_id_1\tconcept_id_2\trelationship_id\tvalid_start_date\tvalid_end_date\tinvalid_reason\n")
	for _, m := range maps {
		fmt.Fprintf(&r, "%d\t%d\tMaps to\t19700101\t20991231\t\n%d\t%d\tMapped from\t19700101\t20991231\t\n", m[0], m[1], m[1], m[0])
	}
	return fstest.MapFS{
		"CONCEPT.csv":              {Data: []byte(c.String())},
		"CONCEPT_RELATIONSHIP.csv": {Data: []byte(r.String())},
		"VOCABULARY.csv":           {Data: []byte("vocabulary_id\tvocabulary_name\tvocabulary_reference\tvocabulary_version\tvocabulary_concept_id\nNone\tx\tx\t" + release + "\t0\n")},
	}
}

func TestLookupInARealVocabulary(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := opened(t, db)
		require.Empty(t, lookup(t, s, "LOINC", "8480-6"), "nothing is loaded")
		loaded, err := s.Load(t.Context(), os.DirFS("testdata/comma"))
		require.NoError(t, err)
		require.EqualValues(t, 24, loaded.Concepts)
		require.Regexp(t, `^v5\.0 09-APR-22\*\+[0-9a-f]{12}$`, loaded.Version)
		version, err := s.Version(t.Context())
		require.NoError(t, err)
		require.Equal(t, loaded.Version, version)

		systolic := vocab.Concept{
			ID: 3004249, Name: "Systolic blood pressure", Domain: "Measurement", Vocabulary: "LOINC", Class: "Clinical Observation", Code: "8480-6", Standard: true,
		}
		require.Equal(t, vocab.Mapping{Source: systolic, Standard: []vocab.Concept{systolic}}, lookup(t, s, "LOINC", "8480-6"))
		for name, c := range map[string]struct {
			vocabulary, code string
			source           int64
			standard         []int64
		}{
			"standard":                        {"SNOMED", "59621000", 320128, []int64{320128}},
			"unit":                            {"UCUM", "mm[Hg]", 8876, []int64{8876}},
			"replaced by another":             {"UCUM", "mg/d", 8700, []int64{8909}},
			"replaced by one that is missing": {"SNOMED", "15777000", 40316773, nil},
			"unknown code":                    {"SNOMED", "428191000124101", 0, nil},
			"unknown vocabulary":              {"CVX", "140", 0, nil},
			"code of another vocabulary":      {"LOINC", "59621000", 0, nil},
		} {
			for range 2 { // the second from memory
				m := lookup(t, s, c.vocabulary, c.code)
				require.Equal(t, c.source, m.Source.ID, name)
				var ids []int64
				for _, x := range m.Standard {
					ids = append(ids, x.ID)
					require.True(t, x.Standard)
				}
				require.Equal(t, c.standard, ids, name)
			}
		}
	})
}

func TestAthenaLayout(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := opened(t, db)
		loaded, err := s.Load(t.Context(), athena("v1", []string{"1 A  ", "2 B S ", "3 C S ", "4 D  D", "5 D S ", "6 E S "}, [2]int{1, 2}, [2]int{1, 3}, [2]int{4, 2}))
		require.NoError(t, err)
		require.EqualValues(t, 6, loaded.Concepts)
		require.EqualValues(t, 3, loaded.Mappings)
		a := lookup(t, s, "RxNorm", "A")
		require.Equal(t, `A "quoted" name, with comma`, a.Source.Name)
		require.Len(t, a.Standard, 2, "a code that says two things")
		require.EqualValues(t, 5, lookup(t, s, "RxNorm", "D").Source.ID, "the valid concept of a code used twice")
		require.Len(t, lookup(t, s, "RxNorm", "E").Standard, 1, "a standard concept without a mapping to itself")
	})
}

func TestLoadReplacesEverythingAtOnce(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s, other := opened(t, db), opened(t, db)
		old, err := s.Load(t.Context(), athena("v1", []string{"1 A S ", "2 B S "}))
		require.NoError(t, err)
		_, err = other.Version(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 1, lookup(t, other, "RxNorm", "A").Source.ID)
		require.Zero(t, lookup(t, s, "RxNorm", "C").Source.ID)

		// While it loads, a reader sees A and B or neither.
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		torn := make(chan string, 1)
		wg.Go(func() {
			for ctx.Err() == nil {
				var n int
				err := db.Read(ctx, func(tx *sqldb.Tx) error {
					return tx.QueryRow(ctx, "SELECT count(*) FROM concept WHERE concept_code IN ('A', 'B')").Scan(&n)
				})
				if err == nil && n != 2 && n != 0 {
					torn <- fmt.Sprint(n)
					return
				}
			}
		})
		for i := range 3 {
			loaded, err := s.Load(t.Context(), athena("v1", []string{fmt.Sprintf("%d A S ", 10+i), fmt.Sprintf("%d B S ", 20+i), "30 C S "}))
			require.NoError(t, err)
			require.NotEqual(t, old.Version, loaded.Version, "the same name with another content")
			require.EqualValues(t, 10+i, lookup(t, s, "RxNorm", "A").Source.ID)
		}
		cancel()
		wg.Wait()
		require.Empty(t, torn)
		require.EqualValues(t, 30, lookup(t, s, "RxNorm", "C").Source.ID, "what was unknown is looked up again")
		require.EqualValues(t, 1, lookup(t, other, "RxNorm", "A").Source.ID, "from the other's memory")
		_, err = other.Version(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 12, lookup(t, other, "RxNorm", "A").Source.ID)
	})
}

func TestBadFilesLeaveTheOldVocabularies(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := opened(t, db)
		before, err := s.Load(t.Context(), athena("v1", []string{"1 A S "}))
		require.NoError(t, err)
		const header = "concept_id\tconcept_name\tdomain_id\tvocabulary_id\tconcept_class_id\tstandard_concept\tconcept_code\tvalid_start_date\tvalid_end_date\tinvalid_reason\n"
		row := func(id, name, start string) string {
			return id + "\t" + name + "\tDrug\tRxNorm\tx\tS\tA\t" + start + "\t20991231\t\n"
		}
		for name, content := range map[string]string{
			"empty file":       "",
			"header only":      header,
			"missing column":   strings.Replace(header, "concept_code", "code", 1) + row("9", "n", "19700101"),
			"missing field":    header + "9\tname\n",
			"id is no number":  header + row("9x", "n", "19700101"),
			"id is too large":  header + row("4294967296", "n", "19700101"),
			"no date":          header + row("9", "n", "soon"),
			"not UTF-8":        header + row("9", "\xff", "19700101"),
			"long name":        header + row("9", strings.Repeat("n", 256), "19700101"),
			"long line":        header + row("9", strings.Repeat("n", 1<<20), "19700101"),
			"same concept":     header + row("9", "n", "19700101") + row("9", "n", "19700101"),
			"quotes, no match": strings.ReplaceAll(header, "\t", ",") + "9,\"n,Drug,RxNorm,x,S,A,19700101,20991231,\n",
		} {
			bad := athena("v2", []string{"1 A S "})
			bad["CONCEPT.csv"] = &fstest.MapFile{Data: []byte(content)}
			_, err := s.Load(t.Context(), bad)
			require.Error(t, err, name)
			if name != "same concept" {
				require.ErrorIs(t, err, vocab.ErrFormat, name)
			}
			version, err := s.Version(t.Context())
			require.NoError(t, err)
			require.Equal(t, before.Version, version, name)
			require.EqualValues(t, 1, lookup(t, s, "RxNorm", "A").Source.ID, name)
		}
		for _, name := range []string{"CONCEPT.csv", "CONCEPT_RELATIONSHIP.csv"} {
			bad := athena("v2", []string{"1 A S "})
			delete(bad, name)
			_, err := s.Load(t.Context(), bad)
			require.ErrorIs(t, err, os.ErrNotExist)
			bad[name+".gz"] = &fstest.MapFile{Data: []byte("not gzip")}
			_, err = s.Load(t.Context(), bad)
			require.ErrorIs(t, err, vocab.ErrFormat)
		}
		ok := athena("v2", []string{"7 A S "})
		delete(ok, "VOCABULARY.csv")
		loaded, err := s.Load(t.Context(), ok)
		require.NoError(t, err, "loads again after all that")
		require.True(t, strings.HasPrefix(loaded.Version, "unnamed+"))
	})
}

func TestManyRowsAreLoadedInBatches(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := opened(t, db)
		const n = 20_001
		concepts := make([]string, n)
		for i := range concepts {
			concepts[i] = fmt.Sprintf("%d C%d S ", i+1, i+1)
		}
		loaded, err := s.Load(t.Context(), athena("v1", concepts))
		require.NoError(t, err)
		require.EqualValues(t, n, loaded.Concepts)
		require.EqualValues(t, n, lookup(t, s, "RxNorm", fmt.Sprintf("C%d", n)).Source.ID)
	})
}

func TestConceptsByID(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := opened(t, db)
		_, err := s.Load(t.Context(), athena("r", []string{"7 A S ", "8 B  U"}))
		require.NoError(t, err)
		found, err := s.Concepts(t.Context(), []int64{7, 8, 9})
		require.NoError(t, err)
		require.Len(t, found, 2, "9 is not loaded")
		require.Equal(t, "Drug", found[7].Domain)
		require.True(t, found[7].Standard)
		require.False(t, found[8].Standard)
	})
}

func TestWhatIsMoreGeneral(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := opened(t, db)
		folder := athena("v1", []string{"1 A S ", "2 B S ", "3 C S D", "4 D  "}, [2]int{4, 2}, [2]int{2, 2})
		_, err := s.Load(t.Context(), folder)
		require.NoError(t, err)
		is, err := s.Hierarchy(t.Context())
		require.NoError(t, err)
		require.False(t, is)

		concepts := string(folder["CONCEPT.csv"].Data)
		folder["CONCEPT.csv"].Data = []byte(strings.Replace(concepts, "Clinical Drug", "Ingredient", 1)) // the first
		folder["CONCEPT_ANCESTOR.csv"] = &fstest.MapFile{Data: []byte("ancestor_concept_id\tdescendant_concept_id\tmin_levels_of_separation\tmax_levels_of_separation\n" +
			"1\t1\t0\t0\n1\t2\t1\t1\n1\t3\t1\t2\n2\t2\t0\t0\n2\t3\t1\t1\n")}
		for range 2 { // also in the place of itself
			loaded, err := s.Load(t.Context(), folder)
			require.NoError(t, err)
			require.EqualValues(t, 5, loaded.Ancestry)
		}
		is, err = s.Hierarchy(t.Context())
		require.NoError(t, err)
		require.True(t, is)
		below, err := s.Descendants(t.Context(), []int64{1, 9})
		require.NoError(t, err)
		require.Equal(t, []int64{1, 2}, below, "3 is not valid any more")
		known, err := s.Known(t.Context(), []int64{3, 9, 1})
		require.NoError(t, err)
		require.Equal(t, []int64{1, 3}, known)
		standard, err := s.Standard(t.Context(), []int64{1, 1, 2, 4, 9})
		require.NoError(t, err)
		require.Equal(t, 2, standard, "4 is not standard, 9 not loaded")
		maps, err := s.MapTo(t.Context(), []int64{2})
		require.NoError(t, err)
		require.Equal(t, []int64{2, 4}, maps)
		ingredients, err := s.Ingredients(t.Context(), []int64{2, 3, 4})
		require.NoError(t, err)
		require.Equal(t, map[int64][]int64{2: {1}, 3: {1}}, ingredients)
	})
}
