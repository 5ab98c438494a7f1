// Package publication makes ledger entries public.
//
// The database of a replica holds entries before anybody vouches for them. A
// [Publisher] signs a checkpoint over them, has it countersigned until its policy's
// quorum is reached, and stores the note, by which the log is served; see
// hub/ledger.Published. It also gathers the cosignatures that nobody demands, and ends
// when somebody shows a checkpoint of this log that this replica does not have.
//
// Cosignatures carry each cosigner's own time, so nothing here passes through the
// replicated state. DESIGN.md says why.
package publication

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/sync/errgroup"

	"github.com/trialmesh/trialmesh/federation/cosign"
	"github.com/trialmesh/trialmesh/hub/ledger"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Config configures a [Publisher]. All but Replicas, Nodes, Pause, HTTP and Logger are
// required.
type Config struct {
	DB     *sqldb.DB
	Signer note.Signer // of the log

	// Trust has the log's origin and keys, and the policy by which a checkpoint is
	// published. A cosigner of the policy has a URL, is Self, or goes by its DID.
	Trust cosign.Trust

	// Self countersigns for this replica, see [Check].
	Self *cosign.Cosigner
	DID  identity.DID // of Self

	Network  cosign.Network
	Replicas []identity.DID // the others

	// Nodes returns the nodes that can be asked now. Their cosignatures are gathered
	// whether or not the policy names them.
	Nodes func() []identity.DID

	// Lead reports whether this replica is the one that publishes.
	Lead func() bool

	// Barrier returns once the tables hold all that was acknowledged.
	Barrier func(context.Context) error

	// Pause is the time between two rounds of gathering what the policy does not
	// demand, and before a quorum is tried for again. Defaults to 5 s.
	Pause time.Duration

	HTTP   *http.Client // for witnesses with a URL. Defaults to one with 10 s.
	Logger *slog.Logger // Defaults to discarding.
}

const (
	defaultPause = 5 * time.Second
	askTime      = 5 * time.Second // for one cosigner

	// gathering is the least time between two checkpoints: each is signed twice and stored,
	// and one covers all that is recorded meanwhile.
	gathering = 100 * time.Millisecond

	// maxGathered is how many cosignatures a note has at most: readers take a
	// hundred signatures.
	maxGathered = 80
)

// ErrRolledBack reports that this replica lost entries that it, or another with the
// log's key, had signed for. Going on would fork the log: restore its disk, or
// take the entries from another replica.
var ErrRolledBack = errors.New("the ledger lacks entries for which a checkpoint was signed: this disk holds an earlier state, or the log's key signs elsewhere")

// errBehind is what a replica says of a checkpoint beyond its tables.
var errBehind = problem.New(problem.Unavailable, "this replica has not applied all entries of the checkpoint yet")

// Check returns what a replica demands of a checkpoint before it countersigns: that
// the same follows from its own tables, whose entries it applied itself.
func Check(db *sqldb.DB) func(context.Context, cosign.Checkpoint) error {
	return func(ctx context.Context, c cosign.Checkpoint) error {
		return db.Read(ctx, func(tx *sqldb.Tx) error {
			root, err := ledger.Root(ctx, tx, c.Size)
			if errors.Is(err, ledger.ErrNotFound) {
				return errBehind
			}
			if err == nil && root != c.Root {
				err = problem.New(problem.Conflict, "this replica has other entries than the checkpoint says")
			}
			return err
		})
	}
}

// A replica that is asked at once for what was just committed may not have applied it yet.
const (
	applyTime  = 2 * time.Second
	applyPause = 10 * time.Millisecond
)

// Patient returns a check that waits a moment for what this replica has not applied yet.
func Patient(check func(context.Context, cosign.Checkpoint) error) func(context.Context, cosign.Checkpoint) error {
	return func(ctx context.Context, c cosign.Checkpoint) error {
		ctx, cancel := context.WithTimeout(ctx, applyTime)
		defer cancel()
		for {
			err := check(ctx, c)
			if !errors.Is(err, errBehind) {
				return err
			}
			select {
			case <-ctx.Done():
				return err
			case <-time.After(applyPause):
			}
		}
	}
}

