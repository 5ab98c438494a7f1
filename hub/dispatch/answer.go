package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/federation/secagg"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/hub/results"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// round is one question being answered.
type round struct {
	*Dispatcher
	q            registry.Question
	registration trial.Registration
	session      secagg.Session
	roster       secagg.Roster
	n            int // of the sum being taken, from 1

	// last gives what the last step of the sum before sent to a node.
	last func(node identity.DID) (query.Round, error)

	waiting []identity.DID // whose people had not decided when last asked

	// untouched says that nothing was on record of the question's steps but what is
	// committed from here on, so that there is nothing to look up.
	untouched bool

	// held is the last step of a sum that is to be committed with what follows from it.
	held *registry.RecordStep

	// Who dropped out on the way, and why.
	refused []query.Refused
	missing []query.Missing
}

// What ends a question without an answer. All follow from committed messages,
// so trying again would change nothing.
var (
	errTooFew  = errors.New("too few nodes can answer together")
	errMasks   = errors.New("not everybody took off the masks it has with those that dropped out")
	errClashes = errors.New("the nodes' messages contradict each other")
)

// answer takes an open question through its steps and returns its result. The
// result says why when nothing may be released. An error means that the hub
// itself could not go on; the question stays open.
func (r *round) answer(ctx context.Context) (query.Result, error) {
	touched, err := r.cfg.Registry.Touched(ctx, r.q.ID)
	if err != nil {
		return query.Result{}, err
	}
	if r.untouched = !touched; touched {
		if err := r.whoWaits(ctx); err != nil {
			return query.Result{}, err
		}
	}
	result := query.Result{Query: r.q.ID, Trial: r.q.Request.Trial, Asked: r.q.Asked, Answered: []query.Answered{}}
	err = r.result(ctx, &result)
	result.Refused, result.Missing, result.Finished = r.refused, r.missing, r.cfg.Now()
	var none analysis.NoResult
	switch {
	case err == nil && len(r.missing)+len(r.refused) == 0:
		result.State = query.Complete
	case err == nil:
		result.State = query.Partial
	case errors.Is(err, errTooFew), errors.Is(err, errMasks), errors.Is(err, errClashes), errors.Is(err, errLost),
		errors.Is(err, analysis.ErrInconsistent), errors.As(err, &none):
		r.cfg.Logger.WarnContext(ctx, "question cannot be answered", "query", r.q.ID.String(), "err", err)
		result.State, result.Reason, result.Answered = query.Withheld, r.reason(err), []query.Answered{}
	default:
		return query.Result{}, err
	}
	return result, nil
}

// result fills in what was found.
func (r *round) result(ctx context.Context, result *query.Result) error {
	if r.q.Request.Analysis.Kind.InRounds() {
		return r.iterate(ctx, result)
	}
	method, err := analysis.For(r.q.Request)
	if err != nil {
		return err
	}
	sum, err := r.sum(ctx, result, method.Words())
	if err != nil {
		return err
	}
	return results.Fill(result, r.q.Request, sum)
}

// sum takes the steps and returns the sum of the nodes' vectors. It fills in
// who answered, and under which policy.
func (r *round) sum(ctx context.Context, result *query.Result, words int) ([]uint64, error) {
	accepts, err := r.agree(ctx, words)
	if err != nil {
		return nil, err
	}
	s, err := r.masked(ctx)
	if err != nil {
		return nil, err
	}
	for _, node := range names(s.answers) {
		result.Answered = append(result.Answered, query.Answered{
			Node: node, Epoch: accepts[node].Epoch, Commitment: s.answers[node].Commitment, AtLeast: accepts[node].Policy.MinCell,
			Leave: accepts[node].Leave, Figures: figuresOf(s.answers[node], accepts[node]),
		})
		result.Policy = disclosure.Strictest(result.Policy, accepts[node].Policy)
	}
	return r.add(s)
}

// figuresOf returns what fixes a node's figures, nil if they are not to be proved.
func figuresOf(m query.MaskedAnswer, a query.Accept) *query.Figures {
	if m.Released == nil {
		return nil
	}
	return &query.Figures{Released: *m.Released, Rounding: a.Policy.Rounding}
}

// sent is what the nodes sent for a sum.
type sent struct {
	answers map[identity.DID]query.MaskedAnswer
	vectors []secagg.Masked // of the answers, in the order of their nodes
	reveals []secagg.Reveal
}

