package evidence

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/study"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// VerifyQuery checks everything that public data says about one question: that
// it was signed and allowed, that its result is on record and names every node
// of its trial, and for each node that answered that consent covered what it
// used. A repeated answer is followed to the first one. chain and the error are
// as in [VerifyLedger].
func VerifyQuery(ctx context.Context, src Source, trust Trust, chain string, id query.ID) (Report, error) {
	return verifyQuery(ctx, src, trust, chain, id, "")
}

// VerifyProof is [VerifyQuery] with the access proof of one node only.
func VerifyProof(ctx context.Context, src Source, trust Trust, chain string, id query.ID, node identity.DID) (Report, error) {
	if _, err := node.PublicKey(); err != nil {
		return Report{}, fmt.Errorf("evidence: %w", err)
	}
	return verifyQuery(ctx, src, trust, chain, id, node)
}

func verifyQuery(ctx context.Context, src Source, trust Trust, chain string, id query.ID, only identity.DID) (Report, error) {
	v, err := begin(ctx, src, trust, chain)
	if err != nil {
		return Report{}, err
	}
	v.fits(Scope{Question: id})
	if v.open(ctx) {
		v.readCircuits(ctx)
		v.question(ctx, id, only, true)
		if v.answered {
			v.onChain(ctx, v.last, v.proven)
		}
	}
	return v.end(ctx)
}

// question is a question as the log tells it.
type question struct {
	signed[query.Request]
	id         query.ID
	design     trial.Design
	sponsored  message.Envelope // the design, as the sponsor signed it
	result     query.Result
	resultLeaf leaf
}

// question checks one question with its trial, result and nodes. follow allows
// it to be a repetition of another.
func (v *verification) question(ctx context.Context, id query.ID, only identity.DID, follow bool) *question {
	q, asked := v.asked(ctx, id)
	if !asked || !v.trial(ctx, q) {
		return nil
	}
	v.study(ctx, q)
	if !v.result(ctx, q) {
		return nil
	}
	if v.questions == nil {
		v.questions = make(map[query.ID]*question)
	}
	v.questions[id] = q
	if q.result.Repeats != nil {
		v.repeats(ctx, q, only, follow)
		return q
	}
	if q.result.State == query.Cancelled {
		v.cancelled(q)
		return q
	}
	v.nodes(q)
	if q.result.State == query.Withheld {
		v.report.skip(CheckAccess, id.String(), "nothing was released, so there is nothing to prove")
		return q
	}
	v.policy(q)
	v.cells(q)
	v.answers(ctx, q, only)
	return q
}

// asked finds the question and checks its signature.
func (v *verification) asked(ctx context.Context, id query.ID) (*question, bool) {
	subject := id.String()
	leaves := v.find(entry.QuestionAsked, subject)
	if len(leaves) != 1 {
		v.report.fail(CheckQuestion, subject, "the log records the question %d times, not once", len(leaves))
		return nil, false
	}
	q := &question{id: id}
	var err error
	if q.signed, err = open[query.Request](ctx, v, leaves[0], query.KindRequest); err == nil {
		err = q.body.Validate()
	}
	if err == nil && q.envelope.Digest() != id {
		err = errSubject
	}
	if err != nil {
		v.report.fail(CheckQuestion, subject, "%s: %v", leaves[0].place(), err)
		return nil, false
	}
	v.report.pass(CheckQuestion, subject, "entry %d holds the question of %s about trial %s; it was signed by %s and valid then",
		q.index, stamp(q.At), q.body.Trial, q.envelope.Issuer)
	return q, true
}

// trial finds the question's trial, as it was registered last before the
// question, and checks that it allowed the question. Registered again it must
// be with the same design: only approvals are renewed.
func (v *verification) trial(ctx context.Context, q *question) bool {
	subject := string(q.body.Trial)
	leaves := v.find(entry.TrialRegistered, subject)
	if len(leaves) == 0 {
		v.report.fail(CheckTrial, subject, "the log does not record the trial")
		return false
	}
	var last leaf
	var registration trial.Registration
	for i, l := range leaves {
		if i > 0 && l.index >= q.index {
			break
		}
		r, design, err := v.registration(ctx, l)
		switch {
		case errors.Is(err, trial.ErrUnapproved):
			v.report.fail(CheckApproval, subject, "%s: %v", l.place(), err)
			return false
		case err != nil:
		case l.index >= q.index:
			err = fmt.Errorf("the trial was registered after the question, which is entry %d", q.index)
		case i > 0 && r.Design.Digest() != registration.Design.Digest():
			err = fmt.Errorf("it registers another design than %s", last.place())
		}
		if err != nil {
			v.report.fail(CheckTrial, subject, "%s: %v", l.place(), err)
			return false
		}
		last, registration, q.design, q.sponsored = l, r, design, r.Design
	}
	v.report.pass(CheckTrial, subject, "entry %d registered the trial before the question; its design is signed by %s", last.index, last.Actor)
	return v.allowed(q, registration)
}

