package prover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/big"

	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/verifier"
)

// ResultWitness is a node's private view of a result: whom the question covers, their data, and
// how the totals may be released. It neither prints nor marshals.
type ResultWitness struct {
	// Access is the witness of the cover; its Shards use all records that are permitted.
	Access circuits.AccessWitness

	// Tables and TotalsSalts have one entry for each of those shards. A salt is fresh for
	// each question and shard.
	Tables      []circuits.Table
	TotalsSalts []circuits.Element

	Plan  circuits.Plan
	Terms circuits.Terms

	// Salt and Seed are as in [circuits.ReleaseWitness].
	Salt, Seed circuits.Element
}

// Format hides the witness from logs.
func (ResultWitness) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "result witness:redacted") }

// MarshalJSON refuses.
func (ResultWitness) MarshalJSON() ([]byte, error) {
	return nil, errors.New("prover: a result witness must not leave the node")
}

// Result proves a result from consents and data to figures: a cover, an aggregate a shard, a
// release. Refusal and ctx are as in [Prover.Epoch]; of a result refused late, the
// earlier proofs are lost.
func (p *Prover) Result(ctx context.Context, w ResultWitness) (verifier.Result, error) {
	if p.aggregate == nil { // of all three, New had only the cover's
		return verifier.Result{}, errors.New("prove result: this prover has no keys for it")
	}
	return ResultBy(ctx, p, p.aggregate.Circuit(), w)
}

// Statements makes the proofs that a result has.
type Statements interface {
	Cover(ctx context.Context, w circuits.AccessWitness) (circuits.AccessProof, error)
	Aggregate(ctx context.Context, w circuits.AggregateWitness) (circuits.AggregateProof, error)
	Release(ctx context.Context, w circuits.ReleaseWitness) (circuits.ReleaseProof, error)
}

// ResultBy is [Prover.Result] of whoever makes the single proofs, for an aggregate circuit.
func ResultBy(ctx context.Context, by Statements, aggregate circuits.Circuit, w ResultWitness) (verifier.Result, error) {
	var r verifier.Result
	release, err := w.totals(aggregate)
	if err != nil {
		return r, err
	}
	cover, err := by.Cover(ctx, w.Access)
	if err != nil {
		return r, err
	}
	r.Cover = cover.Proof
	for k := range w.Access.Shards {
		proof, err := by.Aggregate(ctx, w.shard(k))
		if err != nil {
			return r, fmt.Errorf("shard %d: %w", k, err)
		}
		r.Used, r.Totals = append(r.Used, proof.Public.Used), append(r.Totals, proof.Public.Totals)
		r.Aggregates = append(r.Aggregates, proof.Proof)
	}
	released, err := by.Release(ctx, release)
	if err != nil {
		return r, err
	}
	r.Withheld, r.Released, r.Release = w.Terms.Withheld, released.Public.Released, released.Proof
	return r, nil
}

// Totals returns the exact totals of all shards together, cell by cell.
func (w ResultWitness) Totals(aggregate circuits.Circuit) ([]circuits.Sums, error) {
	release, err := w.totals(aggregate)
	if err != nil {
		return nil, err
	}
	var all []circuits.Sums
	for k, shard := range release.Shards {
		for i, s := range shard.Sums {
			if k == 0 {
				all = append(all, circuits.Sums{Count: new(big.Int), Sum: new(big.Int), Squares: new(big.Int)})
			}
			all[i].Count.Add(all[i].Count, s.Count)
			all[i].Sum.Add(all[i].Sum, s.Sum)
			all[i].Squares.Add(all[i].Squares, s.Squares)
		}
	}
	return all, nil
}

// Figures returns what a release circuit lets out, and the digest of it, without proving.
func (w ResultWitness) Figures(aggregate, release circuits.Circuit) ([]circuits.Sums, circuits.Element, error) {
	witness, err := w.totals(aggregate)
	if err != nil {
		return nil, circuits.Element{}, err
	}
	public, err := witness.Public(release)
	if err != nil {
		return nil, circuits.Element{}, err
	}
	figures, err := witness.Released(release)
	return figures, public.Released, err
}

// totals returns the witness of the release.
func (w ResultWitness) totals(aggregate circuits.Circuit) (circuits.ReleaseWitness, error) {
	release := circuits.ReleaseWitness{Terms: w.Terms, QueryHash: w.Access.QueryHash, Salt: w.Salt, Seed: w.Seed}
	if len(w.Tables) != len(w.Access.Shards) || len(w.TotalsSalts) != len(w.Access.Shards) {
		return release, fmt.Errorf("prove result: %d tables and %d salts for %d shards", len(w.Tables), len(w.TotalsSalts), len(w.Access.Shards))
	}
	for k := range w.Access.Shards {
		shard := w.shard(k)
		sums, err := shard.Sums(aggregate)
		if err != nil {
			return release, fmt.Errorf("shard %d: %w", k, err)
		}
		release.Shards = append(release.Shards, circuits.ShardTotals{Sums: sums, Salt: shard.Salt})
	}
	return release, nil
}

// shard returns the witness of a shard's aggregate.
func (w ResultWitness) shard(k int) circuits.AggregateWitness {
	use := w.Access.Shards[k]
	return circuits.AggregateWitness{Used: use.Used, UsedSalt: use.Salt, Table: w.Tables[k], Plan: w.Plan, Salt: w.TotalsSalts[k]}
}
