package peer

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	protocol "github.com/trialmesh/trialmesh/protocol/query"
)

// accessLife is how long the hub may take to record an access proof.
const accessLife = 7 * 24 * time.Hour

// ErrNotMasked refuses to prove what was never sent.
var ErrNotMasked = problem.Refusal("peer.not-masked", "this node has sent no numbers for the question")

// prove returns the signed access proof, making it if need be, when there is time. A proof
// that was begun is finished and kept even if the hub stops waiting.
func (p *Peer) prove(ctx context.Context, q question) (json.RawMessage, error) {
	if q.access != nil {
		return q.access, p.forget(ctx, q)
	}
	if q.step < maskOrdinal {
		return nil, ErrNotMasked
	}
	leave, err := p.lane.enter(ctx)
	if err != nil {
		return nil, fmt.Errorf("wait to prove access of question %s: %w", q.id, err)
	}
	defer leave()
	ctx = context.WithoutCancel(ctx)
	released, found, err := p.cfg.Gate.Recall(ctx, q.id)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, ErrUnasked
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
	proof, err := proving.Prover.Access(ctx, witness)
	if err != nil {
		return nil, fmt.Errorf("prove access of question %s: %w", q.id, err)
	}
	envelope, err := message.Seal(p.cfg.Key, protocol.KindAccess, protocol.Access{
		Query: q.id, Node: p.cfg.Key.DID(), Epoch: evidence.Epoch, Scopes: evidence.Need, AtLeast: evidence.Min,
		Used: proof.Public.UsedDigest, Circuit: proving.Key, Proof: proof.Proof[:],
	}, p.cfg.Now(), accessLife, rand.Reader)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(envelope)
	if err != nil {
		return nil, err
	}
	if err := p.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		if _, err := tx.Exec(ctx, `UPDATE peer_question SET access = ? WHERE query = ? AND access IS NULL`, raw, q.id.String()); err != nil {
			return err
		}
		return p.cfg.Trail.Add(ctx, tx, audit.Record{At: p.cfg.Now(), Event: audit.AccessProved, Subject: q.id.String()})
	}); err != nil {
		return nil, err
	}
	return raw, p.forget(ctx, q)
}

// forget erases the secret of the question's masks, and its rounds, once its last step
// was taken: whoever stole it later could take the masks off recorded traffic.
func (p *Peer) forget(ctx context.Context, q question) error {
	if q.step < len(ordinals)-1 || q.secret == ([32]byte{}) {
		return nil
	}
	return p.erase(ctx, q.id)
}

// erase erases the secret of a question's masks, and its rounds.
func (p *Peer) erase(ctx context.Context, id protocol.ID) error {
	p.drop(id)
	return p.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		if _, err := tx.Exec(ctx, `UPDATE peer_question SET secret = ? WHERE query = ?`, []byte{}, id.String()); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `DELETE FROM peer_round WHERE query = ?`, id.String())
		return err
	})
}

// maskOrdinal is the step from which on numbers may have left.
const maskOrdinal = 1