// Publisher publishes the log of one replica. Its methods are safe for concurrent use.
type Publisher struct {
	cfg  Config
	wake chan struct{} // the log may have grown
	came chan struct{} // somebody came who may countersign
	lost chan error    // capacity 1: why it has to end

	asked                // how far each cosigner is
	tasks sync.WaitGroup // what Publish and Gather started and did not wait for
}

// New returns a Publisher, serves what nodes and replicas ask it, and fails with
// [ErrRolledBack] if this replica signed for more than it has.
func New(ctx context.Context, cfg Config) (*Publisher, error) {
	if cfg.Nodes == nil {
		cfg.Nodes = func() []identity.DID { return nil }
	}
	if cfg.Pause == 0 {
		cfg.Pause = defaultPause
	}
	if cfg.HTTP == nil {
		cfg.HTTP = &http.Client{Timeout: askTime}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if err := cfg.Trust.Validate(); err != nil {
		return nil, fmt.Errorf("publication: %w", err)
	}
	p := &Publisher{cfg: cfg, wake: make(chan struct{}, 1), came: make(chan struct{}, 1), lost: make(chan error, 1), asked: newAsked()}
	if last := cfg.Self.Last(); last.Note != nil {
		if err := p.have(ctx, last.Checkpoint); err != nil {
			return nil, fmt.Errorf("publication: %w", err)
		}
	}
	p.serve()
	return p, nil
}

// have fails with ErrRolledBack if the tables do not lead to a checkpoint.
func (p *Publisher) have(ctx context.Context, c cosign.Checkpoint) error {
	err := Check(p.cfg.DB)(ctx, c)
	var missing *problem.Error
	if errors.As(err, &missing) {
		return fmt.Errorf("%w (a checkpoint over %d entries; %s)", ErrRolledBack, c.Size, missing.Public)
	}
	return err
}

// serve answers nodes and replicas.
func (p *Publisher) serve() {
	p.cfg.Network.HandleCall(cosign.ExchangeProtocol, func(ctx context.Context, from identity.DID, theirs []byte) ([]byte, error) {
		if len(theirs) > 0 {
			p.shown(ctx, from, theirs)
		}
		if !p.isReplica(from) { // replicas bring each note to each other, which must end
			signal(p.came)
		}
		return p.latest(ctx)
	})
	p.cfg.Network.HandleCall(cosign.ProofProtocol, func(ctx context.Context, _ identity.DID, body []byte) ([]byte, error) {
		old, present, err := cosign.ParseQuestion(body)
		if err != nil {
			return nil, cosign.ErrRequest
		}
		proof, err := p.proof(ctx, old, present)
		if errors.Is(err, ledger.ErrNotFound) {
			return nil, problem.New(problem.NotFound, "the log has no checkpoints of these sizes")
		}
		return proof.Marshal(), err
	})
	p.cfg.Network.HandleCall(cosign.AddProtocol, func(ctx context.Context, from identity.DID, body []byte) ([]byte, error) {
		if !p.isReplica(from) {
			return nil, problem.New(problem.Forbidden, "only replicas ask a replica to countersign")
		}
		return p.cfg.Self.Answer(ctx, body)
	})
}

func (p *Publisher) isReplica(did identity.DID) bool { return slices.Contains(p.cfg.Replicas, did) }

// Wake tells that the log may have grown. It never blocks.
func (p *Publisher) Wake() { signal(p.wake) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run publishes until ctx ends, or until it finds that this replica lost entries.
func (p *Publisher) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return p.follow(ctx) })
	group.Go(func() error { return p.gather(ctx) })
	group.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case err := <-p.lost:
			return fmt.Errorf("publication: %w", err)
		}
	})
	err := group.Wait()
	p.tasks.Wait()
	return err
}

// follow publishes when the log has grown, and again after a pause if there was
// no quorum.
func (p *Publisher) follow(ctx context.Context) error {
	retry := time.NewTimer(0)
	defer retry.Stop()
	reported := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
		case <-retry.C:
		}
		err := p.Publish(ctx)
		if err == nil || ctx.Err() != nil {
			reported = false
			select {
			case <-ctx.Done():
			case <-time.After(gathering):
			}
			continue
		}
		if !reported {
			p.cfg.Logger.ErrorContext(ctx, "checkpoint not published; it is tried again", "err", err)
			reported = true
		}
		retry.Reset(p.cfg.Pause)
	}
}

