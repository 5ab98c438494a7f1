package query_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/dataset"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/eventindex"
	"github.com/trialmesh/trialmesh/node/query"
	"github.com/trialmesh/trialmesh/node/release"
	protocol "github.com/trialmesh/trialmesh/protocol/query"
)

const (
	male, female = 8507, 8532
	white        = 8527
	diabetes     = 201826
	hypertension = 320128
	metformin    = 1503297
	systolic     = 3004249
	mmHg, kPa    = 8876, 44777602
	ehr          = 32817
)

// clinic is a small population under test.
type clinic struct {
	db      *sqldb.DB
	store   *omop.Store
	cfg     query.Config
	engine  *query.Engine
	persons map[string]omop.PersonID
	rows    int
}

type units map[string]int64

func (u units) UnitConcept(_ context.Context, ucum string) (int64, error) { return u[ucum], nil }

// all permits everybody but those named.
type all map[omop.PersonID]bool

func (a all) Permits(p omop.PersonID) bool { return !a[p] }

func day(text string) omop.Date {
	d, err := sqldb.ParseDate(text)
	if err != nil {
		panic(err)
	}
	return d
}

func newClinic(t *testing.T, db *sqldb.DB) *clinic {
	t.Helper()
	store, err := omop.Open(t.Context(), db)
	require.NoError(t, err)
	words, err := vocab.Open(t.Context(), db)
	require.NoError(t, err)
	concepts := query.Concepts{Store: words}
	index, err := eventindex.Open(eventindex.Config{Dir: t.TempDir(), DB: db, Store: store, Vocabulary: concepts})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, index.Close()) })
	datasets, err := dataset.Open(t.Context(), db)
	require.NoError(t, err)
	cfg := query.Config{DB: db, Store: store, Index: index, Vocabulary: concepts, Units: units{"mm[Hg]": mmHg, "kPa": kPa}, Datasets: datasets}
	return &clinic{db: db, store: store, persons: map[string]omop.PersonID{}, cfg: cfg, engine: query.NewEngine(cfg)}
}

func (c *clinic) put(t *testing.T, b omop.Batch) {
	t.Helper()
	b.Raw, b.Mapper, b.At = [32]byte{1}, "test/1", time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	require.NoError(t, c.db.Write(t.Context(), func(tx *sqldb.Tx) error {
		result, err := c.store.Put(t.Context(), tx, b)
		require.Empty(t, result.Refused)
		return err
	}))
}

// person adds somebody who was observed from 2020 to 2025.
func (c *clinic) person(t *testing.T, name string, sex, race int64, born int) {
	t.Helper()
	key := omop.NewKey(name)
	c.put(t, omop.Batch{
		Persons: []omop.Person{{Key: key, Pointer: "p", GenderConceptID: sex, RaceConceptID: race, YearOfBirth: born}},
		Periods: []omop.ObservationPeriod{{Person: key, Start: day("2020-01-01"), End: day("2025-12-31"), TypeConceptID: ehr}},
	})
	require.NoError(t, c.db.Read(t.Context(), func(tx *sqldb.Tx) error {
		for p, err := range c.store.Persons(t.Context(), tx) {
			require.NoError(t, err)
			known := false
			for _, other := range c.persons {
				known = known || other == p.ID
			}
			if !known {
				c.persons[name] = p.ID
			}
		}
		return nil
	}))
}

func (c *clinic) record(name string) omop.Record {
	c.rows++
	return omop.Record{Key: omop.NewKey(fmt.Sprint("row", c.rows)), Person: omop.NewKey(name), Pointer: "r"}
}

func (c *clinic) condition(t *testing.T, name string, concept int64, on string) {
	t.Helper()
	c.put(t, omop.Batch{Conditions: []omop.Condition{{Record: c.record(name), ConceptID: concept, Start: day(on), TypeConceptID: ehr}}})
}

