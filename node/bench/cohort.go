package bench

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/trialmesh/trialmesh/node/events"
	inmemory "github.com/trialmesh/trialmesh/node/events/memory"
	"github.com/trialmesh/trialmesh/node/members"
	"github.com/trialmesh/trialmesh/protocol/cohort"
)

const cohortText = `cohort definitions on a million people (--persons) in memory, each with a year of observation
and five conditions of a thousand. cohort-count-N: seconds for a definition of which N
per cent of the people have the condition, with an inclusion rule about their age and
another condition beforehand; at most 0.5 s for 2.5 and 2 s for 100.
cohort-speedup: how many times faster 36 definitions of OHDSI and like them are evaluated
than PostgreSQL runs the SQL that circe-be makes of each, on the same 100,000 people
(--persons), who are made for them; the median definition, at least 20. -least, -most: the
other ends. cohort-definition: milliseconds of the median definition. Both have to find the
same rows, or it fails. The server is started for it in the temporary folder (TMPDIR), which
takes some 2 GB, and memory as much; without PostgreSQL's programs (--postgres) only our
half is measured.`

// Of the people that are counted.
const (
	cohortSize       = 1_000_000
	cohortConditions = 5    // of a person
	cohortConcepts   = 1000 // that they may be
	cohortEvery      = 40   // who has the rare condition: 2.5 per cent
	cohortRareBar    = 0.5  // s
	cohortCommonBar  = 2.0  // s
)

// The conditions that are counted, beside those from 1 to cohortConcepts.
const (
	rareCondition   = 5001
	commonCondition = 5002
)

// cohortDefinition is the first event of a condition, at 40 years or more, and without
// another condition in the half year before.
const cohortDefinition = `{"ConceptSets": [
  {"id": 0, "name": "counted", "expression": {"items": [{"concept": {"CONCEPT_ID": CONDITION}, "includeDescendants": true}]}},
  {"id": 1, "name": "another", "expression": {"items": [{"concept": {"CONCEPT_ID": 7}, "includeDescendants": true}]}}],
 "PrimaryCriteria": {"CriteriaList": [{"ConditionOccurrence": {"CodesetId": 0, "First": true}}],
  "ObservationWindow": {"PriorDays": 0, "PostDays": 0}, "PrimaryCriteriaLimit": {"Type": "First"}},
 "QualifiedLimit": {"Type": "First"}, "ExpressionLimit": {"Type": "First"},
 "InclusionRules": [{"name": "age and history", "expression": {"Type": "ALL", "Groups": [],
  "DemographicCriteriaList": [{"Age": {"Value": 40, "Op": "gte"}}],
  "CriteriaList": [{"Criteria": {"ConditionOccurrence": {"CodesetId": 1}}, "Occurrence": {"Type": 0, "Count": 0},
   "StartWindow": {"Start": {"Days": 180, "Coeff": -1}, "End": {"Days": 1, "Coeff": -1}}}]}}],
 "CensoringCriteria": [], "CollapseSettings": {"CollapseType": "ERA", "EraPad": 0}, "CensorWindow": {}}`

// itself is a vocabulary in which each concept is its only descendant.
type itself struct{}

func (itself) Known(_ context.Context, concepts []int64) ([]int64, error) { return concepts, nil }

func (itself) Descendants(_ context.Context, concepts []int64) ([]int64, error) { return concepts, nil }
func (itself) MapTo(context.Context, []int64) ([]int64, error)                  { return nil, nil }

func cohorts(ctx context.Context, cfg Config) ([]Figure, error) {
	counted, err := counts(ctx, cfg)
	if err != nil {
		return nil, err
	}
	compared, err := compare(ctx, cfg)
	return append(counted, compared...), err
}

// counts times a definition on many people.
func counts(ctx context.Context, cfg Config) ([]Figure, error) {
	persons := cmp.Or(cfg.Persons, cohortSize)
	cfg.Progress(fmt.Sprintf("%d people are made", persons))
	source := madeUp(persons)
	var figures []Figure
	for _, c := range []struct {
		name    string
		concept string
		bar     float64
	}{{"cohort-count-2.5", fmt.Sprint(rareCondition), cfg.BarOr(cohortRareBar)}, {"cohort-count-100", fmt.Sprint(commonCondition), cohortCommonBar}} {
		d, err := cohort.Read([]byte(strings.Replace(cohortDefinition, "CONDITION", c.concept, 1)))
		if err != nil {
			return nil, err
		}
		var took []float64
		for round := range 1 + rounds { // the first one warms up
			cfg.Progress(fmt.Sprintf("%s: round %d", c.name, round))
			begun := time.Now()
			if _, err := members.Evaluate(ctx, d, source, itself{}, members.Options{}); err != nil {
				return nil, err
			}
			if round > 0 {
				took = append(took, time.Since(begun).Seconds())
			}
		}
		figures = append(figures, NewFigure(c.name, Median(took), "s").AtMost(c.bar))
	}
	return figures, nil
}

// madeUp makes n people with conditions in the year 2020.
func madeUp(n int) *inmemory.Source {
	const newYear = events.Day(18262)             // 2020-01-01
	random := rand.New(rand.NewPCG(1, uint64(n))) //nolint:gosec // the same people every time
	people := events.People{Periods: []int32{0}}
	var e events.Events
	for i := range n {
		people.ID = append(people.ID, int64(i))
		people.YearOfBirth = append(people.YearOfBirth, 1930+int32(i%90)) //nolint:gosec // below 90
		people.Gender = append(people.Gender, 8507)
		people.PeriodStart, people.PeriodEnd = append(people.PeriodStart, newYear), append(people.PeriodEnd, newYear+365)
		people.PeriodID, people.PeriodType = append(people.PeriodID, int64(i)), append(people.PeriodType, 0)
		people.Periods = append(people.Periods, int32(i+1)) //nolint:gosec // below a million
		for j := range cohortConditions {
			concept := int64(1 + random.IntN(cohortConcepts))
			switch {
			case j == 3:
				concept = commonCondition
			case j == 4 && i%cohortEvery == 0:
				concept = rareCondition
			}
			e.Person = append(e.Person, uint32(i)) //nolint:gosec // as above
			e.Start, e.End = append(e.Start, newYear+events.Day(70*j+random.IntN(70))), append(e.End, events.NoDay)
			e.ID, e.Visit, e.Domain = append(e.ID, int64(len(e.ID))), append(e.Visit, events.Null), append(e.Domain, concept)
		}
	}
	return inmemory.New(people, map[cohort.Domain]events.Events{cohort.ConditionOccurrence: e})
}