// Publish publishes all entries there are, if this replica leads. It fails with
// [cosign.ErrUntrusted] if too few countersigned.
func (p *Publisher) Publish(ctx context.Context) error {
	if !p.cfg.Lead() {
		return nil
	}
	head, err := p.head(ctx)
	if err != nil || head.Size == 0 {
		return err
	}
	latest, err := p.Checkpoint(ctx)
	if err != nil || latest.Size == head.Size {
		return err
	}
	signed, err := head.Sign(p.cfg.Signer)
	if err != nil {
		return err
	}
	if signed, err = p.countersigned(ctx, signed, head); err != nil {
		return err
	}
	stored, err := p.store(ctx, signed)
	if err != nil {
		return err
	}
	p.spread(ctx, stored.Note)
	return nil
}

// countersigned adds cosignatures to a note until there is a quorum. Its own comes
// first: a replica that cannot sign asks nobody.
func (p *Publisher) countersigned(ctx context.Context, signed []byte, head cosign.Checkpoint) ([]byte, error) {
	lines, err := p.askSelf(ctx, signed, head)
	if err != nil {
		return nil, err
	}
	signed = append(bytes.Clone(signed), lines...)
	quorum := func() error {
		_, err := p.cfg.Trust.Open(signed)
		return err
	}
	if quorum() == nil {
		return signed, nil
	}
	ctx, enough := context.WithCancel(ctx)
	defer enough()
	for lines := range p.askAll(ctx, p.others(), signed, head) {
		if signed = p.merge(signed, lines); quorum() == nil {
			return signed, nil
		}
	}
	return nil, quorum()
}

// others returns who countersigns by the policy, without this replica.
func (p *Publisher) others() []cosign.Party {
	return slices.DeleteFunc(slices.Clone(p.cfg.Trust.Policy.Parties), func(party cosign.Party) bool {
		return party.KeyName() == string(p.cfg.DID)
	})
}

// known is the trust in every key that may countersign, without a quorum.
func (p *Publisher) known() cosign.Trust {
	trust := p.cfg.Trust
	var keys []string
	for _, did := range append(p.cfg.Nodes(), p.cfg.DID) {
		if key, err := cosign.KeyOf(did); err == nil {
			keys = append(keys, key)
		}
	}
	trust.Policy = trust.Policy.With(keys...)
	trust.Policy.Quorum = ""
	return trust
}

// merge adds lines to a note as far as they are signatures over it by those who are
// known.
func (p *Publisher) merge(signed, lines []byte) []byte {
	_, opened, err := p.known().OpenNote(append(bytes.Clone(signed), lines...))
	if err != nil {
		return signed
	}
	merged, err := note.Sign(&note.Note{Text: opened.Text, Sigs: opened.Sigs})
	if err != nil {
		return signed
	}
	return merged
}

// store keeps a note, which publishes what it covers.
func (p *Publisher) store(ctx context.Context, signed []byte) (stored cosign.Signed, err error) {
	trust := p.known()
	trust.Policy.Quorum = p.cfg.Trust.Policy.Quorum
	err = p.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		stored, err = ledger.AddCheckpoint(ctx, tx, trust, signed)
		return err
	})
	return stored, err
}

// spread brings a published note to the other replicas, which publish it too once they
// have its entries. Who misses it has the next one.
func (p *Publisher) spread(ctx context.Context, signed []byte) {
	for _, replica := range p.cfg.Replicas {
		ctx, cancel := context.WithTimeout(ctx, askTime)
		if _, err := p.cfg.Network.Call(ctx, replica, cosign.ExchangeProtocol, signed); err != nil {
			p.cfg.Logger.DebugContext(ctx, "checkpoint not brought to a replica", "replica", replica, "err", err)
		}
		cancel()
	}
}

