package peer

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/federation/secagg"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/approval"
	"github.com/trialmesh/trialmesh/node/audit"
	book "github.com/trialmesh/trialmesh/node/consent"
	"github.com/trialmesh/trialmesh/node/members"
	"github.com/trialmesh/trialmesh/node/release"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	protocol "github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/study"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// question is a question this node accepted, as it is kept on disk.
type question struct {
	id      protocol.ID
	request protocol.Request
	scopes  consent.Mask // of the request
	design  trial.Design
	ask     protocol.Ask
	accept  protocol.Accept
	step    int
	secret  [32]byte
	access  []byte // envelope of the access proof, nil until it is made
	proved  []byte // that of the proof of figures, likewise
}

// ordinals order the steps of the masked sum. Those of a further round follow, in the same
// order, with StepAdvance in place of StepAsk.
var ordinals = []protocol.Step{protocol.StepAsk, protocol.StepMask, protocol.StepConfirm, protocol.StepUnmask}

// ask judges a question, evaluates it and passes it through the release gate,
// so that a node that would have to refuse does so before others depend on it.
func (p *Peer) ask(ctx context.Context, task protocol.Task) (json.RawMessage, error) {
	if known, err := p.earlier(ctx, task.Query, message.Sum(task.Body)); known != nil || err != nil {
		return known, err
	}
	if err := p.cfg.Believed(); err != nil {
		return nil, err
	}
	ask, err := parseAsk(task.Body)
	if err != nil {
		return nil, err
	}
	q, err := p.judge(task.Query, ask)
	if err != nil {
		return nil, err
	}
	// What could not be proved is not answered.
	proving, err := p.cfg.Proving()
	if err != nil {
		return nil, err
	}
	if _, err := circuits.PackScopes(q.scopes, proving.Circuit.Shape().Slots); err != nil {
		return nil, ErrScopes
	}
	if err := p.pin(ctx, q); err != nil {
		return nil, err
	}
	asked, err := q.asked(task.Until)
	if err != nil {
		return nil, err
	}
	decided, err := p.admit(ctx, &q, asked)
	if err != nil {
		return nil, err
	}
	answer, err := p.answer(ctx, q, asked, decided, task)
	if err != nil {
		if _, kept := p.cfg.Approvals.Keep(context.WithoutCancel(ctx), decided); kept != nil {
			return nil, kept
		}
	}
	return answer, err
}

// answer evaluates a question that was admitted, passes it through the release gate and
// accepts it.
func (p *Peer) answer(ctx context.Context, q question, asked approval.Case, decided approval.Decided, task protocol.Task) (json.RawMessage, error) {
	use, basis, unreleased, err := p.evaluate(ctx, &q)
	if err != nil {
		return nil, err
	}
	follows, err := p.provable(ctx, q, basis, unreleased)
	if err != nil {
		return nil, err
	}
	decide := func(then func(*sqldb.Tx, release.Released) error) (release.Released, error) {
		return p.cfg.Gate.ReleaseThen(ctx, release.Question{
			ID: q.id, Same: asked.Same, Trial: q.design.ID, Researcher: q.ask.Request.Issuer, Policy: q.accept.Policy, Design: q.design.Disclosure, Hub: q.ask.Hub,
		}, unreleased, use.At, then)
	}
	if decided.At(approval.Release) {
		released, err := decide(func(_ *sqldb.Tx, released release.Released) error { return permitted(released, basis) })
		if err != nil {
			return nil, err
		}
		if err := p.cfg.Approvals.Pass(ctx, asked, approval.Release, released.Digest()); err != nil {
			return nil, err
		}
	}
	r, leave, err := p.accept(ctx, q, asked, decided, task)
	if err != nil {
		return nil, err
	}
	answer, err := json.Marshal(r.accept)
	if err != nil {
		return nil, err
	}
	// What was decided and that it was accepted are on disk together, before anything leaves.
	released, err := decide(func(tx *sqldb.Tx, released release.Released) error {
		if err := permitted(released, basis); err != nil {
			return err // a repeated answer may be of persons whom this epoch does not hold
		}
		if err := follows(released); err != nil {
			return err
		}
		return p.keep(ctx, tx, r, leave, task.Body, answer)
	})
	if err != nil {
		return nil, err
	}
	r.release(released)
	r.notes.written()
	p.remember(r)
	return answer, nil
}

