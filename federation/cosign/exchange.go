package cosign

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Calls between a log and its cosigners, and among these.
const (
	AddProtocol      = "/trialmesh/cosign/1"     // a Request in, its answer out
	ProofProtocol    = "/trialmesh/ledger-at/1"  // a Question in, a Proof out
	ExchangeProtocol = "/trialmesh/checkpoint/1" // the newest note of either side, in and out; may be empty
	ForkProtocol     = "/trialmesh/fork/1"       // a Fork in, nothing out
)

// Network is what parties reach each other by; transport.Host is one.
type Network interface {
	Call(ctx context.Context, to identity.DID, protocol string, request []byte) ([]byte, error)
	HandleCall(protocol string, handle func(ctx context.Context, from identity.DID, request []byte) ([]byte, error))
}

// ExchangeConfig configures an [Exchange]. Cosigner, Network, Hub and Peers are required.
type ExchangeConfig struct {
	Cosigner *Cosigner
	Network  Network
	Hub      identity.DID

	// Peers returns the other nodes.
	Peers func() []identity.DID

	// Pause is the time between two exchanges. Defaults to 30 s.
	Pause time.Duration

	Log *slog.Logger // Defaults to discarding.
}

// Exchange is a node's side of the talk about the log: it takes the hub's requests
// for cosignatures, compares what it was shown with what the hub and the other
// nodes hold, each in turn, and spreads evidence.
type Exchange struct {
	cfg       ExchangeConfig
	wake      chan struct{} // an exchange is due
	suspected chan struct{} // there is something to compare, or to tell
	turn      int           // of Run
	told      map[string]map[identity.DID]bool
}

const (
	defaultPause = 30 * time.Second
	callTime     = 10 * time.Second
)

// NewExchange returns an Exchange and serves its calls; it asks nobody before Run.
func NewExchange(cfg ExchangeConfig) *Exchange {
	if cfg.Pause == 0 {
		cfg.Pause = defaultPause
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	e := &Exchange{cfg: cfg, wake: make(chan struct{}, 1), suspected: make(chan struct{}, 1), told: make(map[string]map[identity.DID]bool)}
	cfg.Cosigner.onSuspect(func() { signal(e.suspected) })
	cfg.Network.HandleCall(AddProtocol, func(ctx context.Context, from identity.DID, body []byte) ([]byte, error) {
		if from != cfg.Hub {
			return nil, errNotHub
		}
		return cfg.Cosigner.Answer(ctx, body)
	})
	cfg.Network.HandleCall(ExchangeProtocol, func(_ context.Context, _ identity.DID, theirs []byte) ([]byte, error) {
		cfg.Cosigner.Notice(theirs)
		return cfg.Cosigner.Last().Note, nil
	})
	cfg.Network.HandleCall(ForkProtocol, func(ctx context.Context, _ identity.DID, raw []byte) ([]byte, error) {
		fork, err := ParseFork(raw)
		if err != nil {
			return nil, ErrRequest
		}
		return nil, cfg.Cosigner.Keep(ctx, fork)
	})
	return e
}

var errNotHub = problem.New(problem.Forbidden, "only the hub asks for cosignatures")

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Wake makes the next exchange due, as when the connection came back.
func (e *Exchange) Wake() { signal(e.wake) }

// Run exchanges until ctx ends.
func (e *Exchange) Run(ctx context.Context) error {
	tick := time.NewTicker(e.cfg.Pause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.suspected:
			e.settle(ctx)
			continue
		case <-tick.C:
		case <-e.wake:
		}
		e.ask(ctx, e.cfg.Hub)
		if peers := e.cfg.Peers(); len(peers) > 0 {
			e.turn++
			e.ask(ctx, peers[e.turn%len(peers)])
		}
		e.settle(ctx)
	}
}

// ask exchanges notes with one party. Who is away is asked another time.
func (e *Exchange) ask(ctx context.Context, party identity.DID) {
	theirs, err := e.call(ctx, party, ExchangeProtocol, e.cfg.Cosigner.Last().Note)
	if err != nil {
		e.cfg.Log.DebugContext(ctx, "checkpoints not exchanged", "peer", party, "err", err)
		return
	}
	e.cfg.Cosigner.Notice(theirs)
}

func (e *Exchange) call(ctx context.Context, to identity.DID, protocol string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	return e.cfg.Network.Call(ctx, to, protocol, body)
}

// settle compares what was noticed, and tells others of forks.
func (e *Exchange) settle(ctx context.Context) {
	for _, theirs := range e.cfg.Cosigner.takeSuspects() {
		err := e.cfg.Cosigner.Compare(ctx, theirs, e.prove)
		if err != nil && !errors.Is(err, ErrForked) && ctx.Err() == nil {
			e.cfg.Log.WarnContext(ctx, "two checkpoints of the hub could not be compared; it is tried again when they are seen again", "err", err)
		}
	}
	for _, fork := range e.cfg.Cosigner.Forks() {
		e.tell(ctx, fork)
	}
}

// prove asks the hub for the proof between two of its checkpoints.
func (e *Exchange) prove(ctx context.Context, old, present int64) (Proof, error) {
	raw, err := e.call(ctx, e.cfg.Hub, ProofProtocol, Question(old, present))
	if err != nil {
		return Proof{}, err
	}
	proof, err := ParseProof(raw)
	if err != nil {
		return Proof{}, nil // an answer that proves nothing
	}
	return proof, nil
}

// tell sends evidence to every node that did not take it yet. Who has seen no fork
// has to hear of one from those who did.
func (e *Exchange) tell(ctx context.Context, fork Fork) {
	name := fork.name()
	if e.told[name] == nil {
		e.told[name] = make(map[identity.DID]bool)
	}
	raw := fork.Marshal()
	for _, peer := range slices.DeleteFunc(e.cfg.Peers(), func(p identity.DID) bool { return e.told[name][p] }) {
		_, err := e.call(ctx, peer, ForkProtocol, raw)
		var refused *problem.Error
		e.told[name][peer] = err == nil || errors.As(err, &refused) && refused.Kind == problem.Invalid
	}
}
