package members_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/node/events"
	"github.com/trialmesh/trialmesh/node/members"
	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// busy is a site with one person, who has the same events whatever is asked for. As a
// vocabulary it knows all concepts.
type busy struct{ all *events.Events }

func newBusy(n int) busy {
	e := &events.Events{Columns: map[events.Column]events.Vector{}}
	for i := range n {
		d := events.Day(i % 15_000)
		e.Person, e.Start, e.End = append(e.Person, 0), append(e.Start, d), append(e.End, d)
		e.ID, e.Visit, e.Domain = append(e.ID, int64(i)), append(e.Visit, events.Null), append(e.Domain, 1)
	}
	return busy{e}
}

func (busy) People() *events.People {
	return &events.People{
		ID: []int64{1}, YearOfBirth: []int32{1970}, Gender: []int64{8507}, Periods: []int32{0, 1},
		PeriodStart: []events.Day{0}, PeriodEnd: []events.Day{20_000}, PeriodID: []int64{1}, PeriodType: []int64{0},
	}
}

func (b busy) Events(context.Context, cohort.Domain, []int64, ...events.Column) (*events.Events, error) {
	return b.all, nil
}

func (busy) Known(_ context.Context, concepts []int64) ([]int64, error) { return concepts, nil }

func (busy) Descendants(context.Context, []int64) ([]int64, error) { return nil, nil }

func (busy) MapTo(context.Context, []int64) ([]int64, error) { return nil, nil }

// laborious is a definition with n windows around each measurement, each of a concept set
// of its own if sets is true.
func laborious(t *testing.T, n int, sets bool) cohort.Definition {
	t.Helper()
	var list, parts []string
	for i := range n {
		of := ""
		if sets {
			of = fmt.Sprintf(`"CodesetId":%d`, i)
			list = append(list, fmt.Sprintf(`{"id":%d,"name":"","expression":{"items":[{"concept":{"CONCEPT_ID":1}},{"concept":{"CONCEPT_ID":%d}}]}}`, i, 100+i))
		}
		parts = append(parts, fmt.Sprintf(`{"Criteria":{"Measurement":{%s}},"StartWindow":{"Start":{"Days":%d,"Coeff":-1},"End":{"Days":9999,"Coeff":1}},"Occurrence":{"Type":1,"Count":999999}}`, of, 9000+i))
	}
	d, err := cohort.Read([]byte(`{"ConceptSets":[` + strings.Join(list, ",") + `],
		"PrimaryCriteria":{"CriteriaList":[{"Measurement":{}}],"ObservationWindow":{"PriorDays":0,"PostDays":0},"PrimaryCriteriaLimit":{"Type":"All"}},
		"AdditionalCriteria":{"Type":"ALL","CriteriaList":[` + strings.Join(parts, ",") + `],"DemographicCriteriaList":[],"Groups":[]},
		"QualifiedLimit":{"Type":"All"},"ExpressionLimit":{"Type":"All"},"CensoringCriteria":[]}`))
	require.NoError(t, err)
	return d
}

// TestOnePersonIsNoRefuge: an evaluation ends within one person, at its deadline and when
// its work is used up.
func TestOnePersonIsNoRefuge(t *testing.T) {
	t.Parallel()
	d, s := laborious(t, 1000, false), newBusy(3000)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	begun := time.Now()
	_, err := members.Evaluate(ctx, d, s, nil, members.Options{})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, time.Since(begun), 3*time.Second, "it took some 20 s")

	_, err = members.Evaluate(t.Context(), d, s, nil, members.Options{Work: 1_000_000})
	require.ErrorIs(t, err, members.ErrWork)
	_, err = members.Evaluate(t.Context(), laborious(t, 3, false), s, nil, members.Options{Work: 50_000_000})
	require.NoError(t, err)
}

// TestTheSameEventsAreNotReadWithoutEnd: overlapping concept sets may not multiply memory.
func TestTheSameEventsAreNotReadWithoutEnd(t *testing.T) {
	t.Parallel()
	s := newBusy(40_000)
	_, err := members.Evaluate(t.Context(), laborious(t, 990, true), s, s, members.Options{})
	require.ErrorIs(t, err, members.ErrWork)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err = members.Evaluate(ctx, laborious(t, 100, true), s, s, members.Options{})
	require.ErrorIs(t, err, context.DeadlineExceeded, "these may be read")
}