// accept returns the question as this node takes part in it.
func (p *Peer) accept(ctx context.Context, q question, asked approval.Case, decided approval.Decided, task protocol.Task) (*recent, approval.Leave, error) {
	leave, err := p.cfg.Approvals.Leave(ctx, asked, decided)
	if err != nil {
		return nil, leave, err
	}
	if task.Until != nil { // a hub from before approvals refuses what it does not know
		public := leave.Public()
		q.accept.Leave = &public
	}
	if _, err := rand.Read(q.secret[:]); err != nil {
		return nil, leave, err
	}
	r := newRecent(q)
	member, err := p.member(ctx, r, 1)
	if err != nil {
		return nil, leave, err
	}
	r.accept.Advertisement, err = marshal(member.Advertise(ctx))
	return r, leave, err
}

// parseAsk reads the body of [protocol.StepAsk]. Of what a newer hub says besides, only
// limits that this node does not know are refused: it would not keep them.
func parseAsk(body json.RawMessage) (protocol.Ask, error) {
	var ask protocol.Ask
	var own struct {
		Hub json.RawMessage `json:"hub"`
	}
	if json.Unmarshal(body, &ask) != nil || json.Unmarshal(body, &own) != nil {
		return ask, ErrTask
	}
	if len(own.Hub) > 0 {
		if _, err := disclosure.Parse(own.Hub); err != nil {
			return ask, refused(ErrHubPolicy.Rule, err)
		}
	}
	return ask, nil
}

// judge checks everything about a question that does not depend on data.
func (p *Peer) judge(id protocol.ID, ask protocol.Ask) (question, error) {
	request, err := message.Open[protocol.Request](ask.Request, protocol.KindRequest, p.cfg.Now())
	if err != nil {
		return question{}, err
	}
	if ask.Request.Digest() != id {
		return question{}, ErrTask
	}
	if err := errors.Join(request.Validate(), analysis.Check(request.Analysis)); err != nil {
		return question{}, refused("query.invalid", err)
	}
	q := question{id: id, request: request, ask: ask}
	if q.scopes, err = request.Scopes(); err != nil {
		return question{}, err
	}
	if q.design, err = q.ask.Trial.OpenBy(p.verified); err != nil {
		return question{}, refused("trial.invalid", err)
	}
	if q.accept.Policy, err = p.permit(q); err != nil {
		return question{}, err
	}
	if request.Study == nil {
		return q, nil
	}
	if ask.Study == nil {
		return question{}, study.ErrQuestion
	}
	return q, study.Verify(*ask.Study, request, q.design.Researchers)
}

// permit checks what of a judgement may change while a question goes on: whether the
// signatures of researcher and boards are still in force, and the trial and the policies
// allow it. That the signatures are theirs was verified when the question came.
func (p *Peer) permit(q question) (disclosure.Policy, error) {
	now, none := p.cfg.Now(), disclosure.Policy{}
	if !now.Before(q.ask.Request.Expires) {
		return none, message.ErrExpired
	}
	if err := q.ask.Trial.Allows(q.design, trial.Ask{
		Researcher: q.ask.Request.Issuer, Node: p.cfg.Key.DID(), Analysis: string(q.request.Analysis.Kind), At: now,
	}, p.cfg.Boards); err != nil {
		return none, refused("trial.invalid", err)
	}
	if q.design.ID != q.request.Trial {
		return none, trial.ErrUnapproved
	}
	if err := q.ask.Hub.Validate(); err != nil {
		return none, ErrHubPolicy
	}
	demanded := disclosure.Strictest(q.design.Disclosure, q.ask.Hub)
	switch {
	case demanded.MinSites < p.cfg.Policy.MinSites && secagg.MinMembers < p.cfg.Policy.MinSites:
		return none, ErrMinSites
	case q.request.Analysis.Kind.HasThreshold() && demanded.MinCell < p.cfg.Policy.MinCell:
		return none, ErrThreshold
	}
	return disclosure.Strictest(p.cfg.Policy, demanded), nil
}

