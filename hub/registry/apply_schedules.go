package registry

import (
	"errors"
	"fmt"
	"time"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/schedule"
)

// maxSchedules is how many schedules with occurrences to come one researcher may have.
const maxSchedules = 100

// Why the registry refuses a schedule, or an occurrence of one.
var (
	ErrScheduleUnknown   = problem.New(problem.NotFound, "no such schedule")
	ErrScheduleExists    = problem.New(problem.Conflict, "a schedule with this name is registered and says something else, or is another researcher's: give yours another name")
	ErrScheduleLate      = problem.New(problem.Invalid, "schedule: its first occurrence was due more than a day ago: give a later first")
	ErrScheduleOver      = problem.New(problem.Conflict, "the schedule is over: nothing of it is to come")
	ErrSchedules         = problem.New(problem.Conflict, "the researcher has 100 schedules that are not over, as many as one may have")
	ErrOccurrence        = problem.Refusal("schedule.occurrence", "an occurrence of a schedule is asked by the hub when it is due, and by nobody else")
	ErrOccurrenceUnknown = problem.New(problem.NotFound, "the schedule has no such occurrence")
	ErrOccurrenceEarly   = problem.Refusal("schedule.early", "the occurrence is not due yet")
)

// registerSchedule registers a recurring question.
func (s step) registerSchedule(c RegisterSchedule) (Outcome, error) {
	content, err := message.Open[schedule.Schedule](c.Envelope, schedule.KindSchedule, s.at)
	if err != nil {
		return Outcome{}, err
	}
	plan, researcher := content.Plan, c.Envelope.Issuer
	if err := plan.Validate(); err != nil {
		return Outcome{}, err
	}
	if err := analysis.Check(plan.Question.Analysis); err != nil {
		return Outcome{}, err
	}
	if err := s.allowed(plan.Question, researcher); err != nil {
		return Outcome{}, err
	}
	digest, err := plan.Digest()
	if err != nil {
		return Outcome{}, err
	}
	if same, err := s.newSchedule(plan, digest, researcher); err != nil || same {
		return silent(true), err
	}
	requests, err := content.Envelopes(researcher)
	if err != nil {
		return Outcome{}, err
	}
	if !s.at.Before(requests[0].Issued.Add(schedule.Window)) {
		return Outcome{}, ErrScheduleLate
	}
	document, out, err := s.record(entry.ScheduleRegistered, researcher, plan.Name, c.Envelope)
	if err != nil {
		return Outcome{}, err
	}
	if _, err := s.tx.Exec(s.ctx, `INSERT INTO schedule (digest, name, researcher, document, registered_at, ledger_index) VALUES (?, ?, ?, ?, ?, ?)`,
		digest.String(), plan.Name, researcher, document.String(), s.at.Unix(), out.LedgerIndex); err != nil {
		return Outcome{}, err
	}
	for i, e := range requests {
		if _, err := s.tx.Exec(s.ctx, `INSERT INTO schedule_occurrence (schedule, number, query, due_at) VALUES (?, ?, ?, ?)`,
			digest.String(), i+1, e.Digest().String(), e.Issued.Unix()); err != nil {
			return Outcome{}, err
		}
	}
	return out, nil
}

// newSchedule reports whether the researcher registered the same plan before, and refuses
// what contradicts another.
func (s step) newSchedule(plan schedule.Plan, digest message.Digest, researcher identity.DID) (same bool, err error) {
	var known string
	var of identity.DID
	err = s.tx.QueryRow(s.ctx, `SELECT digest, researcher FROM schedule WHERE name = ?`, plan.Name).Scan(&known, &of)
	switch {
	case errors.Is(err, sqldb.ErrNoRows):
	case err != nil:
		return false, err
	case known == digest.String() && of == researcher:
		return true, nil
	default:
		return false, ErrScheduleExists
	}
	var n int
	if err := s.tx.QueryRow(s.ctx, `SELECT count(*) FROM schedule AS s WHERE researcher = ? AND EXISTS
		(SELECT 1 FROM schedule_occurrence WHERE schedule = s.digest AND state = ?)`, researcher, schedule.Pending).Scan(&n); err != nil {
		return false, err
	}
	if n >= maxSchedules {
		return false, ErrSchedules
	}
	return false, nil
}

