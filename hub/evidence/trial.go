package evidence

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/schedule"
	"github.com/trialmesh/trialmesh/protocol/study"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// VerifyTrial checks everything that the log has about a trial: its registrations, nodes,
// studies and schedules, the consents that its nodes published for it, and every question as
// [VerifyQuery] does. A question without a result is not a failure here. chain and the error
// are as in [VerifyLedger].
func VerifyTrial(ctx context.Context, src Source, trust Trust, chain string, id trial.ID) (Report, error) {
	v, err := begin(ctx, src, trust, chain)
	if err != nil {
		return Report{}, err
	}
	v.fits(Scope{Trial: id})
	if v.open(ctx) {
		v.readCircuits(ctx)
		v.wholeTrial(ctx, id)
	}
	return v.end(ctx)
}

func (v *verification) wholeTrial(ctx context.Context, id trial.ID) {
	design, sound := v.registrations(ctx, id)
	if !sound {
		return
	}
	v.ongoing = true
	v.members(ctx, design)
	v.plans(ctx, design)
	v.trees(ctx, func(l leaf) bool { return l.Subject == string(id) })
	for _, node := range design.Nodes {
		v.epochs(ctx, id, node)
	}
	v.enrollments(ctx, design)
	asked := v.allQuestions(ctx, id)
	v.strays(ctx, id)
	v.once(ctx, func(l leaf) bool { return asked[l.Subject] })
	v.onChain(ctx, v.last, v.proven)
}

// registrations checks each registration of a trial: all are of one design, approved by a
// board at the time.
func (v *verification) registrations(ctx context.Context, id trial.ID) (design trial.Design, sound bool) {
	leaves := v.find(entry.TrialRegistered, string(id))
	if len(leaves) == 0 {
		v.report.fail(CheckSigned, string(id), "the log does not record the trial")
		return design, false
	}
	var first message.Digest
	for i, l := range leaves {
		r, d, err := v.registration(ctx, l)
		if i == 0 {
			design, first = d, r.Design.Digest()
		}
		if err == nil && r.Design.Digest() != first {
			err = fmt.Errorf("it registers another design than %s", leaves[0].place())
		}
		var by []string
		if err == nil {
			by, err = v.approvers(r, l.At)
		}
		if err != nil {
			v.report.fail(CheckSigned, string(id), "%s: %v", l.place(), err)
			return design, false
		}
		v.report.pass(CheckSigned, string(id), "entry %d registers the design %s, signed by %s and approved by %s", l.index, first, l.Actor, strings.Join(by, " and "))
	}
	return design, true
}

// approvers returns the boards whose approval of a registration counts at a time.
func (v *verification) approvers(r trial.Registration, at time.Time) ([]string, error) {
	var by []string
	for _, e := range r.Approvals {
		trusted := len(v.trust.Boards) == 0 || slices.Contains(v.trust.Boards, e.Issuer)
		if trusted && !at.Add(message.Skew).Before(e.Issued) && at.Before(e.Expires) {
			by = append(by, fmt.Sprintf("%s until %s", e.Issuer, stamp(e.Expires)))
		}
	}
	if len(by) == 0 {
		return nil, trial.ErrUnapproved
	}
	return by, nil
}

// members checks that a trial's nodes are of the network, and that only they published
// consents for it.
func (v *verification) members(ctx context.Context, design trial.Design) {
	for _, node := range design.Nodes {
		subject := string(node)
		l, d, err := v.enrollment(ctx, node)
		switch {
		case errors.Is(err, errStranger):
			v.report.skip(CheckMembers, subject, "the node is not enrolled, so it had no part in the trial yet")
		case err != nil:
			v.report.fail(CheckMembers, subject, "%v", err)
		default:
			since := ""
			for _, revoked := range v.find(entry.NodeRevoked, subject) {
				since += fmt.Sprintf("; entry %d revoked it", revoked.index)
			}
			v.report.pass(CheckMembers, subject, "entry %d enrolled the node, %q of %q%s", l.index, d.Name, d.Organization, since)
		}
	}
	for _, kind := range []entry.Kind{entry.ConsentEpoch, entry.ConsentChanged} {
		for _, l := range v.find(kind, string(design.ID)) {
			if !slices.Contains(design.Nodes, l.Actor) {
				v.report.fail(CheckMembers, string(l.Actor), "%s: the node does not take part in the trial", l.place())
			}
		}
	}
}

