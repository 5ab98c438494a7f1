package screen

import (
	"context"
	"errors"

	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/consent"
	"github.com/trialmesh/trialmesh/node/eventindex"
	"github.com/trialmesh/trialmesh/node/events"
	"github.com/trialmesh/trialmesh/node/members"
	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// Result is how a criterion stands that does not speak against its trial: a cohort that
// the patient is in, or an exclusion that is not found, or one that cannot be told.
type Result int

// The results.
const (
	Met          Result = iota + 1 // by what is stored
	MetByDraft                     // by a draft order
	NoRecords                      // cannot be told: there is no record of that kind
	ShortHistory                   // cannot be told: there is such an event, but too few days were observed around it
)

// truth is how a cohort stands for a patient.
type truth int

const (
	no truth = iota
	yes
	drafted
	unrecorded
	unobserved
)

// look is one patient under comparison.
type look struct {
	*Screener
	patient events.Source
	drafted events.Source // the patient with the draft orders as events of today, nil for none

	recorded map[cohort.Domain]bool // whether there is any event; filled when asked
}

// newLook compares a patient who has orders in draft today.
func (s *Screener) newLook(patient *eventindex.Single, drafts []vocab.Concept, today events.Day) *look {
	l := &look{Screener: s, patient: patient, recorded: map[cohort.Domain]bool{}}
	orders := map[cohort.Domain][]int64{}
	for _, d := range drafts {
		for domain, name := range domains {
			if name == d.Domain {
				orders[domain] = append(orders[domain], d.ID)
			}
		}
	}
	if len(orders) > 0 {
		l.drafted = patient.With(today, orders)
	}
	return l
}

// match compares with one rule, about whose trial the patient said word.
func (l *look) match(ctx context.Context, r compiled, word consent.Word) (Match, bool, error) {
	m := Match{Rule: r.Rule, Granted: word == consent.Granted}
	if word == consent.Refused {
		return m, false, nil
	}
	met := false
	for i, c := range r.Criteria {
		stands, err := l.judge(ctx, r.cohorts[i])
		if err != nil {
			return m, false, err
		}
		result, ok := resultOf(stands, c.Exclude)
		if !ok {
			return m, false, nil
		}
		met = met || !c.Exclude && (result == Met || result == MetByDraft)
		m.Results = append(m.Results, result)
	}
	return m, met, nil
}

// resultOf returns what a truth means for a criterion; ok is false if it speaks against
// the trial.
func resultOf(t truth, exclude bool) (r Result, ok bool) {
	switch t {
	case unrecorded:
		return NoRecords, true
	case unobserved:
		return ShortHistory, true
	case yes:
		return Met, !exclude
	case drafted:
		return MetByDraft, !exclude
	default:
		return Met, exclude
	}
}

// judge finds out how one cohort stands. That the patient is not in it means no only
// where there are events of all kinds that it reads.
func (l *look) judge(ctx context.Context, d cohort.Definition) (truth, error) {
	if in, err := l.in(ctx, d, l.patient); err != nil || in {
		return yes, err
	}
	sources := []events.Source{l.patient}
	if l.drafted != nil {
		if in, err := l.in(ctx, d, l.drafted); err != nil || in {
			return drafted, err
		}
		sources = append(sources, l.drafted)
	}
	if d.Primary.PriorDays > 0 || d.Primary.PostDays > 0 {
		d.Primary.PriorDays, d.Primary.PostDays = 0, 0
		for _, s := range sources {
			if in, err := l.in(ctx, d, s); err != nil || in {
				return unobserved, err
			}
		}
	}
	for _, domain := range d.Reads() {
		if some, err := l.records(ctx, domain); err != nil || !some {
			return unrecorded, err
		}
	}
	return no, nil
}

// in reports whether the patient is in a cohort. One that needs a table which the site does
// not keep has nobody.
func (l *look) in(ctx context.Context, d cohort.Definition, s events.Source) (bool, error) {
	found, err := members.Evaluate(ctx, d, s, l.cfg.Vocabulary, members.Options{Workers: 1})
	if errors.As(err, new(events.NoTableError)) {
		return false, nil
	}
	return found.Persons > 0, err
}

// records reports whether the patient has any event of a domain.
func (l *look) records(ctx context.Context, d cohort.Domain) (bool, error) {
	if d == cohort.Person || d == cohort.Death || d == cohort.ObservationPeriod {
		return true, nil // of which nothing is something, too
	}
	if some, asked := l.recorded[d]; asked {
		return some, nil
	}
	all, err := l.patient.Events(ctx, d, nil)
	if errors.As(err, new(events.NoTableError)) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	l.recorded[d] = len(all.Person) > 0
	return l.recorded[d], nil
}

// domains of draft orders, by the name of their tables in definitions.
var domains = map[cohort.Domain]string{
	cohort.ConditionOccurrence: "Condition",
	cohort.DrugExposure:        "Drug",
	cohort.ProcedureOccurrence: "Procedure",
	cohort.Measurement:         "Measurement",
	cohort.Observation:         "Observation",
	cohort.VisitOccurrence:     "Visit",
}