// pin holds a trial to the design under which this node first judged a question
// of it sound, or refuses with [ErrDesign]. Consents, budgets and the memory of
// earlier answers are by trial: under a second design, approved or not, they
// would be used for what nobody was asked about. What was pinned stays so, and is written once.
func (p *Peer) pin(ctx context.Context, q question) error {
	brought := q.ask.Trial.Design.Digest()
	p.mu.Lock()
	pinned, known := p.pinned[q.design.ID]
	p.mu.Unlock()
	if !known {
		if err := p.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
			if _, err := tx.Exec(ctx, `INSERT INTO peer_trial (trial, design) VALUES (?, ?) ON CONFLICT DO NOTHING`, q.design.ID, brought.String()); err != nil {
				return err
			}
			var text string
			if err := tx.QueryRow(ctx, `SELECT design FROM peer_trial WHERE trial = ?`, q.design.ID).Scan(&text); err != nil {
				return err
			}
			return pinned.UnmarshalText([]byte(text))
		}); err != nil {
			return err
		}
		p.mu.Lock()
		p.pinned[q.design.ID] = pinned
		p.mu.Unlock()
	}
	if pinned != brought {
		return ErrDesign
	}
	return nil
}

// refused makes a refusal out of an error that tells what is wrong with the input.
func refused(rule string, err error) error {
	var e *problem.Error
	if !errors.As(err, &e) || e.Rule != "" {
		return err
	}
	return problem.Refusal(rule, e.Public)
}

// sizeTime is how long it may take to count whom a question would use, for a policy that
// decides by that.
const sizeTime = time.Minute

// asked returns what is put before policy and people.
func (q question) asked(until *time.Time) (approval.Case, error) {
	same, err := q.request.Question()
	return approval.Case{
		Query: q.id, Same: same, Envelope: q.ask.Request, Request: q.request, Hub: q.ask.Hub, Limits: q.accept.Policy, Sites: q.design.Nodes, Until: q.until(until),
	}, err
}

// admit takes the question through policy and, where it says so, people. Nothing is evaluated
// before, unless the policy decides by how many persons it is about. It returns
// [approval.ErrWaiting] while a person has to decide.
func (p *Peer) admit(ctx context.Context, q *question, asked approval.Case) (approval.Decided, error) {
	decided, err := p.cfg.Approvals.Decide(ctx, asked, func(ctx context.Context) (int, error) { return p.size(ctx, *q) })
	if err == nil && decided.At(approval.Run) {
		err = p.cfg.Approvals.Pass(ctx, asked, approval.Run, message.Digest{})
	}
	return decided, err
}

// until is how long the hub brings a question again, as far as it says.
func (q question) until(told *time.Time) time.Time {
	if told == nil || told.After(q.ask.Request.Expires) {
		return q.ask.Request.Expires
	}
	return *told
}

// size counts whom the question would use, or refuses one that takes long.
func (p *Peer) size(ctx context.Context, q question) (int, error) {
	limited, cancel := context.WithTimeout(ctx, sizeTime)
	defer cancel()
	_, _, answer, err := p.evaluate(limited, &q)
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		return 0, members.ErrWork
	}
	return len(answer.Used), err
}

