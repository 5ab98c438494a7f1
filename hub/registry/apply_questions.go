package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// Why the registry refuses what is said about a trial, a consent or a question.
var (
	ErrTrialUnknown    = problem.New(problem.NotFound, "no such trial")
	ErrTrialExists     = problem.New(problem.Conflict, "a trial with this id and another design is registered")
	ErrApprovals       = problem.New(problem.Conflict, "the trial would have more than 16 boards' approvals")
	ErrEpochOrder      = problem.Refusal("epoch.order", "a consent epoch must be signed by its node, follow the one before it, and hold one shard at least")
	ErrEpochWindow     = problem.Refusal("epoch.window", "a consent epoch must cover the present, and 400 days at most")
	ErrEpochProof      = problem.Refusal("epoch.proof", "a proof of the consent epoch does not verify")
	ErrEpochUnknown    = problem.Refusal("access.epoch", "the access proof names no consent epoch that was on the ledger before the question")
	ErrEpochOld        = problem.Refusal("access.epoch-newest", "the node had published newer consents when it was asked")
	ErrCircuitSize     = problem.Refusal("access.circuit", "the circuits of the access proof and of its consent epoch differ in shard size")
	ErrCircuitUnknown  = problem.Refusal("registry.circuit", "no such circuit is registered")
	ErrQuestionUnknown = problem.New(problem.NotFound, "no such question")
	ErrQuestionClosed  = problem.New(problem.Conflict, "the question is answered already")
	ErrDeadline        = problem.New(problem.Invalid, "deadline: later than the question, by 14 days at most")
	ErrNotAsked        = problem.Refusal("registry.not-asked", "the node does not take part in this question")
	ErrAccessMismatch  = problem.Refusal("access.commitment", "the access proof is not about the records, epoch or scopes of the node's answer")
	ErrAccessProof     = problem.Refusal("access.proof", "the access proof does not verify")
	ErrAccessCount     = problem.Refusal("access.count", "the access proof shows fewer records than the policy demands")
)

// MaxDeadline is how long a question may stay open: hospitals' people are away for a week.
const MaxDeadline = 14 * 24 * time.Hour

