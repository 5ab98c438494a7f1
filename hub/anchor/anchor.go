// Package anchor writes to the chain what must not depend on the hub's word:
// checkpoints of the ledger, the nodes' consent roots and their access proofs.
//
// An [Anchor] only catches up: it compares what the registry holds with what
// was written and writes the rest, so a chain that is out of reach delays it
// and loses nothing. Repeating is harmless; the contracts and zk/evm recognize
// what they have. Receipts go back into the registry.
package anchor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trialmesh/trialmesh/federation/cosign"
	"github.com/trialmesh/trialmesh/hub/evidence"
	"github.com/trialmesh/trialmesh/hub/ledger"
	"github.com/trialmesh/trialmesh/hub/registry"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/evm"
)

// Log is the replicated log.
type Log interface {
	// Propose commits a command and returns what it did.
	Propose(ctx context.Context, body registry.Body) (registry.Outcome, error)

	// Leading reports whether this replica may propose.
	Leading() bool
}

// Config configures an [Anchor]. Registry, Log, Checkpoint, Growth, Check, Chain and
// Deploy are required.
type Config struct {
	Registry *registry.Reader
	Log      Log

	// Checkpoint returns the newest published checkpoint of the ledger.
	Checkpoint func(ctx context.Context) (cosign.Checkpoint, error)

	// Growth proves that the ledger of smaller size is the beginning of the one of
	// larger size.
	Growth func(ctx context.Context, smaller, larger int64) (ledger.ConsistencyProof, error)

	// Check fails unless this replica's own tables lead to a checkpoint.
	Check func(ctx context.Context, c cosign.Checkpoint) error

	// Chain is how the chain is reached, with which account, and who signs beside it:
	// a [Colleague] for each other replica. Its Deployment is filled in here.
	Chain  evm.Config
	Deploy evm.DeployConfig

	// Interval is how often checkpoints are anchored at most. Defaults to 10 min.
	Interval time.Duration

	// Poll is how often the registry is compared with the chain. Defaults to 2 s.
	Poll time.Duration

	Metrics prometheus.Registerer // Gets the anchor's, if it is set.

	Logger *slog.Logger     // Defaults to discarding.
	Now    func() time.Time // Defaults to time.Now.
}

// Anchor keeps the chain up to date.
type Anchor struct {
	cfg        Config
	wake       chan struct{}
	deployment atomic.Pointer[evm.Deployment]
	posted     map[message.Digest]bool // epochs whose roots the chain holds; of Run
	anchored   time.Time               // of Run
	metrics    metrics
}

