package peer

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/trialmesh/trialmesh/federation/secagg"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/consent"
	"github.com/trialmesh/trialmesh/node/release"
	protocol "github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

type personID = omop.PersonID

// sum takes one step of the masked sum. The answer leaves, and the question moves on, only
// once what binds this node to it is on disk.
func (p *Peer) sum(ctx context.Context, task protocol.Task) (json.RawMessage, error) {
	var q *recent
	var ordinal, n int
	var released release.Released
	if err := p.cfg.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
		if q, err = p.load(ctx, tx, task.Query); err != nil {
			return err
		}
		if ordinal, n, err = q.ahead(task.Step); err != nil {
			return err
		}
		if q.secret == ([32]byte{}) {
			return ErrReplayed // the masks are forgotten; the question is over
		}
		released, err = p.stands(ctx, tx, q)
		return err
	}); err != nil {
		return nil, err
	}
	q.notes.begin()
	var answer json.RawMessage
	var err error
	if plain, _ := task.Step.Split(); plain == protocol.StepAdvance {
		answer, err = p.next(ctx, q, released, n, task)
	} else {
		answer, err = p.round(ctx, q, released, n, plain, task)
	}
	if err != nil {
		return nil, err
	}
	return answer, p.advance(ctx, q, ordinal)
}

// stands returns what was released for a question, or refuses one that would be refused if
// it came now. The hub decides how long it holds a question between two steps; a withdrawal,
// the end of the trial or of a signature counts until the last.
func (p *Peer) stands(ctx context.Context, tx *sqldb.Tx, q *recent) (release.Released, error) {
	var none release.Released
	if _, err := p.permit(q.question); err != nil {
		return none, err
	}
	basis, err := p.cfg.Consents.UsableIn(ctx, tx, p.use(q.question), q.accept.Epoch)
	if err != nil {
		return none, err
	}
	if q.released != nil {
		return *q.released, permitted(*q.released, basis)
	}
	released, found, err := p.cfg.Gate.RecallIn(ctx, tx, q.id)
	if err != nil {
		return none, err
	}
	if !found {
		return none, ErrUnasked
	}
	q.release(released)
	return released, permitted(released, basis)
}

func (p *Peer) round(ctx context.Context, q *recent, released release.Released, n int, step protocol.Step, task protocol.Task) (json.RawMessage, error) {
	var round protocol.Round
	if err := json.Unmarshal(task.Body, &round); err != nil {
		return nil, ErrTask
	}
	roster, err := secagg.Decode[secagg.Roster](round.Roster)
	if err != nil {
		return nil, ErrTask
	}
	if len(roster.Members) < p.cfg.Policy.MinSites || step != protocol.StepMask && len(round.Survivors) < p.cfg.Policy.MinSites {
		return nil, ErrMinSites
	}
	member, err := p.member(ctx, q, n)
	if err != nil {
		return nil, err
	}
	switch step {
	case protocol.StepMask:
		return p.mask(ctx, q.question, released, n, member, roster)
	case protocol.StepConfirm:
		return marshal(member.Confirm(ctx, roster, round.Survivors))
	case protocol.StepUnmask:
		return p.unmask(ctx, q, n, member, roster, round)
	}
	return nil, ErrTask
}

// unmask helps to take the masks off the sum over the survivors.
func (p *Peer) unmask(ctx context.Context, q *recent, n int, member *secagg.Member, roster secagg.Roster, round protocol.Round) (json.RawMessage, error) {
	inbox, err := secagg.Decode[secagg.Inbox](round.Inbox)
	if err != nil {
		return nil, ErrTask
	}
	confirmations := make([]secagg.Confirmation, len(round.Confirmations))
	for i, raw := range round.Confirmations {
		if confirmations[i], err = secagg.Decode[secagg.Confirmation](raw); err != nil {
			return nil, ErrTask
		}
	}
	reveal, err := member.Unmask(ctx, roster, round.Survivors, confirmations, inbox)
	if err != nil {
		return nil, err
	}
	q.notes.sites = round.Survivors
	if q.request.Analysis.Kind.InRounds() {
		if q.notes.unmasked, err = json.Marshal(protocol.Round{Roster: round.Roster, Survivors: round.Survivors}); err != nil {
			return nil, err
		}
		q.notes.round = n
	}
	delete(q.members, n) // with all that it knows
	return json.Marshal(reveal)
}

// mask sends the round's vector, masked, and in the first round commits to the records used.
func (p *Peer) mask(ctx context.Context, q question, released release.Released, n int, member *secagg.Member, roster secagg.Roster) (json.RawMessage, error) {
	words, err := p.words(ctx, q, n, released)
	if err != nil {
		return nil, err
	}
	masked, err := member.Mask(ctx, roster, words)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(masked)
	if err != nil {
		return nil, err
	}
	if n > 1 {
		return json.Marshal(protocol.MaskedAnswer{Masked: raw})
	}
	proving, err := p.cfg.Proving()
	if err != nil {
		return nil, err
	}
	evidence, err := p.evidence(q, proving, released.Used())
	if err != nil {
		return nil, err
	}
	witness, err := p.records(ctx, q, evidence)
	if err != nil {
		return nil, err
	}
	commitment, err := witness.Commitment(proving.Circuit)
	if err != nil {
		return nil, fmt.Errorf("commit to the records used: %w", err)
	}
	figures, err := p.released(ctx, q, proving)
	if err != nil {
		return nil, err
	}
	return json.Marshal(protocol.MaskedAnswer{Masked: raw, Commitment: commitment, Released: figures})
}

// records is the private half of the proof about the records used: those of the answer, and
// everybody whom the epoch permits where figures are proved to be over exactly those.
func (p *Peer) records(ctx context.Context, q question, evidence consent.Evidence) (circuits.AccessWitness, error) {
	if q.proves() {
		return p.cfg.Consents.Covers(ctx, evidence)
	}
	return p.cfg.Consents.Witness(ctx, evidence)
}

// evidence says what the question's access proof is about.
func (p *Peer) evidence(q question, proving Proving, used []omop.PersonID) (consent.Evidence, error) {
	hash, err := proving.Venue.Hash(p.cfg.Key.DID(), q.id)
	if err != nil {
		return consent.Evidence{}, err
	}
	return consent.Evidence{Query: q.id, Epoch: q.accept.Epoch, Used: used, Need: q.scopes, Min: q.accept.Policy.MinCell, Hash: hash}, nil
}

// marshal returns a step's message as JSON.
func marshal[T any](value T, err error) (json.RawMessage, error) {
	if err != nil {
		return nil, err
	}
	return json.Marshal(value)
}
