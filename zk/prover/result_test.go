package prover

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/verifier"
)

// arms tells two arms apart and sums one column under one condition.
var arms = circuits.Tally{ShardSize: small.ShardSize, Shards: small.Shards, Groups: 2, Values: 1, Conditions: 1}

// resultProver has the keys of a result, without noise.
var resultProver = sync.OnceValues(func() (*Prover, error) { return resultProverOf(small, arms, arms.Release()) })

func resultProverOf(s circuits.Shape, t circuits.Tally, release circuits.Circuit) (*Prover, error) {
	keys, err := cachedKeys(s.Epoch(), s.Access(), s.Cover(), t.Aggregate(), release)
	if err != nil {
		return nil, err
	}
	cfg := Config{Epoch: keys[0], Access: keys[1], Cover: keys[2], Aggregate: keys[3]}
	if release == t.Noise() {
		cfg.Noise = keys[4]
	} else {
		cfg.Release = keys[4]
	}
	return New(cfg)
}

func sums(count, sum, squares int64) circuits.Sums {
	return circuits.Sums{Count: big.NewInt(count), Sum: big.NewInt(sum), Squares: big.NewInt(squares)}
}

// table has an arm, days and an age for each slot of a shard; days depend on the label.
func table(t testing.TB, size int, label string) circuits.Table {
	t.Helper()
	columns := make([]circuits.Column, 3)
	for i := range size {
		for n, value := range []uint32{uint32(i % 2), uint32(100*i) + uint32(label[0]), uint32(20 + i%60)} {
			cell, err := circuits.Known(value)
			require.NoError(t, err)
			columns[n].Cells = append(columns[n].Cells, cell)
		}
	}
	for n := range columns {
		columns[n].Salt = secret("column "+label, n)
	}
	return circuits.Table{Columns: columns}
}

// result is of as many shards as there are labels, and what a reader knows of it.
func result(t testing.TB, s circuits.Shape, labels ...string) (ResultWitness, verifier.ResultQuestion) {
	t.Helper()
	w := ResultWitness{
		Plan:  circuits.Plan{Group: 0, Values: []uint8{1}, Conditions: []circuits.Condition{{Column: 2, Lo: 18, Hi: 65}}},
		Terms: circuits.Terms{Count: circuits.Rule{Unit: 1}, Sum: circuits.Rule{Unit: 10}},
		Salt:  secret("release", 0),
	}
	var q verifier.ResultQuestion
	for n, label := range labels {
		shard := access(t, s, label)
		shard.Shards = append(w.Access.Shards, shard.Shards...)
		w.Access = shard
		w.Tables = append(w.Tables, table(t, s.ShardSize, label))
		w.TotalsSalts = append(w.TotalsSalts, secret("totals", n))
		epoch, err := epoch(t, s, label).Public(s.Epoch())
		require.NoError(t, err)
		data, err := circuits.DataRoot(s.ShardSize, w.Tables[n])
		require.NoError(t, err)
		q.Matrices, q.Data = append(q.Matrices, epoch.MatrixRoot), append(q.Data, data)
	}
	q.Need, q.Min, q.QueryHash, q.Plan, q.Terms = w.Access.Need, w.Access.Min, w.Access.QueryHash, w.Plan, w.Terms
	return w, q
}

func (p *Prover) resultKeys() verifier.ResultKeys {
	release := p.release
	if release == nil {
		release = p.noise
	}
	return verifier.ResultKeys{Cover: p.cover.verifying, Aggregate: p.aggregate.verifying, Release: release.verifying}
}

// honest is proved once: under the race detector its four proofs take seconds.
var honest struct {
	once   sync.Once
	result verifier.Result
}

func honestResult(t *testing.T) verifier.Result {
	t.Helper()
	honest.once.Do(func() {
		p, err := resultProver()
		require.NoError(t, err)
		w, _ := result(t, small, "a", "b")
		honest.result, err = p.Result(t.Context(), w)
		require.NoError(t, err)
	})
	return honest.result
}