// allowed checks the rules of a trial one by one.
func (v *verification) allowed(q *question, registration trial.Registration) bool {
	boards, whose := v.trust.Boards, "a trusted board"
	if len(boards) == 0 {
		whose = "the board"
		for _, e := range registration.Approvals {
			boards = append(slices.Clip(boards), e.Issuer)
			whose += " " + string(e.Issuer)
		}
		whose += " (the trust document names no boards: find out who that is)"
	}
	_, err := registration.Check(trial.Ask{
		Researcher: q.envelope.Issuer, Node: q.design.Nodes[0], Analysis: string(q.body.Analysis.Kind), At: q.At,
	}, boards)
	rules := []struct {
		name  string
		rule  error
		right string
	}{
		{CheckApproval, trial.ErrUnapproved, "the design was approved by " + whose + " and the approval was in force when the question was asked"},
		{CheckOpen, trial.ErrClosed, "the trial was open when the question was asked"},
		{CheckResearcher, trial.ErrResearcher, "whoever signed the question is a researcher of the trial"},
		{CheckAnalysis, trial.ErrAnalysis, fmt.Sprintf("the trial allows the analysis %q", q.body.Analysis.Kind)},
	}
	for i, r := range rules {
		if errors.Is(err, r.rule) || err != nil && i == len(rules)-1 {
			v.report.fail(r.name, string(q.design.ID), "%v", err)
			return false
		}
		v.report.pass(r.name, string(q.design.ID), "%s", r.right)
	}
	return true
}

// study checks that a question which names a saved study is that study's: registered
// before, by a researcher of the trial, with this question in it word for word.
func (v *verification) study(ctx context.Context, q *question) {
	part := q.body.Study
	if part == nil {
		return
	}
	subject := part.String()
	leaves := v.find(entry.StudyRegistered, subject)
	if len(leaves) != 1 {
		v.report.fail(CheckStudy, subject, "the log records this version of the study %d times, not once", len(leaves))
		return
	}
	s, err := open[study.Study](ctx, v, leaves[0], study.KindStudy)
	if err == nil {
		err = study.Verify(s.envelope, q.body, q.design.Researchers)
	}
	if err == nil && s.index >= q.index {
		err = fmt.Errorf("the study was registered after the question, which is entry %d", q.index)
	}
	if err != nil {
		v.report.fail(CheckStudy, subject, "%s: %v", leaves[0].place(), err)
		return
	}
	v.report.pass(CheckStudy, subject, "entry %d registered the study before the question, which is its question %s", s.index, part.Question)
}

// result finds the question's result.
func (v *verification) result(ctx context.Context, q *question) bool {
	subject := q.id.String()
	leaves := v.find(entry.QuestionAnswered, subject)
	if len(leaves) == 0 && v.ongoing {
		v.report.skip(CheckResult, subject, fmt.Sprintf("no result is recorded yet; the newest entry of the log is of %s", stamp(v.leaves[len(v.leaves)-1].At)))
		return false
	}
	if len(leaves) != 1 {
		v.report.fail(CheckResult, subject, "the log records %d results of the question, not one: it may still be open", len(leaves))
		return false
	}
	q.resultLeaf = leaves[0]
	var err error
	q.result, err = read[query.Result](ctx, v, q.resultLeaf)
	r := q.result
	switch {
	case err != nil:
	case q.resultLeaf.Actor != v.trust.Hub:
		err = errNotHub
	case r.Query != q.id || r.Trial != q.body.Trial:
		err = errSubject
	case q.resultLeaf.index <= q.index:
		err = fmt.Errorf("the result is older than the question, which is entry %d", q.index)
	case !r.State.Final():
		err = errors.New("the result is not final")
	case !r.Asked.Equal(q.At) || r.Finished.Before(r.Asked):
		err = errors.New("the result's times do not fit the question's entry")
	}
	if err != nil {
		v.report.fail(CheckResult, subject, "%s: %v", q.resultLeaf.place(), err)
		return false
	}
	v.report.pass(CheckResult, subject, "entry %d records the result, which is %s", q.resultLeaf.index, r.State)
	return true
}

// cancelled checks that one who may has cancelled the question, and that nothing came of it.
func (v *verification) cancelled(q *question) {
	subject, r := q.id.String(), q.result
	err := errors.New("nobody is named who cancelled it")
	if r.Cancelled != nil {
		var c query.Cancellation
		if c, err = message.Replay[query.Cancellation](*r.Cancelled, query.KindCancellation); err == nil {
			err = c.Check(r.Cancelled.Issuer, q.envelope, q.sponsored)
		}
	}
	if err == nil && (len(r.Answered)+len(r.Refused)+len(r.Missing)+len(r.Cells) > 0 || r.Total != nil || !r.Outcome.IsZero()) {
		err = errors.New("it is said to be cancelled, but there are answers")
	}
	if err != nil {
		v.report.fail(CheckCancelled, subject, "%s: %v", q.resultLeaf.place(), err)
		return
	}
	v.report.pass(CheckCancelled, subject, "it was cancelled before there was an answer, as %s signed", r.Cancelled.Issuer)
	v.report.skip(CheckAccess, subject, "nothing was released, so there is nothing to prove")
}

