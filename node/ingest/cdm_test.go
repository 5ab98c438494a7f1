package ingest_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/jobs"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/ingest"
)

// table is a file of a CDM.
func csvOf(lines ...string) []byte { return []byte(strings.Join(lines, "\n") + "\n") }

const (
	personHead    = "person_id,gender_concept_id,year_of_birth,month_of_birth,day_of_birth,race_concept_id,ethnicity_concept_id"
	conditionHead = "condition_occurrence_id,person_id,condition_concept_id,condition_start_date,condition_end_date,condition_type_concept_id,visit_occurrence_id,provider_id"
)

func TestDefectsOfACDMAreNamed(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		s.run(t)
		early := s.load(t, "condition_occurrence.csv", csvOf(conditionHead, "1,-9007199254740993,28060,2020-01-01,,32817,,"))
		require.EqualValues(t, 1, early.Counts.Rejected, "the person comes later")

		person := s.load(t, "person.csv", csvOf(personHead, "-9007199254740993,8532,1950,1,1,8527,0", "7,8532,1960,,,,", "7,8507,1961,,,8527,0", "8,8507,,,,8527,0"))
		require.EqualValues(t, 2, person.Counts.Stored)
		require.EqualValues(t, 2, person.Counts.Rejected)
		require.Equal(t, map[string]int64{"required-empty race_concept_id": 1, "required-empty ethnicity_concept_id": 1}, only(person.Counts.Findings, "required-empty"))
		require.Equal(t, []string{"3 race_concept_id required-empty", "3 ethnicity_concept_id required-empty", "4 person_id duplicate-primary-key", "5 year_of_birth missing-field"}, lines(t, s, person.ID))

		death := s.load(t, "death.csv", csvOf("person_id,death_date", "-9007199254740993,2021-01-01"))
		require.EqualValues(t, 1, death.Counts.Stored)
		job := s.load(t, "condition_occurrence.csv", csvOf(conditionHead,
			"-9223372036854775808,-9007199254740993,28060,2020-01-01,,32817,,", // a sore throat
			"2,-9007199254740993,28060,1949-12-31,,32817,,",                    // before birth
			"3,-9007199254740993,28060,2021-06-01,,32817,,",                    // after death
			"4,-9007199254740993,28060,2020-01-02,2019-01-01,32817,99,",        // ends before it starts, no such visit
			"5,-9007199254740993,2000000001,2020-01-01,,32817,,",               // the site's own concept
			"6,-9007199254740993,0,2020-01-01,,32817,,12",                      // without one; of a provider who is not there
			"7,-9007199254740993,3004249,2020-01-01,,32817,,",                  // systolic blood pressure
			"8,9,28060,2020-01-01,,32817,,",                                    // nobody
		))
		require.EqualValues(t, 7, job.Counts.Stored)
		require.EqualValues(t, 1, job.Counts.Rejected)
		require.Equal(t, map[string]int64{"condition_occurrence code": 1}, job.Counts.Unmapped)
		delete(job.Counts.Findings, "unknown-concept condition_type_concept_id") // which the small vocabulary does not have
		require.Equal(t, map[string]int64{
			"before-birth": 1, "after-death": 1, "end-before-start": 1, "unknown-visit visit_occurrence_id": 1,
			"unknown-concept condition_concept_id": 1, "wrong-domain condition_concept_id": 1, "unknown-row provider_id": 1,
		}, job.Counts.Findings)
		listed := lines(t, s, job.ID)
		for _, want := range []string{"6 condition_concept_id unknown-concept", "8 condition_concept_id wrong-domain", "5 visit_occurrence_id unknown-visit", "7 provider_id unknown-row"} {
			require.Contains(t, listed, want)
		}
		origin(t, s, "-9223372036854775808", "line 2")

		period := s.load(t, "observation_period.csv", csvOf("observation_period_id,person_id,observation_period_start_date,observation_period_end_date,period_type_concept_id",
			"1,-9007199254740993,1949-01-01,2020-12-31,32817", "2,-9007199254740993,2020-12-31,2020-01-01,32817"))
		require.EqualValues(t, 1, period.Counts.Stored)
		require.EqualValues(t, 1, period.Counts.Rejected, "one that ends before it begins would hide its person")
		require.EqualValues(t, 1, period.Counts.Findings["before-birth observation_period_start_date"])
		require.EqualValues(t, 1, period.Counts.Findings["end-before-start observation_period_end_date"])

		for name, file := range map[string][]byte{
			"vocabulary-table": csvOf("concept_id\tconcept_name\tdomain_id\tvocabulary_id\tconcept_class_id\tstandard_concept\tconcept_code\tvalid_start_date\tvalid_end_date\tinvalid_reason", "1\tx\tDrug\tRxNorm\tx\tS\t1\t19700101\t20991231\t"),
			"derived-table":    csvOf("condition_era_id,person_id,condition_concept_id,condition_era_start_date,condition_era_end_date,condition_occurrence_count", "1,1,1,2020-01-01,2020-01-01,1"),
			"table-not-stored": csvOf("note_id,person_id,note_date,note_type_concept_id,note_class_concept_id,note_text,encoding_concept_id,language_concept_id", "1,1,2020-01-01,1,1,x,0,0"),
		} {
			job := s.load(t, name, file)
			require.EqualValues(t, 1, job.Counts.Rejected, name)
			require.Len(t, lines(t, s, job.ID), 1)
			require.True(t, strings.HasSuffix(lines(t, s, job.ID)[0], name), name)
		}
	})
}