// masked takes the masking steps among those on the roster.
func (r *round) masked(ctx context.Context) (sent, error) {
	var none sent
	roster, err := json.Marshal(r.roster)
	if err != nil {
		return none, err
	}
	s, err := r.mask(ctx, query.Round{Roster: roster})
	if err != nil {
		return none, err
	}
	inboxes, err := secagg.Inboxes(r.session, r.roster, s.vectors)
	if err != nil {
		return none, final(err)
	}
	survivors := names(inboxes)
	body := query.Round{Roster: roster, Survivors: survivors}
	if body.Confirmations, err = r.confirm(ctx, body); err != nil {
		return none, err
	}
	r.last = func(node identity.DID) (query.Round, error) {
		inbox, err := json.Marshal(inboxes[node])
		own := body
		own.Inbox = inbox
		return own, err
	}
	if s.reveals, err = r.reveal(ctx, survivors); err != nil {
		return none, err
	}
	// Who fell silent only after its vector was in is part of the sum.
	r.missing = slices.DeleteFunc(r.missing, func(m query.Missing) bool { return slices.Contains(survivors, m.Node) })
	r.refused = slices.DeleteFunc(r.refused, func(m query.Refused) bool { return slices.Contains(survivors, m.Node) })
	return s, nil
}

// add adds the vectors and takes the masks off.
func (r *round) add(s sent) ([]uint64, error) {
	sum, err := secagg.Sum(r.session, r.roster, s.vectors, s.reveals)
	return sum, final(err)
}

// agree asks the trial's nodes and makes the roster of those who accept.
func (r *round) agree(ctx context.Context, words int) (map[identity.DID]query.Accept, error) {
	registration, design, err := r.cfg.Registry.Trial(ctx, r.q.Request.Trial)
	if err != nil {
		return nil, err
	}
	least := disclosure.Strictest(r.cfg.Policy, design.Disclosure)
	if r.session, err = secagg.ForQuestion(r.q.ID, design.Nodes, least, words); err != nil {
		return nil, fmt.Errorf("%w: %w", errTooFew, err) // a trial of too few sites
	}
	r.registration = registration
	ask := query.Ask{Request: r.q.Envelope, Trial: registration, LedgerIndex: r.q.LedgerIndex, Hub: r.cfg.Policy}
	if part := r.q.Request.Study; part != nil {
		of, err := r.cfg.Registry.StudyOf(ctx, part.Study)
		if err != nil {
			return nil, err
		}
		ask.Study = &of.Envelope
	}
	asked, err := gather(ctx, r, query.StepAsk, r.session.Members, func(identity.DID) (any, error) { return ask, nil },
		func(node identity.DID, a query.Accept) error {
			if err := r.checkPolicy(a.Policy, least); err != nil {
				return err
			}
			if a.Leave != nil {
				if err := a.Leave.Validate(); err != nil {
					return err
				}
			}
			advertisement, err := secagg.Decode[secagg.Advertisement](a.Advertisement)
			if err != nil {
				return err
			}
			if advertisement.From != node {
				return errForeign
			}
			if err := r.cfg.Registry.AnsweredUnder(ctx, r.q, node, a.Epoch); err != nil {
				return err
			}
			return advertisement.Verify(r.session)
		})
	if err != nil {
		return nil, err
	}
	var advertisements []secagg.Advertisement
	for _, accept := range asked {
		advertisement, err := secagg.Decode[secagg.Advertisement](accept.Advertisement)
		if err != nil {
			return nil, err
		}
		advertisements = append(advertisements, advertisement)
	}
	r.roster, err = secagg.NewRoster(r.session, advertisements)
	return asked, final(err)
}

// checkPolicy refuses what no honest node answers with: a policy that is out of
// range, looser than what it was asked under, or such that it would not have
// accepted. One node's word must not withhold the others' answer.
func (r *round) checkPolicy(p, least disclosure.Policy) error {
	if p.Validate() != nil || disclosure.Strictest(p, least) != p || p.MinSites > r.session.MinMembers {
		return errPolicy
	}
	return nil
}