// askOccurrence asks an occurrence that is due, once. One that is brought too late, or that
// may not be asked any more, is recorded as missed; only while too many questions are open it
// stays pending.
func (s step) askOccurrence(c AskOccurrence) (Outcome, error) {
	if err := c.Limits.Validate(); err != nil {
		return Outcome{}, err
	}
	var state schedule.State
	var at int64
	err := s.tx.QueryRow(s.ctx, `SELECT state, due_at FROM schedule_occurrence WHERE schedule = ? AND number = ?`, c.Schedule.String(), c.Number).Scan(&state, &at)
	switch {
	case errors.Is(err, sqldb.ErrNoRows):
		return Outcome{}, ErrOccurrenceUnknown
	case err != nil:
		return Outcome{}, err
	case state != schedule.Pending:
		return silent(true), nil
	}
	known, err := scheduleOf(s.ctx, s.tx, selectSchedule+`WHERE digest = ?`, c.Schedule.String())
	if err != nil {
		return Outcome{}, err
	}
	due := time.Unix(at, 0).UTC()
	miss := schedule.Miss{Name: known.Plan.Name, Schedule: c.Schedule, Number: c.Number, Due: due}
	switch {
	case s.at.Before(due):
		return Outcome{}, ErrOccurrenceEarly
	case !s.at.Before(due.Add(schedule.Window)):
		miss.Reason = "the hub did not ask it within a day after it was due"
		return s.miss(miss)
	}
	request, err := known.Schedule.Envelope(known.Envelope.Issuer, c.Number)
	if err != nil {
		return Outcome{}, err
	}
	out, err := s.ask(QueueQuestion{
		Envelope: request, Deadline: s.at.Add(known.Plan.Deadline()), Priority: query.Normal, Limits: c.Limits,
	}, true)
	if refused, is := errors.AsType[*problem.Error](err); is && refused.Kind != problem.TooMany {
		miss.Rule, miss.Reason = refused.Rule, refused.Public
		return s.miss(miss)
	}
	if err != nil {
		return Outcome{}, err
	}
	return out, s.settle(miss, schedule.Asked, "")
}

// miss records that an occurrence is not asked.
func (s step) miss(m schedule.Miss) (Outcome, error) {
	document, out, err := s.record(entry.OccurrenceMissed, s.hub, m.Occurrence().String(), m)
	if err != nil {
		return Outcome{}, err
	}
	return out, s.settle(m, schedule.Missed, document.String())
}

// settle ends the wait for an occurrence.
func (s step) settle(m schedule.Miss, state schedule.State, document string) error {
	n, err := s.tx.Exec(s.ctx, `UPDATE schedule_occurrence SET state = ?, miss = ? WHERE schedule = ? AND number = ? AND state = ?`,
		state, document, m.Schedule.String(), m.Number, schedule.Pending)
	if err == nil && n != 1 {
		err = fmt.Errorf("registry: occurrence %s is not pending", m.Occurrence())
	}
	return err
}

// cancelSchedule ends a schedule: what was asked of it stays.
func (s step) cancelSchedule(c CancelSchedule) (Outcome, error) {
	cancellation, err := message.Open[schedule.Cancellation](c.Envelope, schedule.KindCancellation, s.at)
	if err != nil {
		return Outcome{}, err
	}
	known, err := scheduleOf(s.ctx, s.tx, selectSchedule+`WHERE digest = ?`, cancellation.Schedule.String())
	if err != nil {
		return Outcome{}, err
	}
	registration, _, err := trialOf(s.ctx, s.tx, known.Plan.Question.Trial)
	if err != nil {
		return Outcome{}, err
	}
	if err := cancellation.Check(c.Envelope.Issuer, known.Envelope.Issuer, registration.Design.Issuer); err != nil {
		return Outcome{}, err
	}
	if known.Cancellation != nil {
		return silent(true), nil
	}
	n, err := s.tx.Exec(s.ctx, `UPDATE schedule_occurrence SET state = ? WHERE schedule = ? AND state = ?`,
		schedule.Cancelled, known.Digest.String(), schedule.Pending)
	if err != nil {
		return Outcome{}, err
	}
	if n == 0 {
		return Outcome{}, ErrScheduleOver
	}
	document, out, err := s.record(entry.ScheduleCancelled, c.Envelope.Issuer, known.Plan.Name, c.Envelope)
	if err != nil {
		return Outcome{}, err
	}
	_, err = s.tx.Exec(s.ctx, `UPDATE schedule SET cancellation = ? WHERE digest = ?`, document.String(), known.Digest.String())
	return out, err
}