// only are the findings of a rule.
func only(findings map[string]int64, rule string) map[string]int64 {
	out := maps.Clone(findings)
	maps.DeleteFunc(out, func(k string, _ int64) bool { return !strings.HasPrefix(k, rule) })
	return out
}

// lines are the problems of a job, but for those of concepts that the vocabulary of
// the tests does not have in columns that they do not look at.
func lines(t testing.TB, s *site, id ingest.JobID) (out []string) {
	t.Helper()
	list, err := s.Problems(t.Context(), id, 0, 1000)
	require.NoError(t, err)
	for _, p := range list {
		if p.Rule != "unknown-concept" || p.Path == "condition_concept_id" {
			out = append(out, fmt.Sprintf("%d %s %s", p.Line, p.Path, p.Rule))
		}
	}
	return out
}

func origin(t testing.TB, s *site, condition, pointer string) {
	t.Helper()
	require.NoError(t, s.db.Read(t.Context(), func(tx *sqldb.Tx) error {
		o, err := s.store.Origin(t.Context(), tx, omop.ConditionTable, omop.NewKey("omop|person/-9007199254740993"), omop.NewKey("omop|condition_occurrence/"+condition))
		require.NoError(t, err)
		require.Equal(t, pointer, o.Pointer)
		return nil
	}))
}

// TestANewReleaseOfACDMReplaces: the rows of the site's numbers change, and those of
// FHIR with the same numbers do not.
func TestANewReleaseOfACDMReplaces(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		s.run(t)
		s.load(t, "p.ndjson", []byte(`{"resourceType":"Patient","id":"7","gender":"female","birthDate":"1970-01-01"}`))
		s.load(t, "person.csv", csvOf(personHead, "7,8532,1960,,,8527,0"))
		first := s.load(t, "condition_occurrence.csv", csvOf(conditionHead, "1,7,320128,2020-01-01,,32817,,", "2,7,320128,2020-01-01,,32817,,"))
		require.EqualValues(t, 2, first.Counts.Stored)
		before := s.counts(t)
		require.EqualValues(t, 2, before[omop.PersonTable], "the Patient 7 and the person 7 are two")
		second := s.load(t, "condition_occurrence.csv", csvOf(conditionHead, "1,7,201826,2020-01-01,,32817,,", "2,7,320128,2020-01-01,,32817,,"))
		require.EqualValues(t, 1, second.Counts.Replaced)
		require.EqualValues(t, 1, second.Counts.Duplicates)
		require.Equal(t, before, s.counts(t))
	})
}

