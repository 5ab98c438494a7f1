package prover

import (
	"context"
	"errors"
	"fmt"
	"io"

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
	var r verifier.Result
	if len(w.Tables) != len(w.Access.Shards) || len(w.TotalsSalts) != len(w.Access.Shards) {
		return r, fmt.Errorf("prove result: %d tables and %d salts for %d shards", len(w.Tables), len(w.TotalsSalts), len(w.Access.Shards))
	}
	cover, err := p.Cover(ctx, w.Access)
	if err != nil {
		return r, err
	}
	r.Cover = cover.Proof
	release := circuits.ReleaseWitness{Terms: w.Terms, QueryHash: w.Access.QueryHash, Salt: w.Salt, Seed: w.Seed}
	for k, use := range w.Access.Shards {
		aggregate := circuits.AggregateWitness{
			Used: use.Used, UsedSalt: use.Salt, Table: w.Tables[k], Plan: w.Plan, Salt: w.TotalsSalts[k],
		}
		proof, err := p.Aggregate(ctx, aggregate)
		if err != nil {
			return r, fmt.Errorf("shard %d: %w", k, err)
		}
		sums, err := aggregate.Sums(p.aggregate.Circuit())
		if err != nil {
			return r, fmt.Errorf("shard %d: %w", k, err)
		}
		release.Shards = append(release.Shards, circuits.ShardTotals{Sums: sums, Salt: aggregate.Salt})
		r.Used, r.Totals = append(r.Used, proof.Public.Used), append(r.Totals, proof.Public.Totals)
		r.Aggregates = append(r.Aggregates, proof.Proof)
	}
	released, err := p.Release(ctx, release)
	if err != nil {
		return r, err
	}
	r.Withheld, r.Released, r.Release = w.Terms.Withheld, released.Public.Released, released.Proof
	return r, nil
}
