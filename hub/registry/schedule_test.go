package registry_test

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/peer/peertest"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/schedule"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// everyHour is a plan that is due at 13, 14, 15 … o'clock.
func (h *hub) everyHour() schedule.Plan {
	return schedule.Plan{Name: "hourly", Question: h.trial.CountBySex(), Cron: "0 * * * *", First: start.Add(time.Second), Occurrences: 4, DeadlineSeconds: 600}
}

// recurring returns the command that registers a plan, and the plan's digest.
func (h *hub) recurring(t *testing.T, key identity.Key, p schedule.Plan) (message.Digest, registry.RegisterSchedule) {
	t.Helper()
	s, err := schedule.Sign(key, p, rand.Reader)
	require.NoError(t, err)
	return must(p.Digest()), registry.RegisterSchedule{Envelope: h.seal(t, key, schedule.KindSchedule, s)}
}

func occurrence(digest message.Digest, number int) registry.AskOccurrence {
	return registry.AskOccurrence{Schedule: digest, Number: number, Limits: registry.DefaultQueue}
}

// askAt applies a command at a time.
func (h *hub) applyAt(t *testing.T, at time.Time, body registry.Body) (registry.Outcome, error) {
	t.Helper()
	h.at = at.Add(-time.Second)
	return h.apply(t, body)
}

// states returns where the occurrences of a schedule stand, by their first letters.
func (h *hub) states(t *testing.T, digest message.Digest) string {
	t.Helper()
	var text strings.Builder
	for _, o := range must(h.reader.Occurrences(t.Context(), digest)) {
		text.WriteString(string(o.State[:1]))
	}
	return text.String()
}

// TestARecurringQuestionIsAskedAnewEachTime: its answers are no repetitions, of its own
// occurrences or of others' questions in the same words, and none gets another's.
func TestARecurringQuestionIsAskedAnewEachTime(t *testing.T) {
	t.Parallel()
	h := newHub(t).withTrial(t)
	released := func(id query.ID, n int64) {
		h.must(t, registry.FinishQuestion{Result: query.Result{Query: id, State: query.Complete, Cells: []query.Cell{{N: n}}}})
	}
	plain, ask := h.question(t)
	h.must(t, ask)
	released(plain.Digest(), 50)
	digest, register := h.recurring(t, h.trial.Researcher, h.everyHour())
	require.Positive(t, h.must(t, register).LedgerIndex)
	list := must(h.reader.Occurrences(t.Context(), digest))
	for i, o := range list[:2] {
		require.Equal(t, start.Add(time.Duration(i+1)*time.Hour), o.Due)
		out, err := h.applyAt(t, o.Due, occurrence(digest, i+1))
		require.NoError(t, err)
		require.Positive(t, out.LedgerIndex)
		q := must(h.reader.Question(t.Context(), o.Query))
		require.Equal(t, query.Open, q.State)
		require.Equal(t, query.Occurrence{Name: "hourly", Schedule: digest, Number: i + 1}, *q.Request.Schedule)
		require.Equal(t, o.Due.Add(10*time.Minute), q.Deadline)
	}
	// Both are open: they are driven one after the other, and the answer of one is not that
	// of the next.
	require.Equal(t, list[0].Query, must(h.reader.Unfinished(t.Context(), start))[0].ID)
	released(list[0].Query, 55)
	require.Equal(t, query.Open, must(h.reader.Question(t.Context(), list[1].Query)).State)
	require.Equal(t, list[1].Query, must(h.reader.Unfinished(t.Context(), start))[0].ID)
	released(list[1].Query, 60)
	require.EqualValues(t, 60, must(h.reader.Question(t.Context(), list[1].Query)).Result.Cells[0].N)
	again, ask := h.question(t)
	h.must(t, ask)
	require.Equal(t, plain.Digest(), *must(h.reader.Question(t.Context(), again.Digest())).Result.Repeats, "asked by hand, it has the answer it had")
	h.replay(t)
}