// TestFindingsAreCountedOnce: what an attempt found that did not end is not counted
// again by the next.
func TestFindingsAreCountedOnce(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		log, err := audit.Open(t.Context(), db, discard)
		require.NoError(t, err)
		trail := &failingTrail{Trail: log}
		s := newSite(t, db, func(c *ingest.Config, _ *jobs.Config) { c.Trail, c.BatchRows = trail, 10 })
		s.run(t)
		s.load(t, "person.csv", csvOf(personHead, "7,8532,1960,1,1,8527,0"))
		rows := []string{conditionHead}
		for i := range 95 {
			rows = append(rows, fmt.Sprintf("%d,7,28060,%s,,32817,99,", i, time.Date(2020, 1, 1+i, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)))
		}
		trail.failures.Store(2)
		job := s.load(t, "condition_occurrence.csv", csvOf(append(rows, rows[1])...))
		require.Equal(t, 3, job.Attempt)
		require.EqualValues(t, 95, job.Counts.Stored)
		require.EqualValues(t, 95, job.Counts.Findings["unknown-visit visit_occurrence_id"])
		require.Equal(t, []string{"2 visit_occurrence_id unknown-visit", "97 condition_occurrence_id duplicate-primary-key"}, lines(t, s, job.ID))
	})
}

// TestDevicesSpecimensDetailsAndPayers of a CDM are stored, with the visits they are in.
func TestDevicesSpecimensDetailsAndPayers(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		s.run(t)
		s.load(t, "person.csv", csvOf(personHead, "1,8532,1950,1,1,8527,0"))
		s.load(t, "visit_occurrence.csv", csvOf("visit_occurrence_id,person_id,visit_concept_id,visit_start_date,visit_end_date,visit_type_concept_id", "5,1,9201,2020-01-01,2020-01-09,32817"))
		for name, rows := range map[string][]byte{
			"device_exposure.csv": csvOf("device_exposure_id,person_id,device_concept_id,device_exposure_start_date,device_exposure_end_date,device_type_concept_id,unique_device_id,quantity,visit_occurrence_id",
				"1,1,0,2020-01-02,2020-01-03,32817,(01)0123,2,5"),
			"specimen.csv": csvOf("specimen_id,person_id,specimen_concept_id,specimen_type_concept_id,specimen_date,quantity,specimen_source_id", "1,1,0,32817,2020-01-02,2.5,tube 7"),
			"visit_detail.csv": csvOf("visit_detail_id,person_id,visit_detail_concept_id,visit_detail_start_date,visit_detail_end_date,visit_detail_type_concept_id,visit_occurrence_id",
				"1,1,0,2020-01-02,2020-01-03,32817,5", "2,1,0,2020-01-02,,32817,6"),
			"payer_plan_period.csv": csvOf("payer_plan_period_id,person_id,payer_plan_period_start_date,payer_plan_period_end_date,payer_source_value,family_source_value",
				"1,1,2020-01-01,2020-12-31,AOK,f 1", "2,1,2020-12-31,2020-01-01,AOK,"),
		} {
			job := s.load(t, name, rows)
			require.EqualValues(t, 1+strings.Count(name, "detail"), job.Counts.Stored, "%s: %v", name, job.Counts)
			require.NotContains(t, job.Counts.Findings, "not-kept visit_detail_id")
		}
		require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
			var got [8]string
			require.NoError(t, tx.QueryRow(t.Context(), `SELECT d.unique_device_id, CAST(d.quantity AS TEXT), CAST(d.visit_occurrence_id - v.visit_occurrence_id AS TEXT),
				s.specimen_source_id, CAST(CAST(s.quantity AS DOUBLE PRECISION) AS TEXT), p.payer_source_value, p.family_source_value,
				CAST((SELECT count(*) FROM visit_detail x WHERE x.visit_occurrence_id IN (0, v.visit_occurrence_id)) AS TEXT)
				FROM device_exposure d, visit_occurrence v, specimen s, payer_plan_period p`).
				Scan(&got[0], &got[1], &got[2], &got[3], &got[4], &got[5], &got[6], &got[7]))
			require.Equal(t, [8]string{"(01)0123", "2", "0", "tube 7", "2.5", "AOK", "f 1", "2"}, got)
			return nil
		}))
	})
}