// plans checks what was written down of a trial before it was asked: studies and schedules.
func (v *verification) plans(ctx context.Context, design trial.Design) {
	for _, l := range v.leaves {
		var of trial.ID
		var err error
		switch l.Kind {
		case entry.StudyRegistered:
			var s signed[study.Study]
			s, err = open[study.Study](ctx, v, l, study.KindStudy)
			of = s.body.Trial
		case entry.ScheduleRegistered:
			var s signed[schedule.Schedule]
			s, err = open[schedule.Schedule](ctx, v, l, schedule.KindSchedule)
			of = s.body.Plan.Question.Trial
		default:
			continue
		}
		if err == nil && of != design.ID {
			continue
		}
		if err == nil {
			err = v.consistent(ctx, l)
		}
		if err == nil && !slices.Contains(design.Researchers, l.Actor) {
			err = trial.ErrResearcher
		}
		if err != nil {
			v.report.fail(CheckPlans, l.Subject, "%s: %v", l.place(), err)
			continue
		}
		v.report.pass(CheckPlans, l.Subject, "entry %d (%s) is signed by %s, a researcher of the trial", l.index, l.Kind, l.Actor)
	}
}

// epochs checks all that a node published of a trial's consents: each names the one before it,
// and the proofs of each verify.
func (v *verification) epochs(ctx context.Context, id trial.ID, node identity.DID) {
	subject := string(node)
	var last signed[consent.Epoch]
	var count uint64
	var before message.Digest
	origins := make(map[string]bool)
	for _, l := range v.find(entry.ConsentEpoch, string(id)) {
		if l.Actor != node {
			continue
		}
		e, err := open[consent.Epoch](ctx, v, l, consent.KindEpoch)
		if err = about(l, string(e.body.Trial), own(err, node, e.body.Node)); err == nil && (e.body.Revises != before || e.body.Number != count+1) {
			err = errors.New("the epoch does not follow the one before it in the log")
		}
		if err != nil {
			v.report.fail(CheckEpochChain, subject, "%s: %v", l.place(), err)
			return
		}
		_, origin, err := v.checkEpoch(e)
		if err != nil {
			v.report.fail(CheckEpochProof, subject, "%s: %v", l.place(), err)
			return
		}
		last, before, origins[origin] = e, e.envelope.Digest(), true
		count++
	}
	if count == 0 {
		v.report.skip(CheckEpochChain, subject, fmt.Sprintf("the node published no consents of trial %s", id))
		return
	}
	v.report.pass(CheckEpochChain, subject, "%d epochs of trial %s, the last in entry %d, are signed by the node and each names the one before it", count, id, last.index)
	v.report.pass(CheckEpochProof, subject, "the proofs of all their shards verify: the bitmaps follow from the consents under the published roots; %s", strings.Join(sortedKeys(origins), "; "))
}

// allQuestions checks every question about a trial, and returns their ids.
func (v *verification) allQuestions(ctx context.Context, id trial.ID) map[string]bool {
	asked, released := make(map[string]bool), 0
	for _, l := range v.leaves {
		if ctx.Err() != nil {
			return asked
		}
		if l.Kind != entry.QuestionAsked {
			continue
		}
		q, err := open[query.Request](ctx, v, l, query.KindRequest)
		if err != nil {
			v.report.fail(CheckQuestion, l.Subject, "%s: %v", l.place(), err)
			continue
		}
		if q.body.Trial != id || asked[l.Subject] {
			continue
		}
		asked[l.Subject] = true
		checked, known := v.questions[q.envelope.Digest()]
		if !known {
			checked = v.question(ctx, q.envelope.Digest(), "", true)
		}
		if checked != nil && len(checked.result.Answered) > 0 {
			released++
		}
	}
	v.report.pass(CheckQuestions, string(id), "the log records %d questions about the trial, of which %d were answered", len(asked), released)
	return asked
}

// strays looks for results of a trial to which nobody asked the question.
func (v *verification) strays(ctx context.Context, id trial.ID) {
	for _, l := range v.leaves {
		if l.Kind != entry.QuestionAnswered || len(v.find(entry.QuestionAsked, l.Subject)) > 0 {
			continue
		}
		r, err := read[query.Result](ctx, v, l)
		if err != nil {
			v.report.fail(CheckResult, l.Subject, "%s: %v", l.place(), err)
		} else if r.Trial == id {
			v.report.fail(CheckResult, l.Subject, "%s: the log does not record that this was asked", l.place())
		}
	}
}