// TestAnOccurrenceIsAskedOnceInItsTime, and recorded as missed after that.
func TestAnOccurrenceIsAskedOnceInItsTime(t *testing.T) {
	t.Parallel()
	h := newHub(t).withTrial(t)
	digest, register := h.recurring(t, h.trial.Researcher, h.everyHour())
	h.must(t, register)
	due := start.Add(time.Hour)
	_, err := h.applyAt(t, due.Add(-time.Second), occurrence(digest, 1))
	require.ErrorIs(t, err, registry.ErrOccurrenceEarly)
	_, err = h.apply(t, occurrence(digest, 5))
	require.ErrorIs(t, err, registry.ErrOccurrenceUnknown)
	_, err = h.apply(t, occurrence(message.Digest{1}, 1))
	require.ErrorIs(t, err, registry.ErrOccurrenceUnknown)

	// Whoever has the signed request cannot ask it by hand, before or after.
	s := must(h.reader.Schedule(t.Context(), "hourly"))
	request := must(s.Schedule.Envelope(h.trial.Researcher.DID(), 1))
	byHand := registry.QueueQuestion{Envelope: request, Deadline: due.Add(time.Minute), Limits: registry.DefaultQueue}
	_, err = h.applyAt(t, due, byHand)
	require.ErrorIs(t, err, registry.ErrOccurrence)

	_, err = h.applyAt(t, due, registry.AskOccurrence{Schedule: digest, Number: 1})
	require.ErrorContains(t, err, "at least one")
	other, ask := h.question(t)
	h.must(t, ask)
	full := registry.AskOccurrence{Schedule: digest, Number: 1, Limits: registry.QueueLimits{Each: 1, All: 10}}
	_, err = h.applyAt(t, due.Add(schedule.Window-time.Second), full)
	require.ErrorIs(t, err, registry.OpenQuestions(1), "it waits while too many are open")
	require.Equal(t, "pppp", h.states(t, digest))
	h.must(t, registry.FinishQuestion{Result: query.Result{Query: other.Digest(), State: query.Withheld}})
	_, err = h.applyAt(t, due.Add(schedule.Window-time.Second), full)
	require.NoError(t, err)
	require.True(t, h.must(t, full).Existed)
	require.Equal(t, request.Expires, must(h.reader.Question(t.Context(), request.Digest())).Deadline.Add(time.Second), "a late one still ends before its signature")

	out, err := h.applyAt(t, due.Add(time.Hour+schedule.Window), occurrence(digest, 2))
	require.NoError(t, err)
	require.True(t, h.must(t, occurrence(digest, 2)).Existed)
	require.Equal(t, "ampp", h.states(t, digest))
	missed := must(h.reader.Occurrences(t.Context(), digest))[1]
	require.Equal(t, schedule.Miss{
		Name: "hourly", Schedule: digest, Number: 2, Due: due.Add(time.Hour), Reason: "the hub did not ask it within a day after it was due",
	}, *missed.Miss)
	require.Empty(t, missed.Question)
	require.Positive(t, out.LedgerIndex)
	h.replay(t)
}

// TestWhatMayNotBeAskedAnyMoreIsMissed, with the rule by which it was refused.
func TestWhatMayNotBeAskedAnyMoreIsMissed(t *testing.T) {
	t.Parallel()
	h := newHub(t).withTrial(t)
	p := h.everyHour()
	p.First = h.trial.Design.Closes.Add(-90 * time.Minute).Truncate(time.Second)
	p.Occurrences = 3
	digest, register := h.recurring(t, h.trial.Researcher, p)
	h.must(t, register)
	for i, o := range must(h.reader.Occurrences(t.Context(), digest)) {
		_, err := h.applyAt(t, o.Due, occurrence(digest, i+1))
		require.NoError(t, err)
	}
	last := must(h.reader.Occurrences(t.Context(), digest))[2]
	require.Equal(t, schedule.Missed, last.State)
	require.NotEmpty(t, last.Miss.Rule)
	h.replay(t)
}