func (c *clinic) drug(t *testing.T, name string, concept int64, on string) {
	t.Helper()
	c.put(t, omop.Batch{Drugs: []omop.Drug{{Record: c.record(name), ConceptID: concept, Start: day(on), End: day(on), TypeConceptID: ehr}}})
}

func (c *clinic) pressure(t *testing.T, name string, value float64, unit int64, on string, invalid bool) {
	t.Helper()
	m := omop.Measurement{Record: c.record(name), ConceptID: systolic, Start: day(on), TypeConceptID: ehr, Number: &value, UnitConceptID: unit}
	m.Invalid = invalid
	c.put(t, omop.Batch{Measurements: []omop.Measurement{m}})
}

func cohort(window string, criteria string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"ConceptSets":[
		{"id":0,"name":"diabetes","expression":{"items":[{"concept":{"CONCEPT_ID":%d}}]}},
		{"id":1,"name":"hypertension","expression":{"items":[{"concept":{"CONCEPT_ID":%d}}]}},
		{"id":2,"name":"metformin","expression":{"items":[{"concept":{"CONCEPT_ID":%d}}]}}],
		"PrimaryCriteria":{"CriteriaList":[%s],"ObservationWindow":%s,"PrimaryCriteriaLimit":{"Type":"First"}}}`,
		diabetes, hypertension, metformin, criteria, window))
}

const (
	anyWindow   = `{"PriorDays":0,"PostDays":0}`
	hasDiabetes = `{"ConditionOccurrence":{"CodesetId":0}}`
	hasHigh     = `{"ConditionOccurrence":{"CodesetId":1}}`
	hasDrug     = `{"DrugExposure":{"CodesetId":2}}`
)

func (c *clinic) evaluate(t *testing.T, r protocol.Request, without ...string) release.Answer {
	t.Helper()
	barred := all{}
	for _, name := range without {
		barred[c.persons[name]] = true
	}
	a, err := c.engine.Evaluate(t.Context(), r, barred)
	require.NoError(t, err)
	return a
}

func counts(a release.Answer) []int64 {
	list := make([]int64, len(a.Table.Cells))
	for i, cell := range a.Table.Cells {
		list[i] = cell.N
	}
	return list
}

func (c *clinic) named(t *testing.T, names ...string) []omop.PersonID {
	t.Helper()
	var list []omop.PersonID
	for _, name := range names {
		require.Contains(t, c.persons, name)
		list = append(list, c.persons[name])
	}
	return list
}

// four: a woman and a man with diabetes, a woman with hypertension on
// metformin, and somebody of unknown sex with both diagnoses.
func four(t *testing.T, db *sqldb.DB) *clinic {
	t.Helper()
	c := newClinic(t, db)
	c.person(t, "ada", female, white, 1950)
	c.person(t, "bob", male, white, 2010)
	c.person(t, "eve", female, 0, 1984)
	c.person(t, "sam", 0, 0, 1960)
	c.condition(t, "ada", diabetes, "2024-06-01")
	c.condition(t, "ada", diabetes, "2021-06-01")
	c.condition(t, "bob", diabetes, "2020-02-01")
	c.condition(t, "eve", hypertension, "2024-06-01")
	c.drug(t, "eve", metformin, "2025-12-30")
	c.condition(t, "sam", diabetes, "2019-12-31") // before observation
	c.condition(t, "sam", hypertension, "2024-01-01")
	return c
}

func TestCohorts(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		c := four(t, db)
		for name, x := range map[string]struct {
			window, criteria string
			want             []string
		}{
			"one criterion":                     {anyWindow, hasDiabetes, []string{"ada", "bob"}},
			"any of several":                    {anyWindow, hasDiabetes + "," + hasHigh, []string{"ada", "bob", "eve", "sam"}},
			"over two domains":                  {anyWindow, hasDiabetes + "," + hasDrug, []string{"ada", "bob", "eve"}},
			"any concept of a domain":           {anyWindow, `{"DrugExposure":{}}`, []string{"eve"}},
			"31 days of observation lie before": {`{"PriorDays":31,"PostDays":0}`, hasDiabetes, []string{"ada", "bob"}},
			"32 days do not":                    {`{"PriorDays":32,"PostDays":0}`, hasDiabetes, []string{"ada"}},
			"one day lies after":                {`{"PriorDays":0,"PostDays":1}`, hasDrug, []string{"eve"}},
			"two days do not":                   {`{"PriorDays":0,"PostDays":2}`, hasDrug, nil},
			"a century":                         {`{"PriorDays":36500,"PostDays":36500}`, hasDiabetes, nil},
			"nobody":                            {anyWindow, `{"ProcedureOccurrence":{}}`, nil},
		} {
			a := c.evaluate(t, protocol.Request{Cohort: cohort(x.window, x.criteria), Analysis: protocol.Analysis{Kind: protocol.Count}})
			require.Equal(t, []int64{int64(len(x.want))}, counts(a), name)
			require.ElementsMatch(t, c.named(t, x.want...), a.Used, name)
			require.ElementsMatch(t, a.Used, a.Sets["persons"][0], name)
		}
	})
}

func TestStrata(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		c := four(t, db)
		r := protocol.Request{Cohort: cohort(anyWindow, hasDiabetes+","+hasHigh), Analysis: protocol.Analysis{Kind: protocol.Count}}
		for name, x := range map[string]struct {
			by   []protocol.Stratifier
			want []int64
		}{
			"sex":                {[]protocol.Stratifier{protocol.BySex}, []int64{2, 1, 1}},
			"race":               {[]protocol.Stratifier{protocol.ByRace}, []int64{0, 0, 0, 0, 2, 2}},
			"age at first event": {[]protocol.Stratifier{protocol.ByAgeGroup}, []int64{1, 0, 2, 1}},
			"sex and age":        {[]protocol.Stratifier{protocol.BySex, protocol.ByAgeGroup}, []int64{0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 1, 0}},
		} {
			r.Analysis.By = x.by
			a := c.evaluate(t, r)
			require.Equal(t, x.want, counts(a), name)
			for i, n := range x.want {
				require.Len(t, a.Sets["persons"][i], int(n), name)
			}
		}
	})
}

// TestWhoDoesNotPermitIsInvisible: neither counted nor looked at.
func TestWhoDoesNotPermitIsInvisible(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		c := four(t, db)
		r := protocol.Request{Cohort: cohort(anyWindow, hasDiabetes), Analysis: protocol.Analysis{Kind: protocol.Count, By: []protocol.Stratifier{protocol.BySex}}}
		a := c.evaluate(t, r, "ada")
		require.Equal(t, []int64{0, 1, 0}, counts(a))
		require.Equal(t, c.named(t, "bob"), a.Used)
		require.Equal(t, []int64{0, 0, 0}, counts(c.evaluate(t, r, "ada", "bob")))
	})
}

// ruled is a cohort of whoever has either diagnosis, with rules: the one of them, and the drug.
func ruled() json.RawMessage {
	const anyTime = `"StartWindow":{"Start":{"Coeff":-1},"End":{"Coeff":1}},"Occurrence":{"Type":2,"Count":1}`
	rule := func(name, criterion string) string {
		return fmt.Sprintf(`{"name":%q,"expression":{"Type":"ALL","CriteriaList":[{"Criteria":%s,%s}]}}`, name, criterion, anyTime)
	}
	plain := string(cohort(anyWindow, hasDiabetes+","+hasHigh))
	return json.RawMessage(plain[:len(plain)-1] + `,"InclusionRules":[` + rule("hypertension", hasHigh) + "," + rule("on metformin", hasDrug) + "]}")
}

// TestAttrition: the sets are the persons of each step, the last is the cohort.
func TestAttrition(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		c := four(t, db)
		r := protocol.Request{Cohort: ruled(), Analysis: protocol.Analysis{Kind: protocol.Count, Attrition: true}}
		a := c.evaluate(t, r)
		require.True(t, a.Nested)
		require.Equal(t, []int64{4, 2, 1}, counts(a))
		require.ElementsMatch(t, c.named(t, "ada", "bob", "eve", "sam"), a.Used)
		require.ElementsMatch(t, c.named(t, "ada", "bob", "eve", "sam"), a.Sets["persons"][0])
		require.ElementsMatch(t, c.named(t, "eve", "sam"), a.Sets["persons"][1])
		require.Equal(t, [][]omop.PersonID{c.named(t, "eve")}, a.Sets["persons"][2:])
		r.Analysis.Attrition = false
		require.Equal(t, a.Sets["persons"][2:], c.evaluate(t, r).Sets["persons"])

		r.Analysis.Attrition = true
		a = c.evaluate(t, r, "eve")
		require.Equal(t, []int64{3, 1, 0}, counts(a))
		require.ElementsMatch(t, c.named(t, "ada", "bob", "sam"), a.Used, "who does not permit is not looked at")
	})
}

// TestWhatTheSiteDoesNotKeep is refused by its name wherever a cohort asks for it: a
// criterion that is passed over would count too many.
func TestWhatTheSiteDoesNotKeep(t *testing.T) {
	t.Parallel()
	c := four(t, sqltest.SQLite(t))
	const doses = `{"DoseEra":{"CodesetId":1}}`
	plain := string(cohort(anyWindow, hasDiabetes))
	for name, definition := range map[string]string{
		"first event": string(cohort(anyWindow, doses)),
		"rule": plain[:len(plain)-1] + `,"InclusionRules":[{"name":"dose","expression":{"Type":"ALL","CriteriaList":[
			{"Criteria":` + doses + `,"StartWindow":{"Start":{"Coeff":-1},"End":{"Coeff":1}},"Occurrence":{"Type":0,"Count":0}}],
			"DemographicCriteriaList":[],"Groups":[]}}]}`,
	} {
		_, err := c.engine.Evaluate(t.Context(), protocol.Request{Cohort: json.RawMessage(definition), Analysis: protocol.Analysis{Kind: protocol.Count}}, all{})
		require.ErrorContains(t, err, "rule query.no-table", name)
		require.ErrorContains(t, err, "DoseEra", name)
	}
}

// TestWhoGaveTheCareAndWhere is answered from the store, also where it must not be.
func TestWhoGaveTheCareAndWhere(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		c := four(t, db)
		neurology, urgent := 38004458, 8782
		care := omop.Batch{
			Providers: []omop.Provider{{Record: omop.Record{Key: omop.NewKey("d")}, SpecialtyConceptID: &neurology}, {Record: omop.Record{Key: omop.NewKey("n")}}},
			CareSites: []omop.CareSite{{Record: omop.Record{Key: omop.NewKey("u")}, PlaceConceptID: &urgent}},
		}
		for name, provider := range map[string]string{"ada": "d", "bob": "n", "eve": ""} {
			r := omop.Record{Key: omop.NewKey("seen"), Person: omop.NewKey(name), Provider: omop.NewKey(provider), Pointer: "line 1"}
			if name == "ada" {
				r.CareSite = omop.NewKey("u")
			}
			care.Visits = append(care.Visits, omop.Visit{Record: r, ConceptID: 9202, Start: day("2024-01-01"), End: day("2024-01-01")})
		}
		c.put(t, care)
		for criterion, want := range map[string][]string{
			`{"VisitOccurrence":{"ProviderSpecialty":[{"CONCEPT_ID":38004458}]}}`:             {"ada"},
			`{"VisitOccurrence":{"ProviderSpecialtyCS":{"CodesetId":2,"IsExclusion":false}}}`: {"ada"},
			`{"VisitOccurrence":{"ProviderSpecialtyCS":{"CodesetId":3,"IsExclusion":true}}}`:  {"ada"}, // nothing says what bob's is
			`{"VisitOccurrence":{"PlaceOfService":[{"CONCEPT_ID":8782}]}}`:                    {"ada"},
			`{"VisitOccurrence":{"PlaceOfServiceCS":{"CodesetId":3,"IsExclusion":false}}}`:    {"ada"},
			`{"VisitOccurrence":{"PlaceOfServiceCS":{"CodesetId":3,"IsExclusion":true}}}`:     nil,
			`{"VisitOccurrence":{}}`: {"ada", "bob", "eve"},
		} {
			definition := fmt.Sprintf(`{"ConceptSets":[
				{"id":2,"name":"neurology","expression":{"items":[{"concept":{"CONCEPT_ID":%d}}]}},
				{"id":3,"name":"urgent care","expression":{"items":[{"concept":{"CONCEPT_ID":%d}}]}}],
				"PrimaryCriteria":{"CriteriaList":[%s],"ObservationWindow":%s,"PrimaryCriteriaLimit":{"Type":"First"}}}`, neurology, urgent, criterion, anyWindow)
			a := c.evaluate(t, protocol.Request{Cohort: json.RawMessage(definition), Analysis: protocol.Analysis{Kind: protocol.Count}})
			require.ElementsMatch(t, c.named(t, want...), a.Used, criterion)
		}
	})
}

func TestValues(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		c := four(t, db)
		c.pressure(t, "ada", 120, mmHg, "2024-01-01", false)
		c.pressure(t, "ada", 140, mmHg, "2024-03-01", false)
		c.pressure(t, "ada", 19, kPa, "2024-04-01", false)
		c.pressure(t, "ada", 90, mmHg, "2024-05-01", true)
		c.pressure(t, "bob", 110, mmHg, "2024-01-01", false)
		c.pressure(t, "bob", 290, mmHg, "2024-02-01", false)
		c.pressure(t, "eve", 130, mmHg, "2024-01-01", false)
		r := protocol.Request{Cohort: cohort(anyWindow, hasDiabetes), Analysis: protocol.Analysis{
			Kind:     protocol.Moments,
			Variable: &protocol.Variable{Concept: systolic, Unit: "mm[Hg]", Take: protocol.TakeLast, Low: 0, High: 200},
		}}
		a := c.evaluate(t, r)
		require.Equal(t, []int64{1}, counts(a), "bob's last value is out of range, and no earlier one stands in")
		require.ElementsMatch(t, c.named(t, "ada", "bob"), a.Used, "both records were looked at")
		require.Equal(t, [][]omop.PersonID{c.named(t, "ada")}, a.Sets["concept 3004249"])
		require.Equal(t, map[string]bool{"concept 3004249": false}, a.Averaged)
		r.Analysis.Variable.High = 300
		require.Equal(t, []int64{2}, counts(c.evaluate(t, r)))
		r.Analysis.Variable.Unit = "kPa"
		a = c.evaluate(t, r)
		require.Equal(t, [][]omop.PersonID{c.named(t, "ada")}, a.Sets["concept 3004249"], "values of another unit are no values")
		r.Analysis.Variable.Unit = "furlong"
		_, err := c.engine.Evaluate(t.Context(), r, all{})
		require.ErrorIs(t, err, query.ErrUnit)
		require.ErrorContains(t, err, `does not have the variable's unit: analysis.variable, unit "furlong"`)
	})
}

