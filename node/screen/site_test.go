package screen_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/consent"
	"github.com/trialmesh/trialmesh/node/mapping"
	"github.com/trialmesh/trialmesh/node/query"
	"github.com/trialmesh/trialmesh/node/screen"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

const (
	female    = 8532
	diabetes  = 201826
	asthma    = 317009
	metformin = 1503297
	insulin   = 1516976
	glucose   = 3004501
	ehr       = 32817
)

var today = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// site is a screener over a small population.
type site struct {
	t        testing.TB
	db       *sqldb.DB
	people   *omop.Store
	trail    *audit.Trail
	rules    *screen.Rules
	screener *screen.Screener
	words    words
	rows     int
}

// words are what patients said, by trial; nobody is told apart.
type words map[trial.ID]consent.Word

func (w words) Said(_ context.Context, _ *sqldb.Tx, _ omop.PersonID, id trial.ID, _ time.Time) (consent.Word, error) {
	return w[id], nil
}

func newSite(t testing.TB, db *sqldb.DB) *site {
	t.Helper()
	s := &site{t: t, db: db, words: words{}}
	var err error
	s.people, err = omop.Open(t.Context(), db)
	require.NoError(t, err)
	s.trail, err = audit.Open(t.Context(), db, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	s.rules, err = screen.OpenRules(t.Context(), db, s.trail)
	require.NoError(t, err)
	s.screener, err = screen.New(screen.Config{DB: db, People: s.people, Rules: s.rules, Vocabulary: concepts(t, db), Consents: s.words})
	require.NoError(t, err)
	return s
}

func day(text string) omop.Date {
	d, err := sqldb.ParseDate(text)
	if err != nil {
		panic(err)
	}
	return d
}

func (s *site) put(b omop.Batch) {
	s.t.Helper()
	b.Raw, b.Mapper, b.At = [32]byte{1}, "test/1", today
	require.NoError(s.t, s.db.Write(s.t.Context(), func(tx *sqldb.Tx) error {
		result, err := s.people.Put(s.t.Context(), tx, b)
		require.Empty(s.t, result.Refused)
		return err
	}))
}

// person adds somebody who was observed from 2020 to 2025.
func (s *site) person(id string, events ...func(*omop.Batch, omop.Record)) {
	s.t.Helper()
	key := mapping.PersonKey(id)
	b := omop.Batch{
		Persons: []omop.Person{{Key: key, Pointer: "p", GenderConceptID: female, YearOfBirth: 1970, MonthOfBirth: 3, DayOfBirth: 9}},
		Periods: []omop.ObservationPeriod{{Person: key, Start: day("2020-01-01"), End: day("2025-12-31"), TypeConceptID: ehr}},
	}
	for _, e := range events {
		s.rows++
		e(&b, omop.Record{Key: omop.NewKey(fmt.Sprint("row", s.rows)), Person: key, Pointer: "r"})
	}
	s.put(b)
}

func has(concept int64, on string) func(*omop.Batch, omop.Record) {
	return func(b *omop.Batch, r omop.Record) {
		b.Conditions = append(b.Conditions, omop.Condition{Record: r, ConceptID: concept, Start: day(on), TypeConceptID: ehr})
	}
}

func takes(concept int64, on string) func(*omop.Batch, omop.Record) {
	return func(b *omop.Batch, r omop.Record) {
		b.Drugs = append(b.Drugs, omop.Drug{Record: r, ConceptID: concept, Start: day(on), End: day(on), TypeConceptID: ehr})
	}
}

func dies(on string) func(*omop.Batch, omop.Record) {
	return func(b *omop.Batch, r omop.Record) {
		b.Deaths = append(b.Deaths, omop.Death{Person: r.Person, Pointer: "d", Date: day(on), TypeConceptID: ehr})
	}
}

// cohort is a definition of one criterion.
func cohort(domain string, concept int64, prior int) string {
	return fmt.Sprintf(`{"ConceptSets":[{"id":0,"name":"c","expression":{"items":[{"concept":{"CONCEPT_ID":%d}}]}}],
		"PrimaryCriteria":{"CriteriaList":[{%q:{"CodesetId":0}}],"ObservationWindow":{"PriorDays":%d,"PostDays":0}}}`, concept, domain, prior)
}

// rule is one of a trial with criteria, each name, exclude and cohort.
func rule(t testing.TB, id string, criteria ...string) screen.Rule {
	t.Helper()
	text := fmt.Sprintf(`{"trial":%q,"title":"A trial","contact":"Office 4711","link":"https://trials.example/x","criteria":[`, id)
	for i, c := range criteria {
		if i > 0 {
			text += ","
		}
		text += c
	}
	r, err := screen.Parse([]byte(text + "]}"))
	require.NoError(t, err)
	return r
}

func want(name, cohort string) string { return fmt.Sprintf(`{"name":%q,"cohort":%s}`, name, cohort) }

func bar(name, cohort string) string {
	return fmt.Sprintf(`{"name":%q,"exclude":true,"cohort":%s}`, name, cohort)
}

func (s *site) add(r screen.Rule) {
	s.t.Helper()
	require.NoError(s.t, s.rules.Add(s.t.Context(), r, today))
}

// screen returns the results of each trial that matches.
func (s *site) screen(c screen.Case) map[string][]screen.Result {
	s.t.Helper()
	matches, err := s.screener.Screen(s.t.Context(), c, today)
	require.NoError(s.t, err)
	found := map[string][]screen.Result{}
	for _, m := range matches {
		found[string(m.Rule.Trial)] = m.Results
	}
	return found
}

func toJSON(t testing.TB, v any) string {
	t.Helper()
	text, err := json.MarshalIndent(v, "", " ")
	require.NoError(t, err)
	return string(text)
}

func concepts(t testing.TB, db *sqldb.DB) query.Concepts {
	t.Helper()
	words, err := vocab.Open(t.Context(), db)
	require.NoError(t, err)
	return query.Concepts{Store: words}
}