// mask collects the masked vectors; their senders are the survivors.
func (r *round) mask(ctx context.Context, body query.Round) (sent, error) {
	s := sent{}
	var members []identity.DID
	for _, a := range r.roster.Members {
		members = append(members, a.From)
	}
	var err error
	s.answers, err = gather(ctx, r, query.StepMask.In(r.n), members, func(identity.DID) (any, error) { return body, nil },
		func(node identity.DID, m query.MaskedAnswer) error {
			vector, err := secagg.Decode[secagg.Masked](m.Masked)
			if err != nil {
				return err
			}
			if vector.From != node {
				return errForeign
			}
			if proved := r.q.Request.Proof != "" && r.n == 1; proved != (m.Released != nil) {
				return errFigures
			}
			return vector.Verify(r.session, r.roster)
		})
	if err != nil {
		return s, err
	}
	for _, answer := range values(s.answers) {
		vector, err := secagg.Decode[secagg.Masked](answer.Masked)
		if err != nil {
			return s, err
		}
		s.vectors = append(s.vectors, vector)
	}
	return s, nil
}

// confirm lets the survivors confirm each other, if they are not all on the roster. Who does
// not answer may still help to take off the masks.
func (r *round) confirm(ctx context.Context, body query.Round) ([]json.RawMessage, error) {
	if len(body.Survivors) == len(r.roster.Members) {
		return nil, nil
	}
	missing, refused := r.missing, r.refused
	confirmations, err := gather(ctx, r, query.StepConfirm.In(r.n), body.Survivors, func(identity.DID) (any, error) { return body, nil },
		func(node identity.DID, c secagg.Confirmation) error {
			if c.From != node {
				return errForeign
			}
			return c.Verify(r.session, r.roster, body.Survivors)
		})
	if err != nil {
		return nil, err
	}
	if len(confirmations) < r.session.Threshold {
		return nil, fmt.Errorf("%w: %d confirmed whose sum it is", errTooFew, len(confirmations))
	}
	r.missing, r.refused = missing, refused
	raw := make([]json.RawMessage, 0, len(confirmations))
	for _, c := range values(confirmations) {
		one, err := json.Marshal(c)
		if err != nil {
			return nil, err
		}
		raw = append(raw, one)
	}
	return raw, nil
}

// reveal lets the survivors take off the masks: as many as the threshold if everybody on the
// roster is one, and all of them if not, as each has masks with those that are none.
func (r *round) reveal(ctx context.Context, survivors []identity.DID) ([]secagg.Reveal, error) {
	dropped := len(r.roster.Members) - len(survivors)
	reveals, err := gather(ctx, r, query.StepUnmask.In(r.n), survivors, func(node identity.DID) (any, error) { return r.last(node) },
		func(node identity.DID, v secagg.Reveal) error {
			if v.From != node || v.Session != r.session.Digest() {
				return errForeign
			}
			// Whether the secrets are true shows only in the sum.
			if len(v.Shares) != len(survivors) || len(v.Seeds) != dropped {
				return secagg.ErrSurvivors
			}
			return nil
		})
	switch {
	case err != nil:
		return nil, err
	case len(reveals) < r.session.Threshold:
		return nil, fmt.Errorf("%w: %d helped to take the masks off", errTooFew, len(reveals))
	case dropped > 0 && len(reveals) < len(survivors):
		return nil, errMasks
	}
	return values(reveals), nil
}

// final turns what secagg says of committed messages into what ends a question.
func final(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, secagg.ErrTooFewMembers):
		return fmt.Errorf("%w: %w", errTooFew, err)
	}
	return fmt.Errorf("%w: %w", errClashes, err)
}

// reason says in words, for the public result, why nothing is released.
func (r *round) reason(err error) string {
	var none analysis.NoResult
	switch {
	case errors.As(err, &none):
		return none.Error()
	case errors.Is(err, errLost):
		return r.lost()
	case errors.Is(err, errMasks):
		return "a node stopped answering before it sent its numbers and another one after that, so the masks they have with the rest cannot be taken off; ask again" + r.rule()
	case !errors.Is(err, errTooFew):
		return "the nodes' sums contradict each other, so nothing is released: a node may be faulty"
	}
	return fmt.Sprintf("too few nodes can answer together: at least %d must", max(r.session.Threshold, r.session.MinMembers)) + r.rule()
}

// rule names the rule by which a node refused, as the end of a sentence.
func (r *round) rule() string {
	for _, refused := range r.refused {
		if refused.Problem.Rule != "" {
			return "; a node refused by rule " + refused.Problem.Rule
		}
	}
	return ""
}