// ask records a question. One of a schedule is recorded only when its turn has come, by
// [step.askOccurrence], which says so.
func (s step) ask(c QueueQuestion, scheduled bool) (Outcome, error) {
	request, err := message.OpenBy[query.Request](s.verified, c.Envelope, query.KindRequest, s.at)
	if err != nil {
		return Outcome{}, err
	}
	if err := request.Validate(); err != nil {
		return Outcome{}, err
	}
	if err := analysis.Check(request.Analysis); err != nil {
		return Outcome{}, err
	}
	if scheduled != (request.Schedule != nil) {
		return Outcome{}, ErrOccurrence
	}
	id := c.Envelope.Digest()
	if same, err := s.exists(`SELECT 1 FROM question WHERE id = ?`, id.String()); err != nil || same {
		return silent(true), err
	}
	if err := s.ofStudy(request); err != nil {
		return Outcome{}, err
	}
	if !c.Deadline.After(s.at) || c.Deadline.Sub(s.at) > MaxDeadline {
		return Outcome{}, ErrDeadline
	}
	if err := s.allowed(request, c.Envelope.Issuer); err != nil {
		return Outcome{}, err
	}
	if err := s.mayAsk(c.Envelope.Issuer, c.Limits); err != nil {
		return Outcome{}, err
	}
	same, err := request.Question()
	if err != nil {
		return Outcome{}, problem.New(problem.Invalid, "query: cohort is malformed")
	}
	document, out, err := s.record(entry.QuestionAsked, c.Envelope.Issuer, id.String(), c.Envelope)
	if err != nil {
		return Outcome{}, err
	}
	if _, err = s.tx.Exec(s.ctx, `INSERT INTO question (id, document, trial, question, researcher, state, asked_at, deadline, ledger_index, priority)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, id.String(), document.String(), request.Trial, same.String(), c.Envelope.Issuer,
		query.Open, s.at.Unix(), c.Deadline.Unix(), out.LedgerIndex, c.Priority); err != nil {
		return Outcome{}, err
	}
	if err := s.noteStudy(id, request); err != nil {
		return Outcome{}, err
	}
	if scheduled {
		return out, nil // a recurring question is asked to see what has changed
	}
	return out, s.repeat(id, same, request)
}

// allowed refuses what the design of the trial does not allow. Nodes judge for themselves
// which boards they trust; the hub only spares them questions that no board's word could
// allow.
func (s step) allowed(request query.Request, researcher identity.DID) error {
	registration, design, err := trialOf(s.ctx, s.tx, request.Trial)
	if err != nil {
		return err
	}
	boards := make([]identity.DID, 0, len(registration.Approvals))
	for _, approval := range registration.Approvals {
		boards = append(boards, approval.Issuer)
	}
	return registration.Allows(design, trial.Ask{
		Researcher: researcher, Node: design.Nodes[0], Analysis: string(request.Analysis.Kind), At: s.at,
	}, boards)
}

// repeat finishes a question at once with what was released to the same
// question before, complete or partial, for good: a second answer over other
// nodes would differ from the first by their sums alone.
func (s step) repeat(id query.ID, same message.Digest, request query.Request) error {
	var text string
	err := s.tx.QueryRow(s.ctx, `SELECT result_document FROM question WHERE question = ? AND state IN (?, ?) ORDER BY result_index LIMIT 1`,
		same.String(), query.Complete, query.Partial).Scan(&text)
	if errors.Is(err, sqldb.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	result, err := documentAs[query.Result](s.ctx, s.tx, text)
	if err != nil {
		return err
	}
	return s.repetition(result, id, request, s.at)
}

// repetition finishes a later question with a released result.
func (s step) repetition(r query.Result, id query.ID, request query.Request, asked time.Time) error {
	first := r.Query
	if r.Repeats != nil {
		first = *r.Repeats
	}
	r.Query, r.Repeats = id, &first
	r.Asked, r.Finished = asked, s.at
	r, err := request.Repetition(r)
	if err != nil {
		return err
	}
	_, err = s.finish(r)
	return err
}

func (s step) recordAnswer(c RecordAnswer) (Outcome, error) {
	answer, err := message.OpenBy[query.Answer](s.verified, c.Envelope, query.KindAnswer, s.at)
	if err != nil {
		return Outcome{}, err
	}
	if err := s.open(answer.Query); err != nil {
		return Outcome{}, err
	}
	design, err := s.designOf(answer.Query)
	if err != nil {
		return Outcome{}, err
	}
	added, err := s.addAnswer(design, answer, c.Envelope)
	return silent(!added), err
}

// addAnswer keeps an answer of a node of the trial, and reports false if the node has
// answered the step before.
func (s step) addAnswer(design trial.Design, answer query.Answer, e message.Envelope) (added bool, err error) {
	if !slices.Contains(design.Nodes, e.Issuer) {
		return false, ErrNotAsked
	}
	if enrolled, err := s.enrolled(e.Issuer); err != nil || !enrolled {
		return false, firstError(err, ErrNotAsked)
	}
	raw, err := json.Marshal(e)
	if err != nil {
		return false, err
	}
	n, err := s.tx.Exec(s.ctx, `INSERT INTO answer (query, step, node, envelope) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		answer.Query.String(), answer.Step, e.Issuer, raw)
	return n > 0, err
}

// ErrStep refuses answers and the end of their step together, if they are not of one step
// or part of it is on record already. Each may still be recorded by itself.
var ErrStep = problem.New(problem.Conflict, "the answers are not the first of one step of the question")

func (s step) recordStep(c RecordStep) (Outcome, error) {
	if err := s.open(c.Query); err != nil {
		return Outcome{}, err
	}
	design, err := s.designOf(c.Query)
	if err != nil {
		return Outcome{}, err
	}
	answered := make([]identity.DID, 0, len(c.Answers)) // other than by a refusal
	for _, e := range c.Answers {
		answer, err := message.OpenBy[query.Answer](s.verified, e, query.KindAnswer, s.at)
		if err != nil {
			return Outcome{}, err
		}
		if answer.Query != c.Query || answer.Step != c.Step {
			return Outcome{}, ErrStep
		}
		if added, err := s.addAnswer(design, answer, e); err != nil || !added {
			return Outcome{}, firstError(err, ErrStep)
		}
		if answer.Refusal == nil {
			answered = append(answered, e.Issuer)
		}
	}
	if slices.ContainsFunc(c.Nodes, func(node identity.DID) bool { return !slices.Contains(answered, node) }) {
		return Outcome{}, ErrStep
	}
	out, err := s.closeStep(c.CloseStep)
	if err == nil && out.Existed {
		err = ErrStep
	}
	return out, err
}