// TestConceptsOfNoVocabulary are found where records hold them: by themselves as the concept
// of a measurement, and where a concept set names them.
func TestConceptsOfNoVocabulary(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		c := four(t, db)
		words, err := vocab.Open(t.Context(), db)
		require.NoError(t, err)
		_, err = words.Load(t.Context(), os.DirFS("../../localstore/vocab/testdata/comma"))
		require.NoError(t, err)
		const own, other = 2_000_000_007, 2_000_000_008
		known, err := words.Known(t.Context(), []int64{own, other, hypertension})
		require.NoError(t, err)
		require.Equal(t, []int64{hypertension}, known)
		c.condition(t, "ada", own, "2024-06-01")
		c.condition(t, "bob", other, "2024-06-01")
		value := 7.0
		c.put(t, omop.Batch{Measurements: []omop.Measurement{{Record: c.record("ada"), ConceptID: own, Start: day("2024-06-01"), TypeConceptID: ehr, Number: &value, UnitConceptID: mmHg}}})
		for items, want := range map[string][]string{
			`{"concept":{"CONCEPT_ID":2000000007}}`: {"ada"},
			`{"concept":{"CONCEPT_ID":2000000007}},{"concept":{"CONCEPT_ID":2000000008}},{"concept":{"CONCEPT_ID":320128}}`:                       {"ada", "bob", "eve", "sam"},
			`{"concept":{"CONCEPT_ID":2000000007}},{"concept":{"CONCEPT_ID":2000000008}},{"concept":{"CONCEPT_ID":2000000007},"isExcluded":true}`: {"bob"},
			`{"concept":{"CONCEPT_ID":2000000007},"includeMapped":true}`:                                                                          {"ada"},

			`{"concept":{"CONCEPT_ID":2000000009}}`: nil,
		} {
			definition := fmt.Sprintf(`{"ConceptSets":[{"id":0,"name":"own","expression":{"items":[%s]}}],
				"PrimaryCriteria":{"CriteriaList":[%s],"ObservationWindow":%s,"PrimaryCriteriaLimit":{"Type":"First"}}}`, items, hasDiabetes, anyWindow)
			a := c.evaluate(t, protocol.Request{Cohort: json.RawMessage(definition), Analysis: protocol.Analysis{Kind: protocol.Count}})
			require.ElementsMatch(t, c.named(t, want...), a.Used, items)
		}
		a := c.evaluate(t, protocol.Request{Cohort: cohort(anyWindow, hasDiabetes), Analysis: protocol.Analysis{
			Kind: protocol.Moments, Variable: &protocol.Variable{Concept: own, Unit: "mm[Hg]", Take: protocol.TakeLast, Low: 0, High: 200},
		}})
		require.Equal(t, []int64{1}, counts(a))
	})
}