// New returns an Anchor; it starts nothing.
func New(cfg Config) (*Anchor, error) {
	if cfg.Registry == nil || cfg.Log == nil || cfg.Checkpoint == nil || cfg.Growth == nil || cfg.Check == nil {
		return nil, errors.New("anchor: registry, log, checkpoint, growth and check are required")
	}
	if cfg.Interval <= 0 {
		cfg.Interval = 10 * time.Minute
	}
	if cfg.Poll <= 0 {
		cfg.Poll = 2 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	a := &Anchor{cfg: cfg, wake: make(chan struct{}, 1), posted: make(map[message.Digest]bool), metrics: newMetrics()}
	if cfg.Metrics != nil {
		for _, c := range a.metrics.all() {
			if err := cfg.Metrics.Register(c); err != nil {
				return nil, fmt.Errorf("anchor: %w", err)
			}
		}
	}
	return a, nil
}

// Deployment returns where the contracts are, nil until that is known.
func (a *Anchor) Deployment() *evm.Deployment { return a.deployment.Load() }

// Wake tells that there may be something to write. It never blocks.
func (a *Anchor) Wake() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// Run keeps the chain up to date until ctx ends.
func (a *Anchor) Run(ctx context.Context) error {
	tick := time.NewTicker(a.cfg.Poll)
	defer tick.Stop()
	var client *evm.Client
	defer func() {
		if client != nil {
			client.Close()
		}
	}()
	reported := false
	for {
		if a.cfg.Log.Leading() {
			var err error
			if client == nil {
				client, err = a.connect(ctx)
			}
			if err == nil {
				err = a.catchUp(ctx, client)
			}
			a.metrics.compared(err, a.cfg.Now())
			if err != nil && ctx.Err() == nil && !reported {
				a.cfg.Logger.WarnContext(ctx, "chain is not up to date and will be tried again", "err", err)
			}
			reported = err != nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-a.wake:
		}
	}
}

// connect deploys what is missing and tells the network where it is.
func (a *Anchor) connect(ctx context.Context) (*evm.Client, error) {
	if err := a.recall(ctx); err != nil {
		return nil, err
	}
	deployment, err := evm.Deploy(ctx, a.cfg.Chain, a.cfg.Deploy)
	if err != nil {
		return nil, err
	}
	if err := a.note(ctx, deployment); err != nil {
		return nil, fmt.Errorf("note deployment: %w", err)
	}
	venue := query.Venue{ChainID: deployment.ChainID, Contract: deployment.Access.Hex()}
	if _, err := a.cfg.Log.Propose(ctx, registry.SetVenue{Venue: venue}); err != nil {
		return nil, fmt.Errorf("set venue: %w", err)
	}
	cfg := a.cfg.Chain
	cfg.Deployment = deployment
	client, err := evm.Dial(ctx, cfg)
	if err != nil {
		return nil, err
	}
	a.deployment.Store(&deployment)
	a.cfg.Logger.InfoContext(ctx, "chain connected", "chain", deployment.ChainID, "accessLog", deployment.Access.Hex())
	return client, nil
}

func (a *Anchor) catchUp(ctx context.Context, client *evm.Client) error {
	again, err := client.Resend(ctx)
	if again > 0 {
		a.cfg.Logger.WarnContext(ctx, "a fork of the chain took writes back, which were sent again", "writes", again)
	}
	return errors.Join(err, a.postRoots(ctx, client), a.logAccesses(ctx, client), a.anchorCheckpoint(ctx, client))
}

// rootsAtOnce is the largest batch of the ConsentRoots contract.
const rootsAtOnce = 64

// postRoots writes the newest consent epochs' digests.
func (a *Anchor) postRoots(ctx context.Context, client *evm.Client) error {
	last, err := a.cfg.Registry.LastEpochs(ctx)
	if err != nil {
		return err
	}
	var roots []evm.Root
	var digests []message.Digest
	for _, digest := range last {
		if a.posted[digest] || len(roots) == rootsAtOnce {
			continue
		}
		root, err := a.root(ctx, digest)
		if err != nil {
			return err
		}
		roots = append(roots, root)
		digests = append(digests, digest)
	}
	if len(roots) == 0 {
		return nil
	}
	receipt, err := client.PostRoots(ctx, roots)
	if err != nil {
		return err
	}
	for _, digest := range digests {
		a.posted[digest] = true
	}
	a.metrics.gas.Add(float64(receipt.Gas))
	a.cfg.Logger.InfoContext(ctx, "consent roots posted", "roots", len(roots), "gas", receipt.Gas)
	return nil
}

// accessesAtOnce share a transaction, which makes each four times cheaper.
const accessesAtOnce = 16

// logAccesses lets the contract verify and log access proofs: together, or one by
// one if together is refused, to learn which is the wrong one.
func (a *Anchor) logAccesses(ctx context.Context, client *evm.Client) error {
	venue, err := a.cfg.Registry.Venue(ctx)
	if err != nil {
		return err
	}
	accesses, err := a.cfg.Registry.Unlogged(ctx, accessesAtOnce)
	if err != nil || len(accesses) == 0 {
		return err
	}
	statements := make([]evm.Access, len(accesses))
	for i, access := range accesses {
		if statements[i], err = Statement(ctx, a.cfg.Registry, venue, access.Access); err != nil {
			return fmt.Errorf("log access of %s: %w", access.Node, err)
		}
	}
	if len(accesses) > 1 {
		receipts, err := accepted(ctx, a, client, statements, func() ([]evm.Receipt, error) { return client.LogBatch(ctx, statements) })
		if err == nil {
			for i, receipt := range receipts {
				receipt.Gas /= uint64(len(receipts)) // its share
				err = errors.Join(err, a.recordAccess(ctx, accesses[i], receipt))
			}
			return err
		}
		if !errors.Is(err, evm.ErrProofRefused) && !errors.Is(err, evm.ErrConflict) {
			return err
		}
	}
	var failures []error
	for i, access := range accesses {
		receipt, err := accepted(ctx, a, client, statements[i:i+1], func() (evm.Receipt, error) { return client.LogAccess(ctx, statements[i]) })
		if err == nil {
			err = a.recordAccess(ctx, access, receipt)
		}
		if err != nil {
			failures = append(failures, fmt.Errorf("log access of %s: %w", access.Node, err))
		}
	}
	return errors.Join(failures...)
}

// rootLife is how long a consent root stays accepted by the AccessLog. The hub accepts
// it when an access under it is to be logged, and again if that takes longer.
const rootLife = 24 * time.Hour

// accepted logs accesses, after accepting their roots if the contract asks for that.
func accepted[T any](ctx context.Context, a *Anchor, client *evm.Client, statements []evm.Access, log func() (T, error)) (T, error) {
	logged, err := log()
	if !errors.Is(err, evm.ErrRootNotAccepted) {
		return logged, err
	}
	now := a.cfg.Now()
	roots := make([]evm.AcceptedRoot, len(statements))
	for i, s := range statements {
		roots[i] = evm.AcceptedRoot{Node: s.Node, Root: s.Inputs[RootPosition], Until: now.Add(rootLife), Enough: now.Add(rootLife / 2)}
	}
	receipt, err := client.AcceptRoots(ctx, roots)
	if err != nil {
		return logged, err
	}
	a.metrics.gas.Add(float64(receipt.Gas))
	a.cfg.Logger.InfoContext(ctx, "consent roots accepted", "roots", len(roots), "gas", receipt.Gas)
	return log()
}

func (a *Anchor) recordAccess(ctx context.Context, access registry.Access, receipt evm.Receipt) error {
	_, err := a.cfg.Log.Propose(ctx, registry.RecordAccessTx{
		Query: access.Query, Node: access.Node, Tx: receipt.TxHash.Hex(), Block: receipt.Block, Gas: receipt.Gas,
	})
	a.metrics.gas.Add(float64(receipt.Gas))
	a.cfg.Logger.InfoContext(ctx, "access logged on chain", "query", access.Query.String(), "node", access.Node, "gas", receipt.Gas)
	return err
}

// Statement returns an access proof as the AccessLog contract takes it.
func Statement(ctx context.Context, r *registry.Reader, venue query.Venue, access query.Access) (evm.Access, error) {
	epoch, err := r.Epoch(ctx, access.Epoch)
	if err != nil {
		return evm.Access{}, err
	}
	circuit, err := r.Circuit(ctx, access.Circuit)
	if err != nil {
		return evm.Access{}, err
	}
	return evidence.Statement(circuit, access, epoch.Epoch, venue)
}

// anchorCheckpoint writes the newest checkpoint if more happened than the
// last anchoring itself.
func (a *Anchor) anchorCheckpoint(ctx context.Context, client *evm.Client) error {
	now := a.cfg.Now()
	if now.Sub(a.anchored) < a.cfg.Interval {
		return nil
	}
	checkpoint, err := a.cfg.Checkpoint(ctx)
	if err != nil {
		return err
	}
	last, err := a.cfg.Registry.Anchors(ctx, 1)
	if err != nil {
		return err
	}
	if checkpoint.Size == 0 {
		return nil
	}
	if len(last) > 0 && checkpoint.Size <= last[0].Size+1 {
		// Nothing more to anchor, unless a fork of the chain took the last one away.
		latest, err := client.LatestAnchor(ctx)
		if err != nil && !errors.Is(err, evm.ErrNotFound) || int64(latest.Size) >= last[0].Size {
			return err
		}
	}
	receipt, err := client.Anchor(ctx, uint64(checkpoint.Size), checkpoint.Root, a.growth(checkpoint.Size))
	if err != nil && !errors.Is(err, evm.ErrSuperseded) {
		return err
	}
	a.anchored = now
	if err != nil {
		return nil
	}
	_, err = a.cfg.Log.Propose(ctx, registry.RecordAnchor{Anchor: entry.Anchor{
		ChainID: fmt.Sprint(a.Deployment().ChainID), Contract: a.Deployment().Anchor.Hex(), Size: checkpoint.Size,
		Root: checkpoint.Root[:], Tx: receipt.TxHash.Hex(), Block: receipt.Block, Gas: receipt.Gas,
	}})
	a.metrics.gas.Add(float64(receipt.Gas))
	a.metrics.entries.Set(float64(checkpoint.Size))
	a.cfg.Logger.InfoContext(ctx, "checkpoint anchored", "size", checkpoint.Size, "gas", receipt.Gas)
	return err
}

// growth proves to the contract that a checkpoint extends the one it holds.
func (a *Anchor) growth(size int64) evm.Growth {
	return func(ctx context.Context, from uint64) ([][32]byte, error) {
		proof, err := a.cfg.Growth(ctx, int64(from), size)
		path := make([][32]byte, len(proof))
		for i, hash := range proof {
			path[i] = hash
		}
		return path, err
	}
}

// QueryPosition and RootPosition are where the question's hash and the consents' root
// stand among the access circuit's public inputs.
var (
	QueryPosition = position(circuits.AccessPublic{QueryHash: mark})
	RootPosition  = position(circuits.AccessPublic{MatrixDigest: mark})
)

var mark = circuits.Element{31: 1}

func position(marked circuits.AccessPublic) int {
	for i, word := range marked.Words() {
		if word == mark {
			return i
		}
	}
	panic("anchor: the access circuit has no such public input")
}
