package prover

import (
	"context"
	"errors"
	"fmt"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/backend"
	groth16 "github.com/consensys/gnark/backend/groth16/bn254"
	"github.com/consensys/gnark/backend/solidity"
	"github.com/consensys/gnark/frontend"

	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/verifier"
)

// Config configures a [Prover]. Epoch and Access are required.
type Config struct {
	// Epoch and Access are the keys of the two circuits of one shape. Without both, Cover alone
	// makes a prover of covers.
	Epoch, Access *Keys

	// Cover, Aggregate, Release and Noise are the keys of the circuits behind a
	// [circuits.ReleaseProof], if there are to be any: the cover of the same shape,
	// the others of one tally.
	Cover, Aggregate, Release, Noise *Keys

	// Parallel is how many proofs are made at once, 1 to 64. Each uses all
	// processors and about 3 kB of memory a constraint. Defaults to 1.
	Parallel int
}

// Prover makes proofs. It is safe for concurrent use.
type Prover struct {
	epoch, access                    *Keys
	cover, aggregate, release, noise *Keys
	turns
}

// turns lets so many proofs be made at once.
type turns chan struct{}

// New returns a Prover; it starts nothing.
func New(cfg Config) (*Prover, error) {
	if cfg.Parallel == 0 {
		cfg.Parallel = 1
	}
	onlyCovers := cfg.Epoch == nil && cfg.Access == nil && cfg.Cover != nil
	switch {
	case cfg.Parallel < 1 || cfg.Parallel > 64:
		return nil, fmt.Errorf("prover: %d proofs at once, 1 to 64 can be", cfg.Parallel)
	case onlyCovers && (!cfg.Cover.Circuit().IsCover() || cfg.Aggregate != nil || cfg.Release != nil || cfg.Noise != nil):
		return nil, errors.New("prover: without keys of accesses there can be those of a cover only")
	case onlyCovers:
		return &Prover{cover: cfg.Cover, turns: make(turns, cfg.Parallel)}, nil
	case cfg.Epoch == nil || !cfg.Epoch.Circuit().IsEpoch():
		return nil, errors.New("prover: keys of an epoch circuit are missing")
	case cfg.Access == nil || !cfg.Access.Circuit().IsAccess():
		return nil, errors.New("prover: keys of an access circuit are missing")
	case cfg.Epoch.Circuit() != cfg.Access.Circuit().Shape().Epoch():
		return nil, fmt.Errorf("prover: %s and %s differ in shard size", cfg.Epoch.Circuit(), cfg.Access.Circuit())
	}
	if err := cfg.checkTally(); err != nil {
		return nil, err
	}
	return &Prover{
		cfg.Epoch, cfg.Access, cfg.Cover, cfg.Aggregate, cfg.Release, cfg.Noise, make(turns, cfg.Parallel),
	}, nil
}

// checkTally reports keys that are given and do not belong to the others.
func (cfg Config) checkTally() error {
	shape := cfg.Access.Circuit().Shape()
	if cfg.Cover != nil && cfg.Cover.Circuit() != shape.Cover() {
		return fmt.Errorf("prover: the cover is %s, not %s", cfg.Cover.Circuit(), shape.Cover())
	}
	if cfg.Aggregate == nil {
		if cfg.Release != nil || cfg.Noise != nil {
			return errors.New("prover: keys of an aggregate circuit are missing")
		}
		return nil
	}
	tally := cfg.Aggregate.Circuit().Tally()
	if !cfg.Aggregate.Circuit().IsAggregate() || tally.ShardSize != shape.ShardSize {
		return fmt.Errorf("prover: %s is no aggregate over shards of %d", cfg.Aggregate.Circuit(), shape.ShardSize)
	}
	tally.Shards = shape.Shards
	for keys, want := range map[*Keys]circuits.Circuit{cfg.Release: tally.Release(), cfg.Noise: tally.Noise()} {
		if keys != nil && keys.Circuit() != want {
			return fmt.Errorf("prover: the release is %s, not %s", keys.Circuit(), want)
		}
	}
	return nil
}

