package verifier

import (
	"errors"
	"fmt"

	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// ResultKeys are the verifying keys behind a node's result: a cover, and an aggregate and a
// release of one tally. Release is of a circuit with noise where the question asks for it.
type ResultKeys struct{ Cover, Aggregate, Release *Key }

// ResultQuestion is what a reader knows before it looks at a result: the shards as they were on
// the ledger when the question arrived, the question, and the rule for releasing.
type ResultQuestion struct {
	// Matrices are the roots that epochs proved and Data the [circuits.DataRoot] of the
	// data set, of the same shards in the same order.
	Matrices, Data []circuits.Element

	// Need, Min and QueryHash are as in [circuits.AccessPublic].
	Need      consent.Mask
	Min       uint32
	QueryHash circuits.Element

	Plan circuits.Plan

	// Terms is the rule; its Withheld is the result's.
	Terms circuits.Terms

	// Seed is the [circuits.SeedCommitment] that was on the ledger; nil without noise.
	Seed *circuits.Element
}

// Result is what a node hands over beside its figures, 32 bytes a commitment and 256 a proof.
type Result struct {
	// Used and Totals are the commitments of each shard.
	Used   []circuits.Element `json:"used"`
	Totals []circuits.Element `json:"totals"`

	// Withheld has bit i set if cell i was not released.
	Withheld uint64 `json:"withheld"`

	// Released is the [circuits.ReleaseDigest] of the figures.
	Released circuits.Element `json:"released"`

	Cover      circuits.Proof   `json:"cover"`
	Aggregates []circuits.Proof `json:"aggregates"` // one a shard
	Release    circuits.Proof   `json:"release"`
}

// Verify checks that the figures inside r.Released follow from the consents and the data on the
// ledger. It recomputes every public input and so every link: the bitmaps that cover are
// those that were summed, the columns are those on the ledger, each shard counts once.
// Whether the question lies in the epochs' windows, and that matrices, data and seed
// were on the ledger before it, is the caller's to check.
func (k ResultKeys) Verify(q ResultQuestion, r Result) error {
	if k.Cover == nil || k.Aggregate == nil || k.Release == nil {
		return errors.New("verify result: a key is missing")
	}
	shards := len(q.Matrices)
	if len(q.Data) != shards || len(r.Used) != shards || len(r.Totals) != shards || len(r.Aggregates) != shards {
		return fmt.Errorf("verify result: %w: %d shards, with %d data roots, %d and %d commitments and %d aggregates",
			ErrInvalid, shards, len(q.Data), len(r.Used), len(r.Totals), len(r.Aggregates))
	}
	for _, verify := range []func(ResultQuestion, Result) error{k.verifyCover, k.verifyAggregates, k.verifyRelease} {
		if err := verify(q, r); err != nil {
			return fmt.Errorf("verify result: %w", err)
		}
	}
	return nil
}

func (k ResultKeys) verifyCover(q ResultQuestion, r Result) error {
	shape := k.Cover.Circuit().Shape()
	public := circuits.AccessPublic{QueryHash: q.QueryHash, Min: q.Min}
	var err error
	if public.MatrixDigest, err = circuits.MatrixDigest(shape, q.Matrices); err != nil {
		return err
	}
	if public.UsedDigest, err = circuits.UsedDigest(shape, r.Used); err != nil {
		return err
	}
	if public.Scopes, err = circuits.PackScopes(q.Need, shape.Slots); err != nil {
		return err
	}
	return k.Cover.VerifyCover(public, r.Cover)
}

func (k ResultKeys) verifyAggregates(q ResultQuestion, r Result) error {
	if size := k.Aggregate.Circuit().Tally().ShardSize; size != k.Cover.Circuit().Shape().ShardSize {
		return fmt.Errorf("%s and %s differ in shard size", k.Cover.Circuit(), k.Aggregate.Circuit())
	}
	plan, err := circuits.PackPlan(k.Aggregate.Circuit(), q.Plan)
	if err != nil {
		return err
	}
	for i, proof := range r.Aggregates {
		public := circuits.AggregatePublic{Used: r.Used[i], Data: q.Data[i], Plan: plan, Totals: r.Totals[i]}
		if err := k.Aggregate.VerifyAggregate(public, proof); err != nil {
			return fmt.Errorf("shard %d: %w", i, err)
		}
	}
	return nil
}

func (k ResultKeys) verifyRelease(q ResultQuestion, r Result) error {
	c, tally := k.Release.Circuit(), k.Aggregate.Circuit().Tally()
	if c.Tally().Groups != tally.Groups || c.Tally().Values != tally.Values {
		return fmt.Errorf("%s and %s differ in cells", k.Aggregate.Circuit(), c)
	}
	terms := q.Terms
	terms.Withheld = r.Withheld
	public := circuits.ReleasePublic{QueryHash: q.QueryHash, Released: r.Released, Seed: q.Seed}
	var err error
	if public.Totals, err = circuits.TotalsDigest(c, r.Totals); err != nil {
		return err
	}
	if public.Terms, err = circuits.PackTerms(c, terms); err != nil {
		return err
	}
	return k.Release.VerifyRelease(public, r.Release)
}