func (s step) recordSum(c RecordSum) (Outcome, error) {
	if (c.Round == nil) == (c.Finish == nil) || c.Round != nil && c.Round.Query != c.Step.Query || c.Finish != nil && c.Finish.Result.Query != c.Step.Query {
		return Outcome{}, problem.New(problem.Invalid, "sum: one thing follows from a sum of one question")
	}
	if out, err := s.recordStep(c.Step); err != nil {
		return out, err
	}
	if c.Round != nil {
		return s.recordRound(*c.Round)
	}
	return s.finishQuestion(*c.Finish)
}

func (s step) closeStep(c CloseStep) (Outcome, error) {
	if err := s.open(c.Query); err != nil {
		return Outcome{}, err
	}
	nodes := slices.Clone(c.Nodes)
	slices.Sort(nodes)
	raw, err := json.Marshal(nodes)
	if err != nil {
		return Outcome{}, err
	}
	n, err := s.tx.Exec(s.ctx, `INSERT INTO step_closed (query, step, nodes) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, c.Query.String(), c.Step, string(raw))
	return silent(n == 0), err
}

// maxState bounds the state of a round, in bytes.
const maxState = 1 << 20

// recordRound fixes the state of a round. The first that is recorded stays, so that a hub
// that goes on after another asks the nodes for sums at one state only.
func (s step) recordRound(c RecordRound) (Outcome, error) {
	if err := s.open(c.Query); err != nil {
		return Outcome{}, err
	}
	if c.Round < 1 || c.Round > analysis.MaxRounds || len(c.State) == 0 || len(c.State) > maxState {
		return Outcome{}, problem.New(problem.Invalid, "round: number or state is out of range")
	}
	n, err := s.tx.Exec(s.ctx, `INSERT INTO question_round (query, round, state) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`,
		c.Query.String(), c.Round, []byte(c.State))
	return silent(n == 0), err
}

// finishQuestion records a result. Whoever asked the same meanwhile gets it too, but for
// recurring questions: their turn comes next.
func (s step) finishQuestion(c FinishQuestion) (Outcome, error) {
	r := c.Result
	if err := s.open(r.Query); err != nil {
		return Outcome{}, err
	}
	switch {
	case !r.State.Final():
		return Outcome{}, problem.New(problem.Invalid, "result: state is not final")
	case r.State == query.Cancelled:
		return Outcome{}, problem.New(problem.Invalid, "result: a question is cancelled by a signed cancellation only")
	}
	out, err := s.finish(r)
	if err != nil || !r.State.Released() {
		return out, err
	}
	waiting, err := questions(s.ctx, s.tx, `SELECT id FROM question WHERE state = ? AND question =
		(SELECT question FROM question WHERE id = ?) AND id NOT IN (SELECT query FROM schedule_occurrence) ORDER BY ledger_index`, query.Open, r.Query.String())
	if err != nil {
		return Outcome{}, err
	}
	for _, q := range waiting {
		if err := s.repetition(r, q.ID, q.Request, q.Asked); err != nil {
			return Outcome{}, err
		}
	}
	return out, nil
}

// finish records the result of an open question.
func (s step) finish(r query.Result) (Outcome, error) {
	document, out, err := s.record(entry.QuestionAnswered, s.hub, r.Query.String(), r)
	if err != nil {
		return Outcome{}, err
	}
	due, figures := len(r.Answered), 0
	for _, a := range r.Answered {
		if a.Figures != nil {
			figures++
		}
	}
	if r.Repeats != nil {
		due, figures = 0, 0 // the proofs of the first answer are this one's
	}
	_, err = s.tx.Exec(s.ctx, `UPDATE question SET state = ?, result_document = ?, result_index = ?, proofs_due = ?, results_due = ? WHERE id = ?`,
		r.State, document.String(), out.LedgerIndex, due, figures, r.Query.String())
	return out, err
}

func (s step) recordAccess(c RecordAccess) (Outcome, error) {
	access, err := message.Open[query.Access](c.Envelope, query.KindAccess, s.at)
	if err != nil {
		return Outcome{}, err
	}
	if c.Envelope.Issuer != access.Node {
		return Outcome{}, ErrNotAsked
	}
	if known, err := s.exists(`SELECT 1 FROM access WHERE query = ? AND node = ?`, access.Query.String(), access.Node); err != nil || known {
		return silent(true), err
	}
	if err := s.checkAccess(access); err != nil {
		return Outcome{}, err
	}
	document, out, err := s.record(entry.AccessProved, access.Node, access.Query.String(), c.Envelope)
	if err != nil {
		return Outcome{}, err
	}
	_, err = s.tx.Exec(s.ctx, `INSERT INTO access (query, node, document, ledger_index) VALUES (?, ?, ?, ?)`,
		access.Query.String(), access.Node, document.String(), out.LedgerIndex)
	return out, err
}

// checkAccess compares an access proof with the question, the answer it
// belongs to and the epoch it builds on, then verifies it.
func (s step) checkAccess(access query.Access) error {
	question, err := questionOf(s.ctx, s.tx, access.Query)
	if err != nil {
		return err
	}
	if question.Result == nil {
		return problem.New(problem.Conflict, "the question has no answer yet")
	}
	i := slices.IndexFunc(question.Result.Answered, func(a query.Answered) bool { return a.Node == access.Node })
	if i < 0 {
		return ErrNotAsked
	}
	scopes, err := question.Request.Scopes()
	if err != nil {
		return err
	}
	answered := question.Result.Answered[i]
	if answered.Epoch != access.Epoch || answered.Commitment != access.Used || access.Scopes != scopes {
		return ErrAccessMismatch
	}
	if access.AtLeast < answered.AtLeast {
		return ErrAccessCount
	}
	epoch, err := s.answeredUnder(question, access.Node, access.Epoch)
	if err != nil {
		return err
	}
	consents, err := circuitOf(s.ctx, s.tx, epoch.Circuit)
	if err != nil {
		return err
	}
	circuit, err := circuitOf(s.ctx, s.tx, access.Circuit)
	if err != nil {
		return err
	}
	if err := sameSize(consents, circuit); err != nil {
		return err
	}
	venue, err := venueOf(s.ctx, s.tx)
	if err != nil {
		return err
	}
	hash, err := venue.Hash(access.Node, access.Query)
	if err != nil {
		return err
	}
	if err := s.proofs.CheckAccess(circuit, access, epoch.Epoch, hash); err != nil {
		return fmt.Errorf("%w: %w", ErrAccessProof, err)
	}
	return nil
}

func (s step) recordAccessTx(c RecordAccessTx) (Outcome, error) {
	n, err := s.tx.Exec(s.ctx, `UPDATE access SET tx = ?, block = ?, gas = ? WHERE query = ? AND node = ? AND tx = ''`,
		c.Tx, int64(c.Block), int64(c.Gas), c.Query.String(), c.Node)
	return silent(n == 0), err
}

func (s step) recordAnchor(c RecordAnchor) (Outcome, error) {
	if known, err := s.exists(`SELECT 1 FROM anchor WHERE size = ?`, c.Anchor.Size); err != nil || known {
		return silent(true), err
	}
	document, out, err := s.record(entry.ChainAnchored, s.hub, c.Anchor.Tx, c.Anchor)
	if err != nil {
		return Outcome{}, err
	}
	_, err = s.tx.Exec(s.ctx, `INSERT INTO anchor (size, document) VALUES (?, ?)`, c.Anchor.Size, document.String())
	return out, err
}

// open refuses whatever concerns a question that is unknown or answered.
func (s step) open(id query.ID) error {
	var state query.State
	err := s.tx.QueryRow(s.ctx, `SELECT state FROM question WHERE id = ?`, id.String()).Scan(&state)
	switch {
	case errors.Is(err, sqldb.ErrNoRows):
		return ErrQuestionUnknown
	case err != nil:
		return err
	case state != query.Open:
		return ErrQuestionClosed
	}
	return nil
}

// enrolled reports whether a node is admitted and not revoked.
func (s step) enrolled(node identity.DID) (bool, error) {
	return s.exists(`SELECT 1 FROM node WHERE did = ? AND revoked_at IS NULL`, node)
}

// designOf returns the design of a question's trial.
func (s step) designOf(id query.ID) (trial.Design, error) {
	var of trial.ID
	err := s.tx.QueryRow(s.ctx, `SELECT trial FROM question WHERE id = ?`, id.String()).Scan(&of)
	if errors.Is(err, sqldb.ErrNoRows) {
		return trial.Design{}, ErrQuestionUnknown
	}
	if err != nil {
		return trial.Design{}, err
	}
	_, design, err := trialOf(s.ctx, s.tx, of)
	return design, err
}