// replaced is a vocabulary that is another one whenever it is asked, some times.
type replaced struct {
	query.Vocabulary
	times, known int
}

func (r *replaced) Version(context.Context) (string, error) {
	r.times--
	return fmt.Sprint(max(r.times, 0)), nil
}

func (r *replaced) Known(ctx context.Context, concepts []int64) ([]int64, error) {
	r.known++
	return r.Vocabulary.Known(ctx, concepts)
}

// TestOneVocabularyAnswers: what it resolved while it was replaced does not count.
func TestOneVocabularyAnswers(t *testing.T) {
	t.Parallel()
	c := four(t, sqltest.SQLite(t))
	r := protocol.Request{Cohort: cohort(anyWindow, hasDiabetes), Analysis: protocol.Analysis{Kind: protocol.Count}}
	c.evaluate(t, r)
	once := &replaced{Vocabulary: c.cfg.Vocabulary}
	evaluate := func(v *replaced) error {
		c.cfg.Vocabulary = v
		_, err := query.NewEngine(c.cfg).Evaluate(t.Context(), r, all{})
		return err
	}
	require.NoError(t, evaluate(once))
	twice := &replaced{Vocabulary: once.Vocabulary, times: 2}
	require.NoError(t, evaluate(twice))
	require.Equal(t, 2*once.known, twice.known)
	require.ErrorIs(t, evaluate(&replaced{Vocabulary: once.Vocabulary, times: 9}), query.ErrLoading)
}