// repeats follows a repeated answer to the first.
func (v *verification) repeats(ctx context.Context, q *question, only identity.DID, follow bool) {
	subject, first := q.id.String(), *q.result.Repeats
	if !follow {
		v.report.fail(CheckRepeats, subject, "it is said to repeat %s, but is itself the answer that another repeats", first)
		return
	}
	origin, known := v.questions[first]
	if !known {
		origin = v.question(ctx, first, only, false)
	}
	if origin == nil || origin.result.Repeats != nil {
		v.report.fail(CheckRepeats, subject, "the answer repeated, %s, cannot be checked", first)
		return
	}
	expected, errNames := q.body.Repetition(origin.result)
	expected.Query, expected.Repeats = q.id, &first
	expected.Asked, expected.Finished = q.result.Asked, q.result.Finished
	now, errNow := q.body.Question()
	then, errThen := origin.body.Question()
	switch {
	case errNow != nil || errThen != nil || errNames != nil || now != then:
		v.report.fail(CheckRepeats, subject, "it is not the question that it is said to repeat, %s", first)
	case origin.resultLeaf.index >= q.resultLeaf.index:
		v.report.fail(CheckRepeats, subject, "the answer that it is said to repeat, %s, came later", first)
	case !same(expected, q.result):
		v.report.fail(CheckRepeats, subject, "%s: the repeated answer differs from the first, %s", q.resultLeaf.place(), origin.resultLeaf.place())
	default:
		v.report.pass(CheckRepeats, subject, "the same was asked before, as %s, and the same answer was given again", first)
	}
}

// nodes checks that the result accounts for every node of the trial.
func (v *verification) nodes(q *question) {
	subject, r := q.id.String(), q.result
	named := make(map[identity.DID]bool)
	count := func(node identity.DID) error {
		if named[node] {
			return fmt.Errorf("node %s is named twice", node)
		}
		if !slices.Contains(q.design.Nodes, node) {
			return fmt.Errorf("node %s does not take part in the trial", node)
		}
		named[node] = true
		return nil
	}
	var errs []error
	var others string
	for _, a := range r.Answered {
		errs = append(errs, count(a.Node))
	}
	for _, a := range r.Refused {
		errs = append(errs, count(a.Node))
		others += fmt.Sprintf("; %s refused (%s)", a.Node, a.Problem.Rule)
	}
	for _, a := range r.Missing {
		errs = append(errs, count(a.Node))
		others += fmt.Sprintf("; %s gave no answer to step %q", a.Node, a.Step)
	}
	err := errors.Join(errs...)
	switch {
	case err != nil:
	case r.State == query.Withheld:
		if len(r.Answered)+len(r.Cells) > 0 || r.Total != nil {
			err = errors.New("nothing is said to be released, but there are answers")
		}
	case len(named) != len(q.design.Nodes):
		err = fmt.Errorf("%d of the trial's %d nodes are accounted for", len(named), len(q.design.Nodes))
	case r.State == query.Complete && len(r.Answered) != len(q.design.Nodes):
		err = errors.New("it is called complete, but not all nodes answered")
	case len(r.Answered) == 0:
		err = errors.New("nobody answered")
	}
	if err != nil {
		v.report.fail(CheckNodes, subject, "%s: %v", q.resultLeaf.place(), err)
		return
	}
	if r.State == query.Withheld {
		others += "; nothing was released: " + r.Reason
	}
	v.report.pass(CheckNodes, subject, "%d of the trial's %d nodes answered%s", len(r.Answered), len(q.design.Nodes), others)
}

// What no check of this package can tell.
const (
	unproven = "that the released numbers are the sums over these records is not proven: the question did not ask for it (proof: result), so it rests on the word of the nodes that answered"
	unopened = "that the released numbers are the sums of the nodes' proven figures is not proven: those stay hidden in the digests that the nodes sent with their masked numbers, and what opens a digest stays at its node"
)

// answers checks the nodes that answered.
func (v *verification) answers(ctx context.Context, q *question, only identity.DID) {
	proofs := v.accesses(q)
	found := false
	for _, a := range q.result.Answered {
		if only != "" && a.Node != only {
			continue
		}
		found = true
		if s := v.answer(ctx, q, a, proofs); s != nil {
			v.proven = append(v.proven, *s)
		}
	}
	if !found {
		v.report.fail(CheckAccess, string(only), "the node is not among those that answered the question")
		return
	}
	v.answered, v.last = true, max(v.last, q.resultLeaf.index)
	open := unproven
	if q.body.Proof != "" {
		open = unopened
	}
	v.report.skip(CheckNumbers, q.id.String(), open)
}

// same compares two results by their canonical bytes.
func same(a, b query.Result) bool {
	first, errFirst := canonical.Marshal(a)
	second, errSecond := canonical.Marshal(b)
	return errFirst == nil && errSecond == nil && bytes.Equal(first, second)
}

// stamp writes a time for people.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 MST") }
