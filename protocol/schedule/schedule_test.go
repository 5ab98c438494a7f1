package schedule_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/schedule"
)

var first = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func plan() schedule.Plan {
	cohort := json.RawMessage(`{"PrimaryCriteria":{"CriteriaList":[{"VisitOccurrence":{}}],"ObservationWindow":{"PriorDays":0,"PostDays":0}}}`)
	return schedule.Plan{
		Name: "seen-monthly", Cron: "0 6 1 * *", First: first, Occurrences: 4, DeadlineSeconds: 3600,
		Question: query.Request{Trial: "bp-2026", Cohort: cohort, Purpose: "safety", Analysis: query.Analysis{Kind: query.Count}},
	}
}

func newKey(t *testing.T) identity.Key {
	t.Helper()
	key, err := identity.Generate(rand.Reader)
	require.NoError(t, err)
	return key
}

func signed(t *testing.T, key identity.Key, p schedule.Plan) schedule.Schedule {
	t.Helper()
	s, err := schedule.Sign(key, p, rand.Reader)
	require.NoError(t, err)
	return s
}

func TestDue(t *testing.T) {
	t.Parallel()
	due, err := plan().Due()
	require.NoError(t, err)
	var got []string
	for _, at := range due {
		got = append(got, at.Format(time.RFC3339))
	}
	require.Equal(t, []string{"2026-12-01T06:00:00Z", "2027-01-01T06:00:00Z", "2027-02-01T06:00:00Z", "2027-03-01T06:00:00Z"}, got)

	p := plan()
	p.First = due[0].In(time.FixedZone("", 3600))
	same, err := p.Due()
	require.NoError(t, err)
	require.Equal(t, due, same, "what fits First is the first, by the clocks of UTC")
	p.First = due[0].Add(time.Second)
	later, err := p.Due()
	require.NoError(t, err)
	require.Equal(t, due[1:], later[:3])
}

// TestAnOccurrenceIsAnOrdinaryRequest: it is whole and signed, nodes take it from its due
// time until its deadline and a day later, and its question is the one without a schedule.
func TestAnOccurrenceIsAnOrdinaryRequest(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	s := signed(t, key, plan())
	raw, err := json.MarshalIndent(s, "", " ")
	require.NoError(t, err)
	var back schedule.Schedule
	require.NoError(t, json.Unmarshal(raw, &back))
	list, err := back.Envelopes(key.DID())
	require.NoError(t, err)
	require.Len(t, list, 4)
	due, err := plan().Due()
	require.NoError(t, err)
	digest, err := plan().Digest()
	require.NoError(t, err)
	alone, err := plan().Question.Question()
	require.NoError(t, err)
	seen := make(map[query.ID]bool)
	for i, e := range list {
		end := due[i].Add(time.Hour + schedule.Window)
		for at, want := range map[time.Time]error{
			due[i].Add(-message.Skew - time.Second): message.ErrEarly, due[i]: nil, end.Add(-time.Second): nil, end: message.ErrExpired,
		} {
			_, err := message.Open[query.Request](e, query.KindRequest, at)
			require.ErrorIs(t, err, want, at)
		}
		r, err := message.Open[query.Request](e, query.KindRequest, due[i])
		require.NoError(t, err)
		require.NoError(t, r.Validate())
		require.Equal(t, query.Occurrence{Name: "seen-monthly", Schedule: digest, Number: i + 1}, *r.Schedule)
		same, err := r.Question()
		require.NoError(t, err)
		require.Equal(t, alone, same)
		seen[e.Digest()] = true
		one, err := back.Envelope(key.DID(), i+1)
		require.NoError(t, err)
		require.Equal(t, e, one)
	}
	for _, number := range []int{-1, 0, 5} {
		_, err := back.Envelope(key.DID(), number)
		require.Error(t, err)
	}
	require.Len(t, seen, 4)
	require.Equal(t, "seen-monthly/2", query.Occurrence{Name: "seen-monthly", Number: 2}.String())
}

// TestNothingOfAScheduleCanBeChanged without the researcher's key.
func TestNothingOfAScheduleCanBeChanged(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	for name, change := range map[string]func(*schedule.Schedule){
		"an occurrence more": func(s *schedule.Schedule) {
			s.Plan.Occurrences, s.Signatures = 5, append(s.Signatures, s.Signatures[3])
		},
		"one too many signed": func(s *schedule.Schedule) { s.Signatures = append(s.Signatures, s.Signatures[3]) },
		"one less":            func(s *schedule.Schedule) { s.Plan.Occurrences, s.Signatures = 3, s.Signatures[:3] },
		"one left out":        func(s *schedule.Schedule) { s.Signatures = s.Signatures[:3] },
		"another order":       func(s *schedule.Schedule) { s.Signatures[0], s.Signatures[1] = s.Signatures[1], s.Signatures[0] },
		"another time":        func(s *schedule.Schedule) { s.Plan.Cron = "0 5 1 * *" },
		"an earlier start":    func(s *schedule.Schedule) { s.Plan.First = s.Plan.First.AddDate(0, -1, 0) },
		"another deadline":    func(s *schedule.Schedule) { s.Plan.DeadlineSeconds++ },
		"another name":        func(s *schedule.Schedule) { s.Plan.Name = "other" },
		"another purpose":     func(s *schedule.Schedule) { s.Plan.Question.Purpose = "marketing" },
		"a nonce":             func(s *schedule.Schedule) { s.Signatures[2].Nonce = strings.Repeat("00", 16) },
		"a signature":         func(s *schedule.Schedule) { s.Signatures[2].Signature[0] ^= 1 },
	} {
		s := signed(t, key, plan())
		change(&s)
		_, err := s.Envelopes(key.DID())
		require.ErrorIs(t, err, schedule.ErrSignatures, name)
	}
	_, err := signed(t, key, plan()).Envelopes(newKey(t).DID())
	require.ErrorIs(t, err, schedule.ErrSignatures, "another's")
}