// TestResultIsProvedFromConsentsToFigures links real proofs: epoch, cover, aggregate, release.
func TestResultIsProvedFromConsentsToFigures(t *testing.T) {
	t.Parallel()
	p, err := resultProver()
	require.NoError(t, err)
	w, q := result(t, small, "a", "b")
	proved, err := p.Epoch(t.Context(), epoch(t, small, "a"))
	require.NoError(t, err)
	require.Equal(t, q.Matrices[0], proved.Public.MatrixRoot, "what the reader has of an epoch is proved")
	r := honestResult(t)
	require.NoError(t, p.resultKeys().Verify(q, r))

	// Of three people a shard has, the third has withdrawn: one in each arm is left.
	figures := []circuits.Sums{sums(2, 200, 0), sums(2, 400, 0)}
	digest, err := circuits.ReleaseDigest(figures, w.Salt)
	require.NoError(t, err)
	require.Equal(t, digest, r.Released, "97 + 98 days and 197 + 198, to tens")

	raw, err := json.Marshal(r)
	require.NoError(t, err)
	var back verifier.Result
	require.NoError(t, json.Unmarshal(raw, &back))
	require.Equal(t, r, back)
	require.Less(t, len(raw), 1500+2*1000, "a result is small")
}

// TestAMaliciousNodeIsCaught has a node make every proof honestly for a lie of its own. Each
// proof verifies alone; the reader's inputs are the question's and the ledger's.
func TestAMaliciousNodeIsCaught(t *testing.T) {
	t.Parallel()
	p, err := resultProver()
	require.NoError(t, err)
	truth, q := result(t, small, "a", "b")
	r := honestResult(t)
	require.NoError(t, p.resultKeys().Verify(q, r))

	aggregate := func(change func(*circuits.AggregateWitness)) (circuits.AggregateProof, circuits.ShardTotals) {
		use := truth.Access.Shards[0]
		w := circuits.AggregateWitness{Used: use.Used, UsedSalt: use.Salt, Table: truth.Tables[0], Plan: truth.Plan, Salt: truth.TotalsSalts[0]}
		w.Plan.Conditions = slices.Clone(w.Plan.Conditions)
		change(&w)
		proof, err := p.Aggregate(t.Context(), w)
		require.NoError(t, err)
		totals, err := w.Sums(p.aggregate.Circuit())
		require.NoError(t, err)
		return proof, circuits.ShardTotals{Sums: totals, Salt: w.Salt}
	}
	fewer, some := aggregate(func(w *circuits.AggregateWitness) { w.Used = w.Used[:1] })
	release := func(change func(*circuits.ReleaseWitness)) circuits.ReleaseProof {
		w := circuits.ReleaseWitness{
			Shards: []circuits.ShardTotals{some, some}, Terms: truth.Terms, QueryHash: q.QueryHash, Salt: truth.Salt,
		}
		change(&w)
		proof, err := p.Release(t.Context(), w)
		require.NoError(t, err)
		return proof
	}
	oneShard := release(func(w *circuits.ReleaseWitness) { w.Shards = w.Shards[:1] })
	cover := func(w circuits.AccessWitness) circuits.AccessProof {
		proof, err := p.Cover(t.Context(), w)
		require.NoError(t, err)
		return proof
	}
	for name, lie := range map[string]func(*verifier.Result){
		"drops a person and proves an access for a cover": func(r *verifier.Result) {
			w := truth.Access
			w.Shards = slices.Clone(w.Shards)
			w.Shards[0].Used = w.Shards[0].Used[:1]
			proof, err := p.Access(t.Context(), w)
			require.NoError(t, err)
			r.Used[0], err = circuits.UsedCommitment(small, w.Shards[0].Used, w.Shards[0].Salt)
			require.NoError(t, err)
			r.Cover = proof.Proof
		},
		"sums others than it covers": func(r *verifier.Result) {
			r.Aggregates[0], r.Totals[0] = fewer.Proof, fewer.Public.Totals
		},
		"sums others than it covers and says so": func(r *verifier.Result) {
			r.Aggregates[0], r.Totals[0], r.Used[0] = fewer.Proof, fewer.Public.Totals, fewer.Public.Used
		},
		"takes consents of an older epoch": func(r *verifier.Result) {
			w := truth.Access
			w.Shards = slices.Clone(w.Shards)
			w.Shards[0].Epoch = epoch(t, small, "c")
			r.Cover = cover(w).Proof
		},
		"chooses its data after the question": func(r *verifier.Result) {
			proof, _ := aggregate(func(w *circuits.AggregateWitness) { w.Table = table(t, small.ShardSize, "z") })
			r.Aggregates[0], r.Totals[0] = proof.Proof, proof.Public.Totals
		},
		"selects by another condition": func(r *verifier.Result) {
			proof, _ := aggregate(func(w *circuits.AggregateWitness) { w.Plan.Conditions[0].Hi = 20 })
			r.Aggregates[0], r.Totals[0] = proof.Proof, proof.Public.Totals
		},
		"counts a shard twice": func(r *verifier.Result) {
			proof := release(func(*circuits.ReleaseWitness) {})
			r.Release, r.Released = proof.Proof, proof.Public.Released
		},
		"leaves a shard out": func(r *verifier.Result) {
			r.Release, r.Released = oneShard.Proof, oneShard.Public.Released
		},
		"leaves a shard out and says so": func(r *verifier.Result) {
			r.Release, r.Released = oneShard.Proof, oneShard.Public.Released
			r.Used, r.Totals, r.Aggregates = r.Used[:1], r.Totals[:1], r.Aggregates[:1]
		},
		"rounds otherwise": func(r *verifier.Result) {
			proof := release(func(w *circuits.ReleaseWitness) { w.Terms.Sum.Unit = 1000 })
			r.Release, r.Released = proof.Proof, proof.Public.Released
		},
		"hides a cell": func(r *verifier.Result) {
			proof := release(func(w *circuits.ReleaseWitness) { w.Terms.Withheld = 1 })
			r.Release, r.Released = proof.Proof, proof.Public.Released
		},
		"answers another question": func(r *verifier.Result) {
			w := truth.Access
			w.QueryHash = secret("question", 1)
			r.Cover = cover(w).Proof
		},
		"publishes another figure": func(r *verifier.Result) {
			r.Released, err = circuits.ReleaseDigest([]circuits.Sums{sums(2, 210, 0), sums(2, 400, 0)}, truth.Salt)
			require.NoError(t, err)
		},
		"exchanges two proofs": func(r *verifier.Result) {
			r.Aggregates[0], r.Aggregates[1] = r.Aggregates[1], r.Aggregates[0]
		},
		"sends no aggregates": func(r *verifier.Result) { r.Aggregates = nil },
	} {
		t.Run(name, func(t *testing.T) {
			forged := r
			forged.Used, forged.Totals, forged.Aggregates = slices.Clone(r.Used), slices.Clone(r.Totals), slices.Clone(r.Aggregates)
			lie(&forged)
			require.ErrorIs(t, p.resultKeys().Verify(q, forged), verifier.ErrInvalid)
		})
	}
}

