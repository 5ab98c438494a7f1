package peer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/federation/secagg"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/release"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	protocol "github.com/trialmesh/trialmesh/protocol/query"
)

// Why a further round of a method in rounds is refused.
var (
	ErrRound = problem.Refusal("peer.round", "this node has not seen the end of the round before")
	ErrState = problem.Refusal("peer.state", "the state of the round does not follow from the sum of the round before")
	ErrEnded = problem.Refusal("peer.ended", "the method ends with the round before")
)

// next opens round n: it adds up the round before from the signed answers of the sites,
// computes the state that follows and takes part if it is the one that came. So the hub
// cannot have a sum taken at a state of its choice.
func (p *Peer) next(ctx context.Context, q *recent, released release.Released, n int, task protocol.Task) (json.RawMessage, error) {
	var body protocol.Advance
	if err := json.Unmarshal(task.Body, &body); err != nil {
		return nil, ErrTask
	}
	method, err := q.inRounds()
	if err != nil {
		return nil, err
	}
	state, err := p.state(ctx, q.question, method, n-1)
	if err != nil {
		return nil, err
	}
	if err := p.catchUp(ctx, q, released, n-1, body.Before); err != nil {
		return nil, err
	}
	sum, sites, err := p.replay(ctx, q.question, n-1, body)
	if err != nil {
		return nil, err
	}
	if err := enough(sum, method); err != nil {
		return nil, err
	}
	step, err := method.Next(state, sum, sites)
	var none analysis.NoResult
	switch {
	case errors.As(err, &none), err == nil && step.Result != nil:
		return nil, ErrEnded
	case err != nil, !analysis.Follows(body.State, step.State):
		return nil, ErrState
	}
	if err := p.keepState(ctx, q.question, n, body.State); err != nil {
		return nil, err
	}
	member, err := p.member(ctx, q, n)
	if err != nil {
		return nil, err
	}
	advertisement, err := marshal(member.Advertise(ctx))
	if err != nil {
		return nil, err
	}
	return json.Marshal(protocol.Advanced{Advertisement: advertisement})
}

// catchUp takes the last step of a round that this node's numbers are in, if the hub went on
// without its help.
func (p *Peer) catchUp(ctx context.Context, q *recent, released release.Released, n int, round protocol.Round) error {
	_, err := p.unmasked(ctx, q.question, n)
	if !errors.Is(err, ErrRound) {
		return err
	}
	body, err := json.Marshal(round)
	if err != nil {
		return err
	}
	if _, err = p.round(ctx, q, released, n, protocol.StepUnmask, protocol.Task{Query: q.id, Body: body}); err != nil {
		return err
	}
	return p.advance(ctx, q, q.step)
}

// enough refuses a model of too many parameters for the persons at all sites together,
// which the first sum tells.
func enough(sum []uint64, method analysis.Iteration) error {
	if uint64(method.Parameters()*release.PersonsPerParameterOverall) > analysis.RowsOf(sum) {
		return release.ErrParameters
	}
	return nil
}

// replay adds up an earlier round and says over how many sites.
func (p *Peer) replay(ctx context.Context, q question, n int, body protocol.Advance) ([]uint64, int, error) {
	before, err := p.unmasked(ctx, q, n)
	if err != nil {
		return nil, 0, err
	}
	session, err := p.session(ctx, q, n)
	if err != nil {
		return nil, 0, err
	}
	roster, err := secagg.Decode[secagg.Roster](before.Roster)
	if err != nil {
		return nil, 0, err
	}
	var vectors []secagg.Masked
	for _, envelope := range body.Masked {
		answer, err := signed[protocol.MaskedAnswer](q.id, protocol.StepMask.In(n), envelope)
		if err != nil {
			return nil, 0, err
		}
		vector, err := secagg.Decode[secagg.Masked](answer.Masked)
		if err != nil || vector.From != envelope.Issuer {
			return nil, 0, ErrState
		}
		vectors = append(vectors, vector)
	}
	senders := make([]identity.DID, len(vectors))
	for i, v := range vectors {
		senders[i] = v.From
	}
	if !slices.Equal(senders, before.Survivors) {
		return nil, 0, ErrState
	}
	var reveals []secagg.Reveal
	for _, envelope := range body.Reveals {
		reveal, err := signed[secagg.Reveal](q.id, protocol.StepUnmask.In(n), envelope)
		if err != nil || reveal.From != envelope.Issuer {
			return nil, 0, ErrState
		}
		reveals = append(reveals, reveal)
	}
	sum, err := secagg.Sum(session, roster, vectors, reveals)
	if err != nil {
		return nil, 0, ErrState
	}
	return sum, len(vectors), nil
}