// TestWhoGivesCareOfACDM is stored by specialty and place, and what names someone is not.
func TestWhoGivesCareOfACDM(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		s.run(t)
		s.load(t, "location.csv", csvOf("location_id,address_1,city,state,zip,country_source_value", "3,1 Elm Street,Bangor,ME,04401,US"))
		s.load(t, "care_site.csv", csvOf("care_site_id,care_site_name,place_of_service_concept_id,location_id,care_site_source_value,place_of_service_source_value",
			"7,Practice of Doe,8717,3,17,HOSP", "8,,,,,"))
		job := s.load(t, "provider.csv", csvOf("provider_id,provider_name,npi,specialty_concept_id,care_site_id,year_of_birth,gender_concept_id,provider_source_value,specialty_source_value",
			"1,Jane Doe,1,38004446,7,1960,8532,jd,GP", "2,John Doe,2,,9,,,,"))
		require.EqualValues(t, 2, job.Counts.Stored)
		for column, n := range map[string]int64{"provider_name": 2, "npi": 2, "year_of_birth": 1, "gender_concept_id": 1, "provider_source_value": 1} {
			require.Equal(t, n, job.Counts.Findings["not-kept "+column], column)
		}
		require.EqualValues(t, 1, job.Counts.Findings["unknown-row care_site_id"])
		s.load(t, "person.csv", csvOf(personHead+",provider_id", "1,8532,1950,1,1,8527,0,1"))
		job = s.load(t, "visit_occurrence.csv", csvOf("visit_occurrence_id,person_id,visit_concept_id,visit_start_date,visit_end_date,visit_type_concept_id,provider_id,care_site_id",
			"5,1,9201,2020-01-01,2020-01-09,32817,1,7", "6,1,9201,2020-02-01,2020-02-09,32817,4,8"))
		require.Equal(t, map[string]int64{"unknown-row provider_id": 1}, only(job.Counts.Findings, "unknown-row"))
		s.load(t, "condition_occurrence.csv", csvOf(conditionHead, "1,1,28060,2020-01-01,,32817,5,2"))
		require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
			var got [6]string
			require.NoError(t, tx.QueryRow(t.Context(), `SELECT CAST(p.specialty_concept_id AS TEXT), p.specialty_source_value, CAST(s.place_of_service_concept_id AS TEXT), l.state,
				CAST((SELECT count(*) FROM condition_occurrence c JOIN provider q ON q.provider_id = c.provider_id WHERE q.specialty_concept_id IS NULL) AS TEXT),
				CAST((SELECT count(provider_name) + count(npi) + count(year_of_birth) + count(gender_concept_id) + count(provider_source_value) FROM provider)
					+ (SELECT count(care_site_name) + count(care_site_source_value) FROM care_site) + (SELECT count(address_1) + count(city) + count(zip) FROM location)
					+ (SELECT count(provider_id) FROM person) AS TEXT)
				FROM visit_occurrence v JOIN provider p ON p.provider_id = v.provider_id JOIN care_site s ON s.care_site_id = v.care_site_id
				JOIN location l ON l.location_id = s.location_id WHERE p.care_site_id = s.care_site_id`).Scan(&got[0], &got[1], &got[2], &got[3], &got[4], &got[5]))
			require.Equal(t, [6]string{"38004446", "GP", "8717", "ME", "1", "0"}, got)
			return nil
		}))
	})
}