func TestResultRefuses(t *testing.T) {
	t.Parallel()
	p, err := resultProver()
	require.NoError(t, err)
	w, _ := result(t, small, "a")
	w.TotalsSalts = nil
	_, err = p.Result(t.Context(), w)
	require.EqualError(t, err, "prove result: 1 tables and 0 salts for 1 shards")
	_, err = smallProver(t).Result(t.Context(), ResultWitness{})
	require.EqualError(t, err, "prove result: this prover has no keys for it")

	w, _ = result(t, small, "a")
	w.Seed = secret("seed", 0)
	_, err = p.Release(t.Context(), circuits.ReleaseWitness{Seed: w.Seed})
	require.EqualError(t, err, "prove release: this prover has no keys for it")
	_, err = json.Marshal(w)
	require.ErrorContains(t, err, "must not leave the node")
	require.Equal(t, "result witness:redacted", fmt.Sprintf("%+v", w))
}

func TestProverOfCoversAlone(t *testing.T) {
	t.Parallel()
	shared, err := resultProver()
	require.NoError(t, err)
	p, err := New(Config{Cover: shared.cover})
	require.NoError(t, err)
	w := access(t, small, "a")
	proof, err := p.Cover(t.Context(), w)
	require.NoError(t, err)
	require.NoError(t, shared.cover.Verifying().VerifyCover(proof.Public, proof.Proof))
	_, err = p.Access(t.Context(), w)
	require.EqualError(t, err, "prove access: this prover has no keys for it")

	for _, cfg := range []Config{{Cover: shared.access}, {Cover: shared.cover, Aggregate: shared.aggregate}} {
		_, err = New(cfg)
		require.EqualError(t, err, "prover: without keys of accesses there can be those of a cover only")
	}
	_, err = New(Config{Epoch: shared.epoch, Cover: shared.cover})
	require.EqualError(t, err, "prover: keys of an access circuit are missing")
}