// signed returns the body of a site's signed answer to a step of the question.
func signed[T any](id protocol.ID, step protocol.Step, e message.Envelope) (T, error) {
	var body T
	if e.Check(protocol.KindAnswer) != nil {
		return body, ErrState
	}
	answer, err := message.Stored[protocol.Answer](e, protocol.KindAnswer)
	if err != nil || answer.Query != id || answer.Step != step || answer.Refusal != nil || json.Unmarshal(answer.Body, &body) != nil {
		return body, ErrState
	}
	return body, nil
}

// words returns what this site adds to the sum of a round.
func (p *Peer) words(ctx context.Context, q question, n int, released release.Released) ([]uint64, error) {
	if !q.request.Analysis.Kind.InRounds() {
		return released.Words(), nil
	}
	method, err := q.inRounds()
	if err != nil {
		return nil, err
	}
	if _, noised := method.(analysis.Noised); noised {
		return released.Words(), nil
	}
	state, err := p.state(ctx, q, method, n)
	if err != nil {
		return nil, err
	}
	frame, err := released.Frame(analysis.FrameColumns(q.request.Analysis))
	if err != nil {
		return nil, err
	}
	return method.Site(state, frame)
}

// state returns the state of a round that this node took part in, or of the first.
func (p *Peer) state(ctx context.Context, q question, method analysis.Iteration, n int) (analysis.State, error) {
	if n == 1 {
		return method.Start()
	}
	var state []byte
	err := p.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.QueryRow(ctx, `SELECT state FROM peer_round WHERE query = ? AND round = ?`, q.id.String(), n).Scan(&state)
	})
	if errors.Is(err, sqldb.ErrNoRows) {
		return nil, ErrRound
	}
	return state, err
}

// keepState records the state of a round before this node sums anything at it; another
// one cannot take its place.
func (p *Peer) keepState(ctx context.Context, q question, n int, state analysis.State) error {
	return p.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO peer_round (query, round, state) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`,
			q.id.String(), n, []byte(state)); err != nil {
			return err
		}
		var kept []byte
		if err := tx.QueryRow(ctx, `SELECT state FROM peer_round WHERE query = ? AND round = ?`, q.id.String(), n).Scan(&kept); err != nil {
			return err
		}
		if string(kept) != string(state) {
			return ErrReplayed
		}
		return nil
	})
}

// unmasked returns what this node acted on when it helped to unmask a round.
func (p *Peer) unmasked(ctx context.Context, q question, n int) (protocol.Round, error) {
	var round protocol.Round
	var raw []byte
	err := p.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.QueryRow(ctx, `SELECT unmasked FROM peer_round WHERE query = ? AND round = ?`, q.id.String(), n).Scan(&raw)
	})
	switch {
	case errors.Is(err, sqldb.ErrNoRows), err == nil && raw == nil:
		return round, ErrRound
	case err != nil:
		return round, err
	}
	if err := json.Unmarshal(raw, &round); err != nil {
		return round, fmt.Errorf("peer: stored round %d of %s: %w", n, q.id, err)
	}
	return round, nil
}
