package peer

import (
	"context"
	"slices"

	"github.com/trialmesh/trialmesh/federation/secagg"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/release"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	protocol "github.com/trialmesh/trialmesh/protocol/query"
)

// The steps of a question follow each other within milliseconds, and each would read and
// derive the same again. What cannot change meanwhile stays in memory between them; what
// can is read at every step: whether the question was cancelled, how far it is, its secret,
// consents, and the clock.

// maxRecent is how many questions stay in memory: those that a hub has under way at once.
const maxRecent = 128

// recent is a question that is under way. Only who holds the question's turn uses it.
type recent struct {
	question // as it was accepted; step, secret and access are those on disk at each step

	members  map[int]*secagg.Member // by round
	notes    notes
	released *release.Released // what was let out, nil if it is to be read
}

// release notes what was let out, for good. The values behind a method in rounds may be
// deleted meanwhile, and are read at every step.
func (r *recent) release(released release.Released) {
	if !r.request.Analysis.Kind.InRounds() {
		r.released = &released
	}
}

func newRecent(q question) *recent {
	return &recent{question: q, members: make(map[int]*secagg.Member), notes: notes{kept: make(map[note]message.Digest)}}
}

// remember keeps a question in place of the one that was not used for longest.
func (p *Peer) remember(r *recent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.recent = append(slices.DeleteFunc(p.recent, func(o *recent) bool { return o.id == r.id }), r)
	p.recent = slices.Delete(p.recent, 0, max(0, len(p.recent)-maxRecent))
}

// recalled returns a question that is in memory, or nil.
func (p *Peer) recalled(id protocol.ID) *recent {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.recent, func(r *recent) bool { return r.id == id })
	if i < 0 {
		return nil
	}
	r := p.recent[i]
	p.recent = append(slices.Delete(p.recent, i, i+1), r)
	return r
}

// drop forgets a question in memory, and with it the keys of its masks.
func (p *Peer) drop(id protocol.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.recent = slices.DeleteFunc(p.recent, func(r *recent) bool { return r.id == id })
}

// member returns this node's side of the masked sum of a round.
func (p *Peer) member(ctx context.Context, q *recent, n int) (*secagg.Member, error) {
	if m := q.members[n]; m != nil {
		return m, nil
	}
	session, err := p.session(ctx, q.question, n)
	if err != nil {
		return nil, err
	}
	m, err := secagg.NewMember(q.secret, session, p.cfg.Key, &q.notes)
	if err != nil {
		return nil, err
	}
	q.members[n] = m
	return m, nil
}

// notes are what a step acts on and leaves behind. They are written in one transaction, before
// the step's answer leaves: see [secagg.Guard].
type notes struct {
	kept  map[note]message.Digest // on disk
	fresh []noted                 // of the step that is under way

	sites    []identity.DID // whose sum is unmasked in it, nil for none
	unmasked []byte         // what it was unmasked by, for a further round
	round    int            // of unmasked
}

type note struct {
	session message.Digest
	step    string
}

type noted struct {
	note
	value message.Digest
}

// Once notes what a member commits to.
func (n *notes) Once(_ context.Context, session message.Digest, step string, value message.Digest) error {
	at := note{session, step}
	if kept, known := n.kept[at]; known {
		if kept != value {
			return secagg.ErrChanged
		}
		return nil
	}
	for _, f := range n.fresh {
		if f.note == at && f.value != value {
			return secagg.ErrChanged
		}
	}
	n.fresh = append(n.fresh, noted{at, value})
	return nil
}

// begin forgets what a step that failed would have written.
func (n *notes) begin() { *n = notes{kept: n.kept} }

// none reports whether there is nothing to write.
func (n *notes) none() bool { return len(n.fresh) == 0 && n.sites == nil && n.unmasked == nil }

// write records the notes.
func (n *notes) write(ctx context.Context, tx *sqldb.Tx, gate *release.Gate, id protocol.ID) error {
	for _, f := range n.fresh {
		if err := gate.Once(ctx, tx, f.session, f.step, f.value); err != nil {
			return err
		}
	}
	if n.sites != nil {
		if err := gate.SumIn(ctx, tx, id, n.sites); err != nil {
			return err
		}
	}
	if n.unmasked == nil {
		return nil
	}
	_, err := tx.Exec(ctx, `INSERT INTO peer_round (query, round, state, unmasked) VALUES (?, ?, ?, ?)
		ON CONFLICT (query, round) DO UPDATE SET unmasked = excluded.unmasked`, id.String(), n.round, []byte("{}"), n.unmasked)
	return err
}

// written notes that the transaction of write was committed.
func (n *notes) written() {
	for _, f := range n.fresh {
		n.kept[f.note] = f.value
	}
	n.begin()
}
