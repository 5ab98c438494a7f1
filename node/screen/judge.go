package screen

import (
	"context"
	"slices"
	"time"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/consent"
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
	ctx    context.Context //nolint:containedctx // lives as long as one call
	tx     *sqldb.Tx
	person omop.PersonID
	drafts []vocab.Concept

	recorded map[cohort.Domain]bool // whether there is any event; filled when asked
}

// match compares with one rule.
func (l *look) match(r compiled, now time.Time) (Match, bool, error) {
	m := Match{Rule: r.Rule}
	word, err := l.cfg.Consents.Said(l.ctx, l.tx, l.person, r.Trial, now)
	if err != nil || word == consent.Refused {
		return m, false, err
	}
	m.Granted = word == consent.Granted
	met := false
	for i, c := range r.Criteria {
		stands, err := l.judge(r.expressions[i])
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

// judge finds out how one cohort stands. That there is no such event means no only
// where there are events of its kinds at all.
func (l *look) judge(x cohort.Expression) (truth, error) {
	if _, in, err := l.cfg.Cohorts.Enters(l.ctx, l.tx, x, l.person); err != nil || in {
		return yes, err
	}
	windowed := x.PriorDays > 0 || x.PostDays > 0
	if slices.ContainsFunc(x.Criteria, l.ordered) {
		if windowed {
			return unobserved, nil
		}
		return drafted, nil
	}
	if windowed {
		x.PriorDays, x.PostDays = 0, 0
		if _, in, err := l.cfg.Cohorts.Enters(l.ctx, l.tx, x, l.person); err != nil || in {
			return unobserved, err
		}
	}
	for _, c := range x.Criteria {
		if some, err := l.records(c.Domain); err != nil || !some {
			return unrecorded, err
		}
	}
	return no, nil
}

// records reports whether the patient has any event of a domain: the cohort of it.
func (l *look) records(d cohort.Domain) (bool, error) {
	if some, asked := l.recorded[d]; asked {
		return some, nil
	}
	_, some, err := l.cfg.Cohorts.Enters(l.ctx, l.tx, cohort.Expression{Criteria: []cohort.EventCriterion{{Domain: d}}}, l.person)
	if err != nil {
		return false, err
	}
	if l.recorded == nil {
		l.recorded = map[cohort.Domain]bool{}
	}
	l.recorded[d] = some
	return some, nil
}

// domains are those of the vocabulary, by the name of their tables in definitions.
var domains = map[cohort.Domain]string{
	cohort.ConditionOccurrence: "Condition",
	cohort.DrugExposure:        "Drug",
	cohort.ProcedureOccurrence: "Procedure",
	cohort.Measurement:         "Measurement",
	cohort.Observation:         "Observation",
	cohort.VisitOccurrence:     "Visit",
}

// ordered reports whether a draft order would be such an event.
func (l *look) ordered(c cohort.EventCriterion) bool {
	return slices.ContainsFunc(l.drafts, func(d vocab.Concept) bool {
		return d.Domain == domains[c.Domain] && (len(c.Concepts) == 0 || slices.Contains(c.Concepts, d.ID))
	})
}