// shown looks at the newest note that somebody else holds.
func (p *Publisher) shown(ctx context.Context, from identity.DID, theirs []byte) {
	trust := p.cfg.Trust
	trust.Policy = cosign.Policy{}
	signed, err := trust.Open(theirs)
	if err != nil {
		return // not this log's word
	}
	if p.isReplica(from) {
		if _, err := p.store(ctx, theirs); err != nil {
			p.cfg.Logger.DebugContext(ctx, "checkpoint of a replica not published", "replica", from, "err", err)
		}
		return
	}
	if p.have(ctx, signed.Checkpoint) == nil || !p.cfg.Lead() {
		return
	}
	// What was acknowledged may not be in the tables yet.
	if err := p.cfg.Barrier(ctx); err != nil {
		return
	}
	if err := p.have(ctx, signed.Checkpoint); errors.Is(err, ErrRolledBack) {
		p.cfg.Logger.ErrorContext(ctx, "a node holds a checkpoint of this log that the ledger does not lead to", "node", from, "note", string(theirs))
		select {
		case p.lost <- err:
		default:
		}
	}
}

// gather adds to the newest note, now and then, the cosignatures that nobody demands.
func (p *Publisher) gather(ctx context.Context) error {
	tick := time.NewTicker(p.cfg.Pause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-p.came:
		}
		if err := p.Gather(ctx); err != nil && ctx.Err() == nil {
			p.cfg.Logger.WarnContext(ctx, "cosignatures not stored", "err", err)
		}
	}
}

// Gather asks everybody who has not countersigned the newest note yet, once, and
// brings it to replicas that missed it.
func (p *Publisher) Gather(ctx context.Context) error {
	raw, err := p.latest(ctx)
	if err != nil || raw == nil {
		return err
	}
	known := p.known()
	latest, err := known.Open(raw)
	if err != nil {
		return err
	}
	var missing []cosign.Party
	for _, party := range known.Policy.Parties {
		if !slices.Contains(latest.Cosigners, party.KeyName()) && len(latest.Cosigners)+len(missing) < maxGathered {
			missing = append(missing, party)
		}
	}
	var answers [][]byte
	for lines := range p.askAll(ctx, missing, raw, latest.Checkpoint) {
		answers = append(answers, lines)
	}
	signed := p.merge(raw, bytes.Join(answers, nil))
	if bytes.Equal(signed, raw) { // one of them may have spoiled it for all
		for _, lines := range answers {
			signed = p.merge(signed, lines)
		}
	}
	if !bytes.Equal(signed, raw) {
		if _, err := p.store(ctx, signed); err != nil {
			return err
		}
	}
	p.spread(ctx, signed)
	return nil
}

// latest returns the newest published note, nil if there is none.
func (p *Publisher) latest(ctx context.Context) (signed []byte, err error) {
	err = p.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		signed, err = ledger.Latest(ctx, tx)
		return err
	})
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, nil
	}
	return signed, err
}

// Checkpoint returns the newest published checkpoint, zero if there is none.
func (p *Publisher) Checkpoint(ctx context.Context) (cosign.Checkpoint, error) {
	signed, err := p.latest(ctx)
	if err != nil || signed == nil {
		return cosign.Checkpoint{}, err
	}
	return cosign.Claim(signed)
}

// Growth proves that the ledger of smaller size is the beginning of that of larger size.
func (p *Publisher) Growth(ctx context.Context, smaller, larger int64) (ledger.ConsistencyProof, error) {
	proof, err := p.proof(ctx, smaller, larger)
	return proof.Path, err
}

func (p *Publisher) head(ctx context.Context) (head cosign.Checkpoint, err error) {
	err = p.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		head, err = ledger.Head(ctx, tx, p.cfg.Trust.Origin)
		return err
	})
	return head, err
}

// proof returns what the log had at a size, and how it grew from there.
func (p *Publisher) proof(ctx context.Context, old, present int64) (proof cosign.Proof, err error) {
	err = p.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		if proof.Root, err = ledger.Root(ctx, tx, old); err != nil {
			return err
		}
		proof.Path, err = ledger.ProveConsistency(ctx, tx, old, present)
		return err
	})
	return proof, err
}