// evaluate answers the question. Nothing of the answer has been released.
func (p *Peer) evaluate(ctx context.Context, q *question) (use consent.Use, basis book.Basis, answer release.Answer, err error) {
	begun := time.Now() // a duration for the metrics, not a time to act on
	defer func() { p.evaluations.Observe(time.Since(begun).Seconds()) }()
	use = p.use(*q)
	if err = p.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		if q.accept.Epoch, err = p.cfg.Consents.EpochIn(ctx, tx, use, q.ask.Request.Issued, q.ask.LedgerIndex); err != nil {
			return err
		}
		basis, err = p.cfg.Consents.UsableIn(ctx, tx, use, q.accept.Epoch)
		return err
	}); err != nil {
		return use, basis, answer, err
	}
	answer, err = p.cfg.Engine.Evaluate(ctx, q.request, basis)
	return use, basis, answer, err
}

// use is what a question would use records for, now.
func (p *Peer) use(q question) consent.Use {
	return consent.Use{Trial: q.design.ID, Node: p.cfg.Key.DID(), Scopes: q.scopes, At: p.cfg.Now()}
}

// permitted refuses numbers that hold somebody whose record may not be used.
func permitted(released release.Released, basis book.Basis) error {
	if slices.ContainsFunc(released.Used(), func(person personID) bool { return !basis.Permits(person) }) {
		return release.ErrChanged
	}
	return nil
}

// inRounds returns the question's method in rounds, under the limits that all parties know.
func (q question) inRounds() (analysis.Iteration, error) {
	return analysis.Public(q.request.Analysis, disclosure.Strictest(q.ask.Hub, q.design.Disclosure))
}

// session returns the session of a round's masked sum: as the trial says for the first, and
// for the others among the sites that the first was over.
func (p *Peer) session(ctx context.Context, q question, n int) (secagg.Session, error) {
	least := disclosure.Strictest(q.ask.Hub, q.design.Disclosure)
	if !q.request.Analysis.Kind.InRounds() {
		method, err := analysis.For(q.request)
		if err != nil {
			return secagg.Session{}, err
		}
		return secagg.ForQuestion(q.id, q.design.Nodes, least, method.Words())
	}
	method, err := q.inRounds()
	if err != nil {
		return secagg.Session{}, err
	}
	state, err := p.state(ctx, q, method, n)
	if err != nil {
		return secagg.Session{}, err
	}
	words, err := method.Words(state)
	if err != nil {
		return secagg.Session{}, err
	}
	if n == 1 {
		return secagg.ForQuestion(q.id, q.design.Nodes, least, words)
	}
	first, err := p.unmasked(ctx, q, 1)
	if err != nil {
		return secagg.Session{}, err
	}
	return secagg.ForRound(q.id, n, first.Survivors, words)
}

// earlier returns the earlier answer to the same ask, nil if there is none, or
// [ErrReplayed], or [approval.ErrCancelled].
func (p *Peer) earlier(ctx context.Context, id protocol.ID, digest message.Digest) (json.RawMessage, error) {
	var answer []byte
	err := p.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		if err := p.cfg.Approvals.Cancelled(ctx, tx, id); err != nil {
			return err
		}
		var stored string
		var step int
		if err := tx.QueryRow(ctx, `SELECT digest, answer, step FROM peer_question WHERE query = ?`, id.String()).Scan(&stored, &answer, &step); err != nil {
			return err
		}
		if stored != digest.String() || step > 0 {
			return ErrReplayed
		}
		return nil
	})
	if errors.Is(err, sqldb.ErrNoRows) {
		return nil, nil
	}
	return answer, err
}

