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

	// Who dropped out on the way, and why.
	refused []query.Refused
	missing []query.Missing
}

// What ends a question without an answer. Both follow from committed messages,
// so trying again would change nothing.
var (
	errTooFew  = errors.New("too few nodes can answer together")
	errClashes = errors.New("the nodes' messages contradict each other")
)

// answer takes an open question through its steps and returns its result. The
// result says why when nothing may be released. An error means that the hub
// itself could not go on; the question stays open.
func (d *Dispatcher) answer(ctx context.Context, q registry.Question) (query.Result, error) {
	r := &round{Dispatcher: d, q: q, n: 1}
	touched, err := d.cfg.Registry.Touched(ctx, q.ID)
	if err != nil {
		return query.Result{}, err
	}
	if r.untouched = !touched; touched {
		if err := r.whoWaits(ctx); err != nil {
			return query.Result{}, err
		}
	}
	result := query.Result{Query: q.ID, Trial: q.Request.Trial, Asked: q.Asked, Answered: []query.Answered{}}
	err = r.result(ctx, &result)
	result.Refused, result.Missing, result.Finished = r.refused, r.missing, d.cfg.Now()
	var none analysis.NoResult
	switch {
	case err == nil && len(r.missing)+len(r.refused) == 0:
		result.State = query.Complete
	case err == nil:
		result.State = query.Partial
	case errors.Is(err, errTooFew), errors.Is(err, errClashes), errors.Is(err, errLost),
		errors.Is(err, analysis.ErrInconsistent), errors.As(err, &none):
		d.cfg.Logger.WarnContext(ctx, "question cannot be answered", "query", q.ID.String(), "err", err)
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
	vectors, reveals, dealers, err := r.masked(ctx)
	if err != nil {
		return nil, err
	}
	for _, node := range names(vectors) {
		result.Answered = append(result.Answered, query.Answered{
			Node: node, Epoch: accepts[node].Epoch, Commitment: vectors[node].Commitment, AtLeast: accepts[node].Policy.MinCell,
			Leave: accepts[node].Leave,
		})
		result.Policy = disclosure.Strictest(result.Policy, accepts[node].Policy)
	}
	return r.add(dealers, vectors, reveals)
}

// masked takes the masking steps among those on the roster.
func (r *round) masked(ctx context.Context) (vectors map[identity.DID]query.MaskedAnswer, reveals []secagg.Reveal, dealers []identity.DID, err error) {
	inboxes, dealers, err := r.share(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	base := func(node identity.DID) (query.Round, error) { return r.body(inboxes[node]) }
	vectors, survivors, err := r.mask(ctx, dealers, base)
	if err != nil {
		return nil, nil, nil, err
	}
	if reveals, err = r.reveal(ctx, dealers, survivors, base); err != nil {
		return nil, nil, nil, err
	}
	// Who fell silent only after its vector was in is part of the sum.
	r.missing = slices.DeleteFunc(r.missing, func(m query.Missing) bool { return slices.Contains(survivors, m.Node) })
	r.refused = slices.DeleteFunc(r.refused, func(m query.Refused) bool { return slices.Contains(survivors, m.Node) })
	return vectors, reveals, dealers, nil
}

// add adds the vectors and takes the masks off.
func (r *round) add(dealers []identity.DID, answers map[identity.DID]query.MaskedAnswer, reveals []secagg.Reveal) ([]uint64, error) {
	vectors := make([]secagg.Masked, 0, len(answers))
	for _, node := range names(answers) {
		vector, err := secagg.Decode[secagg.Masked](answers[node].Masked)
		if err != nil {
			return nil, err
		}
		vectors = append(vectors, vector)
	}
	sum, err := secagg.Sum(r.session, r.roster, dealers, vectors, reveals)
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

// share deals everyone's key shares.
func (r *round) share(ctx context.Context) (map[identity.DID]secagg.Inbox, []identity.DID, error) {
	body, err := r.body(secagg.Inbox{})
	if err != nil {
		return nil, nil, err
	}
	var members []identity.DID
	for _, a := range r.roster.Members {
		members = append(members, a.From)
	}
	shares, err := gather(ctx, r, query.StepShare.In(r.n), members, func(identity.DID) (any, error) { return body, nil },
		func(node identity.DID, s secagg.Shares) error {
			if s.From != node {
				return errForeign
			}
			return s.Verify(r.session, r.roster)
		})
	if err != nil {
		return nil, nil, err
	}
	inboxes, err := secagg.Inboxes(r.session, r.roster, values(shares))
	return inboxes, names(shares), final(err)
}

// mask collects the masked vectors; their senders are the survivors.
func (r *round) mask(ctx context.Context, dealers []identity.DID, base func(identity.DID) (query.Round, error)) (map[identity.DID]query.MaskedAnswer, []identity.DID, error) {
	masked, err := gather(ctx, r, query.StepMask.In(r.n), dealers, func(node identity.DID) (any, error) { return base(node) },
		func(node identity.DID, m query.MaskedAnswer) error {
			vector, err := secagg.Decode[secagg.Masked](m.Masked)
			switch {
			case err != nil:
				return err
			case vector.From != node:
				return errForeign
			case vector.Session != r.session.Digest() || len(vector.Vector) != r.session.Words:
				return secagg.ErrVector
			}
			return nil
		})
	if err == nil && len(masked) < max(r.session.Threshold, r.session.MinMembers) {
		err = fmt.Errorf("%w: %d sent their numbers", errTooFew, len(masked))
	}
	return masked, names(masked), err
}

// reveal lets the survivors confirm each other and then take off the masks.
func (r *round) reveal(ctx context.Context, dealers, survivors []identity.DID, base func(identity.DID) (query.Round, error)) ([]secagg.Reveal, error) {
	confirmations, err := gather(ctx, r, query.StepConfirm.In(r.n), survivors, func(node identity.DID) (any, error) {
		body, err := base(node)
		body.Survivors = survivors
		return body, err
	}, func(node identity.DID, c secagg.Confirmation) error {
		if c.From != node {
			return errForeign
		}
		return c.Verify(r.session, r.roster, dealers, survivors)
	})
	if err != nil {
		return nil, err
	}
	var raw []json.RawMessage
	for _, c := range values(confirmations) {
		one, err := json.Marshal(c)
		if err != nil {
			return nil, err
		}
		raw = append(raw, one)
	}
	r.last = func(node identity.DID) (query.Round, error) {
		body, err := base(node)
		body.Survivors, body.Confirmations = survivors, raw
		return body, err
	}
	reveals, err := gather(ctx, r, query.StepUnmask.In(r.n), names(confirmations), func(node identity.DID) (any, error) { return r.last(node) }, func(node identity.DID, v secagg.Reveal) error {
		if v.From != node || v.Session != r.session.Digest() {
			return errForeign
		}
		return checkReveal(v, dealers, survivors)
	})
	if err == nil && len(reveals) < r.session.Threshold {
		err = fmt.Errorf("%w: %d helped to take the masks off", errTooFew, len(reveals))
	}
	return values(reveals), err
}

// checkReveal refuses a reveal that is not of one share for every dealer, of
// the self masks of survivors and the mask keys of the others. Whether the
// shares are true shows only in the sum.
func checkReveal(v secagg.Reveal, dealers, survivors []identity.DID) error {
	of := func(shares []secagg.RevealedShare) []identity.DID {
		list := make([]identity.DID, len(shares))
		for i, share := range shares {
			list[i] = share.Of
		}
		return list
	}
	dropped := slices.DeleteFunc(slices.Clone(dealers), func(d identity.DID) bool { return slices.Contains(survivors, d) })
	if !slices.Equal(of(v.SelfMasks), survivors) || !slices.Equal(of(v.MaskKeys), dropped) {
		return secagg.ErrSurvivors
	}
	return nil
}

// body returns what every masking step carries.
func (r *round) body(inbox secagg.Inbox) (query.Round, error) {
	roster, err := json.Marshal(r.roster)
	if err != nil {
		return query.Round{}, err
	}
	b := query.Round{Roster: roster}
	if len(inbox.Boxes) > 0 {
		b.Inbox, err = json.Marshal(inbox)
	}
	return b, err
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