func TestSchedulesThatAreRefused(t *testing.T) {
	t.Parallel()
	h := newHub(t).withTrial(t)
	researcher := h.trial.Researcher
	digest, register := h.recurring(t, researcher, h.everyHour())
	h.must(t, register)
	_, again := h.recurring(t, researcher, h.everyHour())
	require.True(t, h.must(t, again).Existed, "signed again, it says the same")
	require.Equal(t, register.Envelope.Digest(), must(h.reader.Schedule(t.Context(), "hourly")).Envelope.Digest())
	_, err := h.reader.Schedule(t.Context(), "other")
	require.ErrorIs(t, err, registry.ErrScheduleUnknown)
	stolen := must(schedule.Sign(researcher, func() schedule.Plan { p := h.everyHour(); p.Name = "stolen"; return p }(), rand.Reader))
	stolen.Signatures[1] = stolen.Signatures[2]
	_, err = h.apply(t, registry.RegisterSchedule{Envelope: h.seal(t, researcher, schedule.KindSchedule, stolen)})
	require.ErrorIs(t, err, schedule.ErrSignatures)
	for name, c := range map[string]struct {
		key    identity.Key
		change func(*schedule.Plan)
		want   error
	}{
		"by nobody of the trial": {peertest.NewKey(t), func(p *schedule.Plan) { p.Name = "other" }, trial.ErrResearcher},
		"of an unknown trial":    {researcher, func(p *schedule.Plan) { p.Question.Trial = "other" }, registry.ErrTrialUnknown},
		"of a name that is used": {researcher, func(p *schedule.Plan) { p.Occurrences++ }, registry.ErrScheduleExists},
		"of the past":            {researcher, func(p *schedule.Plan) { p.Name, p.First = "other", start.Add(-25*time.Hour) }, registry.ErrScheduleLate},
	} {
		p := h.everyHour()
		c.change(&p)
		_, command := h.recurring(t, c.key, p)
		before := h.state(t)
		_, err := h.apply(t, command)
		require.ErrorIs(t, err, c.want, name)
		require.Equal(t, before, h.state(t), name)
	}
	require.Equal(t, "pppp", h.states(t, digest))
	h.replay(t)
}

// TestAScheduleIsCancelled by who signed it or by the sponsor: nothing more is asked of it.
func TestAScheduleIsCancelled(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]func(h *hub) identity.Key{
		"by the researcher": func(h *hub) identity.Key { return h.trial.Researcher },
		"by the sponsor":    func(h *hub) identity.Key { return h.trial.Sponsor },
	} {
		h := newHub(t).withTrial(t)
		digest, register := h.recurring(t, h.trial.Researcher, h.everyHour())
		cancel := func(key identity.Key) registry.CancelSchedule {
			return registry.CancelSchedule{Envelope: h.seal(t, key, schedule.KindCancellation, schedule.Cancellation{Schedule: digest, Reason: "over"})}
		}
		_, err := h.apply(t, cancel(key(h)))
		require.ErrorIs(t, err, registry.ErrScheduleUnknown, name)
		h.must(t, register)
		_, err = h.apply(t, cancel(peertest.NewKey(t)))
		require.ErrorIs(t, err, schedule.ErrCanceller, name)
		_, err = h.applyAt(t, start.Add(time.Hour), occurrence(digest, 1))
		require.NoError(t, err, name)
		mine := cancel(key(h))
		require.Positive(t, h.must(t, mine).LedgerIndex, name)
		require.True(t, h.must(t, cancel(key(h))).Existed, name)
		require.Equal(t, "accc", h.states(t, digest), name)
		_, err = h.applyAt(t, start.Add(2*time.Hour), occurrence(digest, 2))
		require.NoError(t, err)
		require.Equal(t, "accc", h.states(t, digest), name)
		require.Equal(t, mine.Envelope.Digest(), must(h.reader.Schedule(t.Context(), "hourly")).Cancellation.Digest())
		require.Empty(t, must(h.reader.Due(t.Context(), start.Add(24*time.Hour), 10)), name)
		require.Equal(t, query.Open, must(h.reader.Question(t.Context(), must(h.reader.Occurrences(t.Context(), digest))[0].Query)).State, name)
		h.replay(t)
	}
	h := newHub(t).withTrial(t)
	digest, register := h.recurring(t, h.trial.Researcher, h.everyHour())
	h.must(t, register)
	for i := range 4 {
		_, err := h.applyAt(t, start.Add(48*time.Hour), occurrence(digest, i+1))
		require.NoError(t, err)
	}
	_, err := h.apply(t, registry.CancelSchedule{Envelope: h.seal(t, h.trial.Researcher, schedule.KindCancellation, schedule.Cancellation{Schedule: digest})})
	require.ErrorIs(t, err, registry.ErrScheduleOver)
}