// keep accepts a question: from here on its released numbers may be masked and
// sent, so this is also when their release goes on record.
func (p *Peer) keep(ctx context.Context, tx *sqldb.Tx, q *recent, leave approval.Leave, ask, answer []byte) error {
	if err := p.cfg.Approvals.Answered(ctx, tx, q.id, leave); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `INSERT INTO peer_question (query, digest, ask, answer, step, secret) VALUES (?, ?, ?, ?, 0, ?)`,
		q.id.String(), message.Sum(ask).String(), ask, answer, q.secret[:]); err != nil {
		return err
	}
	if err := q.notes.write(ctx, tx, p.cfg.Gate, q.id); err != nil {
		return err
	}
	for _, event := range []audit.Event{audit.NumbersReleased, audit.QuestionAccepted} {
		if err := p.cfg.Trail.Add(ctx, tx, audit.Record{
			At: p.cfg.Now(), Event: event, Actor: q.ask.Request.Issuer, Subject: q.id.String(),
		}); err != nil {
			return err
		}
	}
	return nil
}

// load returns a question that was accepted before and not cancelled since.
func (p *Peer) load(ctx context.Context, tx *sqldb.Tx, id protocol.ID) (*recent, error) {
	if err := p.cfg.Approvals.Cancelled(ctx, tx, id); err != nil {
		return nil, err
	}
	q := p.recalled(id)
	if q == nil {
		var err error
		if q, err = accepted(ctx, tx, id); err != nil {
			return nil, err
		}
		p.remember(q)
	}
	var secret []byte
	q.secret, q.access, q.proved = [32]byte{}, nil, nil
	if err := tx.QueryRow(ctx, `SELECT step, secret, access, proved FROM peer_question WHERE query = ?`, id.String()).Scan(&q.step, &secret, &q.access, &q.proved); err != nil {
		return nil, err
	}
	copy(q.secret[:], secret)
	return q, nil
}

// accepted reads what does not change of a question any more.
func accepted(ctx context.Context, tx *sqldb.Tx, id protocol.ID) (*recent, error) {
	q := question{id: id}
	var ask, answer []byte
	err := tx.QueryRow(ctx, `SELECT ask, answer FROM peer_question WHERE query = ?`, id.String()).Scan(&ask, &answer)
	if errors.Is(err, sqldb.ErrNoRows) {
		return nil, ErrUnasked
	}
	if err != nil {
		return nil, err
	}
	if err := errors.Join(json.Unmarshal(ask, &q.ask), json.Unmarshal(answer, &q.accept)); err != nil {
		return nil, fmt.Errorf("peer: stored question %s: %w", id, err)
	}
	if q.request, err = message.Stored[protocol.Request](q.ask.Request, protocol.KindRequest); err != nil {
		return nil, err
	}
	if q.scopes, err = q.request.Scopes(); err != nil {
		return nil, err
	}
	q.design, err = q.ask.Trial.Stored()
	return newRecent(q), err
}

// ahead returns the step's place in the order and its round, or refuses a step that lies
// behind.
func (q question) ahead(step protocol.Step) (ordinal, n int, err error) {
	plain, n := step.Split()
	if plain == protocol.StepAdvance && n > 1 {
		plain = protocol.StepAsk
	} else if plain == protocol.StepAsk {
		return 0, 0, ErrTask
	}
	ordinal = slices.Index(ordinals, plain)
	if ordinal < 0 || n > 1 && (!q.request.Analysis.Kind.InRounds() || n > analysis.MaxRounds) {
		return 0, 0, ErrTask
	}
	if ordinal += (n - 1) * len(ordinals); ordinal < q.step {
		return 0, 0, ErrReplayed
	}
	return ordinal, n, nil
}

// advance records what a step did and that the question got there.
func (p *Peer) advance(ctx context.Context, q *recent, ordinal int) error {
	if ordinal == q.step && q.notes.none() {
		return nil
	}
	if err := p.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		if err := q.notes.write(ctx, tx, p.cfg.Gate, q.id); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE peer_question SET step = ? WHERE query = ? AND step < ?`, ordinal, q.id.String(), ordinal)
		return err
	}); err != nil {
		return err
	}
	q.notes.written()
	return nil
}