// Epoch proves what the bitmaps of one shard say. A witness that cannot be
// proved is refused at once, with the slot of the record at fault and no value.
// ctx ends the wait for a turn; a proof once begun runs to its end.
func (p *Prover) Epoch(ctx context.Context, w circuits.EpochWitness) (circuits.EpochProof, error) {
	public, proof, err := prove(ctx, p.turns, p.epoch, "epoch", w.Assign, (*verifier.Key).VerifyEpoch)
	return circuits.EpochProof{Public: public, Proof: proof}, err
}

// Access proves that an answer used only records that were permitted. Refusal
// and ctx are as in [Prover.Epoch].
func (p *Prover) Access(ctx context.Context, w circuits.AccessWitness) (circuits.AccessProof, error) {
	public, proof, err := prove(ctx, p.turns, p.access, "access", w.Assign, (*verifier.Key).VerifyAccess)
	return circuits.AccessProof{Public: public, Proof: proof}, err
}

// Cover proves that an answer used exactly the records that were permitted. Refusal
// and ctx are as in [Prover.Epoch].
func (p *Prover) Cover(ctx context.Context, w circuits.AccessWitness) (circuits.AccessProof, error) {
	public, proof, err := prove(ctx, p.turns, p.cover, "cover", w.Assign, (*verifier.Key).VerifyCover)
	return circuits.AccessProof{Public: public, Proof: proof}, err
}

// Aggregate proves the totals of one shard. Refusal and ctx are as in [Prover.Epoch].
func (p *Prover) Aggregate(ctx context.Context, w circuits.AggregateWitness) (circuits.AggregateProof, error) {
	public, proof, err := prove(ctx, p.turns, p.aggregate, "aggregate", w.Assign, (*verifier.Key).VerifyAggregate)
	return circuits.AggregateProof{Public: public, Proof: proof}, err
}

// Release proves that figures are the totals passed through their terms, with noise
// if the witness has a seed. Refusal and ctx are as in [Prover.Epoch].
func (p *Prover) Release(ctx context.Context, w circuits.ReleaseWitness) (circuits.ReleaseProof, error) {
	keys := p.release
	if w.Seed != (circuits.Element{}) {
		keys = p.noise
	}
	public, proof, err := prove(ctx, p.turns, keys, "release", w.Assign, (*verifier.Key).VerifyRelease)
	return circuits.ReleaseProof{Public: public, Proof: proof}, err
}

// prove makes a proof of a statement P and checks it before it is handed out.
func prove[P any](
	ctx context.Context, t turns, k *Keys, kind string,
	assign func(circuits.Circuit) (frontend.Circuit, P, error), verify func(*verifier.Key, P, circuits.Proof) error,
) (public P, proof circuits.Proof, err error) {
	var none P
	if k == nil {
		return none, proof, fmt.Errorf("prove %s: this prover has no keys for it", kind)
	}
	assignment, public, err := assign(k.Circuit())
	if err != nil {
		return none, proof, fmt.Errorf("prove %w", err)
	}
	if proof, err = t.prove(ctx, k, assignment); err != nil {
		return none, circuits.Proof{}, fmt.Errorf("prove %s: %w", kind, err)
	}
	if err := verify(k.verifying, public, proof); err != nil {
		return none, circuits.Proof{}, fmt.Errorf("prove %s: the proof made does not verify: %w", kind, err)
	}
	return public, proof, nil
}

func (t turns) prove(ctx context.Context, k *Keys, assignment frontend.Circuit) (circuits.Proof, error) {
	select {
	case t <- struct{}{}:
		defer func() { <-t }()
	case <-ctx.Done():
		return circuits.Proof{}, ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		return circuits.Proof{}, err
	}
	witness, err := frontend.NewWitness(assignment, ecc.BN254.ScalarField())
	if err != nil {
		return circuits.Proof{}, fmt.Errorf("witness: %w", err)
	}
	option := solidity.WithProverTargetSolidityVerifier(backend.GROTH16)
	proof, err := groth16.Prove(k.system.R1CS, k.proving, witness, option)
	if err != nil {
		// The solver's message quotes values of the witness; it must not travel.
		return circuits.Proof{}, errors.New("the constraints are not satisfied")
	}
	return circuits.NewProof(proof.MarshalSolidity())
}
