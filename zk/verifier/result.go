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
	s, err := q.Statements([3]circuits.Circuit{k.Cover.Circuit(), k.Aggregate.Circuit(), k.Release.Circuit()}, r)
	if err == nil {
		err = k.Cover.VerifyCover(s.Cover, r.Cover)
	}
	for i := 0; err == nil && i < len(r.Aggregates); i++ {
		if err = k.Aggregate.VerifyAggregate(s.Aggregates[i], r.Aggregates[i]); err != nil {
			err = fmt.Errorf("shard %d: %w", i, err)
		}
	}
	if err == nil {
		err = k.Release.VerifyRelease(s.Release, r.Release)
	}
	if err != nil {
		return fmt.Errorf("verify result: %w", err)
	}
	return nil
}

// ResultStatements are what the proofs of a result must hold for.
type ResultStatements struct {
	Cover      circuits.AccessPublic
	Aggregates []circuits.AggregatePublic // one a shard
	Release    circuits.ReleasePublic
}

// Statements recomputes every public input of a result's proofs for its circuits: cover,
// aggregate and release.
func (q ResultQuestion) Statements(of [3]circuits.Circuit, r Result) (ResultStatements, error) {
	var s ResultStatements
	cover, aggregate, release := of[0], of[1], of[2]
	shards, tally := len(q.Matrices), aggregate.Tally()
	switch {
	case !cover.IsCover() || !aggregate.IsAggregate() || !release.IsRelease():
		return s, errors.New("the circuits are not a cover, an aggregate and a release")
	case len(q.Data) != shards || len(r.Used) != shards || len(r.Totals) != shards || len(r.Aggregates) != shards:
		return s, fmt.Errorf("%w: %d shards, with %d data roots, %d and %d commitments and %d aggregates",
			ErrInvalid, shards, len(q.Data), len(r.Used), len(r.Totals), len(r.Aggregates))
	case tally.ShardSize != cover.Shape().ShardSize:
		return s, fmt.Errorf("%s and %s differ in shard size", cover, aggregate)
	case release.Tally().Groups != tally.Groups || release.Tally().Values != tally.Values:
		return s, fmt.Errorf("%s and %s differ in cells", aggregate, release)
	}
	var err error
	if s.Cover, err = q.cover(cover.Shape(), r); err != nil {
		return s, err
	}
	plan, err := circuits.PackPlan(aggregate, q.Plan)
	if err != nil {
		return s, err
	}
	for i := range r.Aggregates {
		s.Aggregates = append(s.Aggregates, circuits.AggregatePublic{Used: r.Used[i], Data: q.Data[i], Plan: plan, Totals: r.Totals[i]})
	}
	s.Release, err = q.release(release, r)
	return s, err
}

func (q ResultQuestion) cover(shape circuits.Shape, r Result) (circuits.AccessPublic, error) {
	public := circuits.AccessPublic{QueryHash: q.QueryHash, Min: q.Min}
	var err error
	if public.MatrixDigest, err = circuits.MatrixDigest(shape, q.Matrices); err != nil {
		return public, err
	}
	if public.UsedDigest, err = circuits.UsedDigest(shape, r.Used); err != nil {
		return public, err
	}
	public.Scopes, err = circuits.PackScopes(q.Need, shape.Slots)
	return public, err
}

func (q ResultQuestion) release(c circuits.Circuit, r Result) (circuits.ReleasePublic, error) {
	terms := q.Terms
	terms.Withheld = r.Withheld
	public := circuits.ReleasePublic{QueryHash: q.QueryHash, Released: r.Released, Seed: q.Seed}
	var err error
	if public.Totals, err = circuits.TotalsDigest(c, r.Totals); err != nil {
		return public, err
	}
	public.Terms, err = circuits.PackTerms(c, terms)
	return public, err
}