// TestEachOccurrenceIsSettledOnce, whatever leaders propose and whatever their clocks say:
// asked in its time or missed after it, or cancelled, and never anything else afterwards. The
// log tells of each once.
func TestEachOccurrenceIsSettledOnce(t *testing.T) {
	t.Parallel()
	base := newHub(t).withTrial(t)
	key := base.trial.Researcher
	rapid.Check(t, func(r *rapid.T) {
		h := newHub(t)
		h.key, h.trial = base.key, base.trial
		h.machine = registry.NewMachine(h.db, h.key.DID(), peertest.Proofs{})
		for _, data := range base.entries {
			_, err := h.applyRaw(t, data)
			require.NoError(r, err)
		}
		h.at = start.Add(time.Minute)
		digest, register := h.recurring(t, key, h.everyHour())
		h.must(t, register)
		settled := make(map[int]schedule.State)
		now, cancelled := start, false
		for range rapid.IntRange(1, 12).Draw(r, "commands") {
			now = now.Add(time.Duration(rapid.IntRange(0, 9*3600).Draw(r, "later")) * time.Second)
			at := now.Add(time.Duration(rapid.IntRange(-7200, 7200).Draw(r, "clock")) * time.Second) // another leader's
			switch rapid.IntRange(0, 9).Draw(r, "what") {
			case 0:
				h.at = at
				_, err := h.applyAt(t, at, registry.CancelSchedule{Envelope: h.seal(t, key, schedule.KindCancellation, schedule.Cancellation{Schedule: digest})})
				if err == nil && !cancelled {
					cancelled = true
					for n := range 4 {
						if _, over := settled[n+1]; !over {
							settled[n+1] = schedule.Cancelled
						}
					}
				}
			case 1: // a restart
				h.machine = registry.NewMachine(h.db, h.key.DID(), peertest.Proofs{})
			default:
				n := rapid.IntRange(1, 4).Draw(r, "number")
				due := start.Add(time.Duration(n) * time.Hour)
				out, err := h.applyAt(t, at, occurrence(digest, n))
				_, over := settled[n]
				switch {
				case over:
					require.NoError(r, err)
					require.True(r, out.Existed)
				case at.Before(due):
					require.ErrorIs(r, err, registry.ErrOccurrenceEarly)
				case at.Before(due.Add(schedule.Window)):
					require.NoError(r, err)
					settled[n] = schedule.Asked
				default:
					require.NoError(r, err)
					settled[n] = schedule.Missed
				}
			}
			for _, o := range must(h.reader.Occurrences(t.Context(), digest)) {
				want, over := settled[o.Number]
				if !over {
					want = schedule.Pending
				}
				require.Equal(r, want, o.State)
				_, err := h.reader.Question(t.Context(), o.Query)
				require.Equal(r, want == schedule.Asked, err == nil)
			}
		}
		asked, missed := 0, 0
		for _, state := range settled {
			switch state {
			case schedule.Asked:
				asked++
			case schedule.Missed:
				missed++
			}
		}
		require.Equal(r, asked, h.leaves(t, entry.QuestionAsked))
		require.Equal(r, missed, h.leaves(t, entry.OccurrenceMissed))
	})
}

// leaves counts the entries of a kind.
func (h *hub) leaves(t *testing.T, kind entry.Kind) (n int) {
	t.Helper()
	require.NoError(t, h.db.Read(t.Context(), func(tx *sqldb.Tx) error {
		return tx.Each(t.Context(), `SELECT body FROM ledger_entry`, nil, func(rows *sqldb.Rows) error {
			var raw []byte
			if err := rows.Scan(&raw); err != nil {
				return err
			}
			e, err := entry.Parse(raw)
			if e.Kind == kind {
				n++
			}
			return err
		})
	}))
	return n
}

// TestAResearcherHasSoManySchedules: every replica looks after them.
func TestAResearcherHasSoManySchedules(t *testing.T) {
	t.Parallel()
	h := newHub(t).withTrial(t)
	require.NoError(t, h.db.Write(t.Context(), func(tx *sqldb.Tx) error {
		const numbers = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) `
		if _, err := tx.Exec(t.Context(), numbers+`INSERT INTO schedule SELECT 'digest ' || i, 'name ' || i, ?, '', 0, i, '' FROM n`, h.trial.Researcher.DID()); err != nil {
			return err
		}
		_, err := tx.Exec(t.Context(), numbers+`INSERT INTO schedule_occurrence SELECT 'digest ' || i, 1, 'query ' || i, 0, 'pending', '' FROM n`)
		return err
	}))
	_, register := h.recurring(t, h.trial.Researcher, h.everyHour())
	_, err := h.apply(t, register)
	var refused *problem.Error
	require.ErrorAs(t, err, &refused)
	require.ErrorIs(t, err, registry.ErrSchedules)
	require.NoError(t, h.db.Write(t.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(t.Context(), `UPDATE schedule_occurrence SET state = 'asked' WHERE query = 'query 7'`)
		return err
	}))
	h.must(t, register)
}
