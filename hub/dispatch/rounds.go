package dispatch

import (
	"context"
	"errors"
	"fmt"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/federation/secagg"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/hub/results"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// errLost ends a question of which a node stopped answering after the first round. To begin
// again without it would take the first sum a second time, over all sites but one: the
// difference is that site's own.
var errLost = errors.New("a node of the first round is lost")

// iterate takes a method in rounds to its result. Each state is committed before the nodes
// hear of it, and so are their answers, so that a hub that goes on after another does so
// with the next message.
func (r *round) iterate(ctx context.Context, result *query.Result) error {
	_, design, err := r.cfg.Registry.Trial(ctx, r.q.Request.Trial)
	if err != nil {
		return err
	}
	method, err := analysis.Public(r.q.Request.Analysis, disclosure.Strictest(r.cfg.Policy, design.Disclosure))
	if err != nil {
		return err
	}
	state, err := method.Start()
	if err != nil {
		return err
	}
	for ; r.n <= analysis.MaxRounds; r.n++ {
		if state, err = r.fix(ctx, state); err != nil {
			return err
		}
		words, err := method.Words(state)
		if err != nil {
			return err
		}
		var sum []uint64
		if r.n == 1 {
			sum, err = r.sum(ctx, result, words)
		} else {
			sum, err = r.again(ctx, result, state, words)
		}
		if err != nil {
			return err
		}
		if noised, ok := method.(analysis.Noised); ok {
			result.MaxNoiseSD = result.Policy.NoiseSD(len(result.Answered))
			method = noised.Under(result.MaxNoiseSD)
		}
		step, err := method.Next(state, sum, len(result.Answered))
		if err != nil {
			return err
		}
		if step.Result != nil {
			result.Rounds = r.n
			return results.FillModel(result, step.Result)
		}
		state = step.State
	}
	return analysis.NoResult(fmt.Sprintf("there is no result after %d rounds", analysis.MaxRounds))
}

// fix commits the state of the round and returns the one that stands, which another leader
// may have committed before.
func (r *round) fix(ctx context.Context, state analysis.State) (analysis.State, error) {
	if r.held == nil {
		if fixed, err := r.cfg.Registry.Round(ctx, r.q.ID, r.n); fixed != nil || err != nil {
			return fixed, err
		}
	}
	if err := r.follow(ctx, registry.RecordSum{Round: &registry.RecordRound{Query: r.q.ID, Round: r.n, State: state}}); err != nil {
		return nil, fmt.Errorf("round %d: %w", r.n, err)
	}
	return r.cfg.Registry.Round(ctx, r.q.ID, r.n)
}

// again takes the sum of a further round, among the nodes of the first.
func (r *round) again(ctx context.Context, result *query.Result, state analysis.State, words int) ([]uint64, error) {
	sites := make([]identity.DID, len(result.Answered))
	for i, a := range result.Answered {
		sites[i] = a.Node
	}
	bodies, err := r.advance(ctx, sites, state)
	if err != nil {
		return nil, err
	}
	if r.session, err = secagg.ForRound(r.q.ID, r.n, sites, words); err != nil {
		return nil, err
	}
	before := len(r.missing) + len(r.refused)
	advanced, err := gather(ctx, r, query.StepAdvance.In(r.n), sites, func(node identity.DID) (any, error) { return bodies[node], nil },
		func(node identity.DID, a query.Advanced) error {
			advertisement, err := secagg.Decode[secagg.Advertisement](a.Advertisement)
			if err != nil {
				return err
			}
			if advertisement.From != node {
				return errForeign
			}
			return advertisement.Verify(r.session)
		})
	if err != nil {
		return nil, err
	}
	if len(advanced) < len(sites) {
		return nil, errLost
	}
	var advertisements []secagg.Advertisement
	for _, a := range values(advanced) {
		advertisement, err := secagg.Decode[secagg.Advertisement](a.Advertisement)
		if err != nil {
			return nil, err
		}
		advertisements = append(advertisements, advertisement)
	}
	if r.roster, err = secagg.NewRoster(r.session, advertisements); err != nil {
		return nil, final(err)
	}
	s, err := r.masked(ctx)
	if errors.Is(err, errTooFew) && len(r.missing)+len(r.refused) > before {
		return nil, fmt.Errorf("%w: %w", errLost, err)
	}
	if err != nil {
		return nil, err
	}
	return r.add(s)
}

// advance returns what each node gets to open the round with: its state, and the signed
// messages of the round before, from which the node computes the state itself.
func (r *round) advance(ctx context.Context, sites []identity.DID, state analysis.State) (map[identity.DID]query.Advance, error) {
	body := query.Advance{State: state}
	masked, err := r.cfg.Registry.Signed(ctx, r.q.ID, query.StepMask.In(r.n-1))
	if err != nil {
		return nil, err
	}
	for _, node := range sites {
		body.Masked = append(body.Masked, masked[node])
	}
	revealed, err := r.said(ctx, query.StepUnmask.In(r.n-1))
	if err != nil {
		return nil, err
	}
	for _, node := range names(revealed) {
		body.Reveals = append(body.Reveals, revealed[node])
	}
	bodies := make(map[identity.DID]query.Advance, len(sites))
	for _, node := range sites {
		before, err := r.last(node)
		if err != nil {
			return nil, err
		}
		body.Before = before
		bodies[node] = body
	}
	return bodies, nil
}

// said returns the signed answers of the nodes with which a question went on after a step.
func (r *round) said(ctx context.Context, step query.Step) (map[identity.DID]message.Envelope, error) {
	all, err := r.cfg.Registry.Signed(ctx, r.q.ID, step)
	if err != nil {
		return nil, err
	}
	closed, _, err := r.cfg.Registry.Closed(ctx, r.q.ID, step)
	if err != nil {
		return nil, err
	}
	out := make(map[identity.DID]message.Envelope, len(closed))
	for _, node := range closed {
		out[node] = all[node]
	}
	return out, nil
}

// lost says in words, for the public result, that a method in rounds cannot go on.
func (r *round) lost() string {
	return fmt.Sprintf("a node whose numbers are in the first sum stopped answering in round %d, and sums over the others would be about other persons; ask again when it is back", r.n) + r.rule()
}