func TestValidate(t *testing.T) {
	t.Parallel()
	require.NoError(t, plan().Validate())
	for name, change := range map[string]func(*schedule.Plan){
		"name":                   func(p *schedule.Plan) { p.Name = "Monthly" },
		"question":               func(p *schedule.Plan) { p.Question.Purpose = "" },
		"question of a study":    func(p *schedule.Plan) { p.Question.Study = &query.Part{} },
		"question of a schedule": func(p *schedule.Plan) { p.Question.Schedule = &query.Occurrence{} },
		"cohort":                 func(p *schedule.Plan) { p.Question.Cohort = json.RawMessage(`{`) },
		"cron":                   func(p *schedule.Plan) { p.Cron = "monthly" },
		"a day that never is":    func(p *schedule.Plan) { p.Cron = "0 0 30 2 *" },
		"once":                   func(p *schedule.Plan) { p.Occurrences = 1 },
		"too often":              func(p *schedule.Plan) { p.Occurrences = 401 },
		"no deadline":            func(p *schedule.Plan) { p.DeadlineSeconds = 0 },
		"a long deadline":        func(p *schedule.Plan) { p.DeadlineSeconds = 14*86400 + 1 },
		"every minute":           func(p *schedule.Plan) { p.Cron, p.DeadlineSeconds = "* * * * *", 60 },
		"over the next":          func(p *schedule.Plan) { p.Cron, p.DeadlineSeconds = "0 6 * * *", 86401 },
		"parts of a second":      func(p *schedule.Plan) { p.First = p.First.Add(time.Millisecond) },
		"beyond five years":      func(p *schedule.Plan) { p.Occurrences = 62 },
	} {
		p := plan()
		change(&p)
		require.Error(t, p.Validate(), name)
		_, err := schedule.Sign(newKey(t), p, rand.Reader)
		require.Error(t, err, name)
	}
	p := plan()
	p.Cron, p.Occurrences, p.DeadlineSeconds = "0 6 * * *", 400, 86400
	require.NoError(t, p.Validate())
	raw, err := json.Marshal(signed(t, newKey(t), p))
	require.NoError(t, err)
	require.Less(t, len(raw), message.MaxBody/8, "400 occurrences fit in one message, with room for the cohort")
}

// TestSize: every replica of a hub verifies all of the requests.
func TestSize(t *testing.T) {
	t.Parallel()
	named := func(bytes int) schedule.Plan {
		const name = 4000
		var sets []string
		for i := range bytes / name {
			sets = append(sets, fmt.Sprintf(`{"id":%d,"name":%q,"expression":{"items":[{"concept":{"CONCEPT_ID":1}}]}}`, i, strings.Repeat("x", name)))
		}
		p := plan()
		p.Question.Cohort = json.RawMessage(strings.Replace(string(p.Question.Cohort), `{"Primary`, `{"ConceptSets":[`+strings.Join(sets, ",")+`],"Primary`, 1))
		return p
	}
	require.NoError(t, named(100<<10).Validate())
	require.ErrorContains(t, named(schedule.MaxSize).Validate(), "limit 524288")
	p := named(400 << 10)
	p.Occurrences = 50
	require.ErrorContains(t, p.Validate(), "too many for 50 occurrences: ask for 40")
	p.Occurrences = 40
	require.NoError(t, p.Validate())
}

func TestDigest(t *testing.T) {
	t.Parallel()
	one, err := plan().Digest()
	require.NoError(t, err)
	p := plan()
	p.First = p.First.In(time.FixedZone("", 3600))
	two, err := p.Digest()
	require.NoError(t, err)
	require.Equal(t, one, two, "the same time in another zone")
	p.Occurrences++
	three, err := p.Digest()
	require.NoError(t, err)
	require.NotEqual(t, one, three)
}

func TestCancellation(t *testing.T) {
	t.Parallel()
	c := schedule.Cancellation{Reason: "over"}
	require.NoError(t, c.Check("a", "a", "b"))
	require.NoError(t, c.Check("b", "a", "b"))
	require.ErrorIs(t, c.Check("c", "a", "b"), schedule.ErrCanceller)
	c.Reason = strings.Repeat("x", query.MaxReason+1)
	require.Error(t, c.Check("a", "a", "b"))
}
