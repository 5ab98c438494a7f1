package release

import (
	"context"
	"crypto/rand"
	"fmt"
	"math"
	chance "math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/release/noise"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/message"
)

var today = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// noisy returns a gate whose noise is drawn from a seed.
func noisy(t testing.TB, db *sqldb.DB, seed byte) *Gate {
	t.Helper()
	gate, err := Open(context.Background(), db)
	require.NoError(t, err)
	gate.random = chance.NewChaCha8([32]byte{seed})
	return gate
}

// about asks, under a policy with noise, a question of its own.
func about(what string, p disclosure.Policy) Question {
	q := Question{Same: message.Sum([]byte(what)), Trial: "trial", Researcher: "did:key:zR", Policy: disclosure.Strictest(disclosure.Default(), p)}
	_, _ = rand.Read(q.ID[:])
	return q
}

// counted is the answer to a count whose cells are the given sets.
func counted(cells ...set) Answer {
	a := Answer{Measure: "persons"}
	var sets [][]omop.PersonID
	for _, cell := range cells {
		persons, err := cell.persons()
		if err != nil {
			panic(err)
		}
		a.Table.Cells = append(a.Table.Cells, analysis.Cell{N: int64(len(cell))})
		a.Used, sets = append(a.Used, persons...), append(sets, persons)
	}
	a.Sets = map[string][][]omop.PersonID{"persons": sets}
	return a
}

func TestNoiseInCounts(t *testing.T) {
	t.Parallel()
	for _, kind := range []disclosure.Noise{disclosure.Gaussian, disclosure.Laplace} {
		gate := noisy(t, sqltest.SQLite(t), 1)
		p := disclosure.Policy{Noise: kind, NoiseScale: 10}
		var sum, squares float64
		const questions = 150
		for i := range int64(questions) {
			q := about(fmt.Sprint(kind, i), p)
			q.Policy.MaxQuestions = 0
			r, err := gate.Release(t.Context(), q, counted(span(1000*i, 1000*i+199), span(1000*i+200, 1000*i+204), nil), today)
			require.NoError(t, err)
			require.Zero(t, r.Words()[0]%5, "rounded after the noise")
			require.Equal(t, []uint64{0, 1, 0, 1}, r.Words()[2:], "few and nobody look the same")
			d := float64(r.Words()[0]) - 200
			sum, squares = sum+d, squares+d*d
		}
		sd := 10.0
		if kind == disclosure.Laplace {
			sd *= math.Sqrt2
		}
		require.InDelta(t, 0, sum/questions, 4*sd/math.Sqrt(questions), kind)
		require.InDelta(t, sd, math.Sqrt(squares/questions), sd/3, kind)
	}
}

// TestRepeatsGetTheSameNoise: before and after a restart, and at no cost.
func TestRepeatsGetTheSameNoise(t *testing.T) {
	t.Parallel()
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "node.db")
	p := disclosure.Policy{Noise: disclosure.Gaussian, NoiseScale: 10, ResearcherEpsilon: 0.5}
	db := sqltest.Open(t, dsn)
	first, err := noisy(t, db, 1).Release(t.Context(), about("q", p), counted(span(1, 100)), today)
	require.NoError(t, err)
	for seed := range byte(20) {
		again, err := noisy(t, sqltest.Open(t, dsn), seed).Release(t.Context(), about("q", p), counted(span(1, 100)), today)
		require.NoError(t, err)
		require.Equal(t, first.Words(), again.Words())
	}
	_, err = noisy(t, sqltest.Open(t, dsn), 1).Release(t.Context(), about("other", p), counted(span(201, 300)), today)
	require.ErrorIs(t, err, ErrPrivacy, "one answer of ε 0.43 is all that 0.5 pays for")
}

// TestPrivacyBudget lets as many answers out as the conversion says, of a
// researcher in all trials and in a trial for all researchers, on both engines.
func TestPrivacyBudget(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		gate := noisy(t, db, 1)
		next := int64(0)
		fresh := func(q Question) error {
			next++
			q.Same = message.Sum([]byte(fmt.Sprint(next)))
			_, err := gate.Release(t.Context(), q, counted(span(1000*next, 1000*next+99)), today)
			return err
		}
		p := disclosure.Policy{Noise: disclosure.Laplace, NoiseScale: 4, ResearcherEpsilon: 3, TrialEpsilon: 4, Delta: 1e-5}
		affords := func(epsilon float64) (n int) {
			for noise.Rho(n+1)*noise.OfScale(4) > 0 && (noise.Rho(n+1)*noise.OfScale(4)).Epsilon(1e-5) <= epsilon {
				n++
			}
			return n
		}
		own, all := affords(3), affords(4)
		require.Greater(t, all, own)
		require.Greater(t, own, 3)
		for range own {
			require.NoError(t, fresh(about("", p)))
		}
		require.ErrorIs(t, fresh(about("", p)), ErrPrivacy)
		other := func() Question {
			q := about("", p)
			q.Researcher = "did:key:zOther"
			return q
		}
		for range all - own {
			require.NoError(t, fresh(other()))
		}
		require.ErrorIs(t, fresh(other()), ErrPrivacy, "the trial's is used up")
		q := other()
		q.Trial = "another"
		require.NoError(t, fresh(q))

		few := q
		_, _ = rand.Read(few.ID[:])
		few.Same = message.Sum([]byte("few"))
		var before, after int64
		cost := func(to *int64) {
			require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
				return tx.QueryRow(t.Context(), "SELECT CAST(sum(rho) AS BIGINT) FROM release_privacy").Scan(to)
			}))
		}
		cost(&before)
		_, err := gate.Release(t.Context(), few, counted(span(1, 5)), today)
		require.ErrorIs(t, err, ErrCells)
		cost(&after)
		require.Equal(t, before, after, "a refusal draws nothing and costs nothing")

		p.ResearcherEpsilon, p.TrialEpsilon = 1000, 1000
		one, three := about("one", p), about("three", p)
		one.Trial, three.Trial = "large", "large"
		_, err = gate.Release(t.Context(), one, counted(span(1_001_001, 1_001_100)), today)
		require.NoError(t, err)
		cost(&before)
		steps := counted(span(1_002_001, 1_002_100), span(1_002_001, 1_002_080), span(1_002_001, 1_002_060))
		steps.Nested = true
		_, err = gate.Release(t.Context(), three, steps, today)
		require.NoError(t, err)
		first := before - after
		cost(&after)
		require.Equal(t, 3*first, after-before, "a person is in all the steps")
	})
}

// TestNoRandomnessDecidesNothing: without noise nothing is let out, written or spent.
func TestNoRandomnessDecidesNothing(t *testing.T) {
	t.Parallel()
	db := sqltest.SQLite(t)
	gate := noisy(t, db, 1)
	gate.random = none{}
	q := about("q", disclosure.Policy{Noise: disclosure.Gaussian, NoiseScale: 10})
	_, err := gate.Release(t.Context(), q, counted(span(1, 100)), today)
	require.ErrorIs(t, err, errNone)
	_, found, err := gate.Recall(t.Context(), q.ID)
	require.NoError(t, err)
	require.False(t, found)
}

type none struct{}

var errNone = fmt.Errorf("no randomness")

func (none) Read([]byte) (int, error) { return 0, errNone }

func TestNoiseForSumsIsRefused(t *testing.T) {
	t.Parallel()
	a := counted(span(1, 100))
	a.Table.Cells[0].Sums = make([]analysis.Sum, 3)
	_, err := noisy(t, sqltest.SQLite(t), 1).Release(t.Context(), about("mean", disclosure.Policy{Noise: disclosure.Gaussian, NoiseScale: 10}), a, today)
	require.ErrorIs(t, err, ErrNoise)
}

// TestOnlyTheDesignsNoiseIsShared: three sites share what all of them have read;
// what one site or the hub asks beyond it, a site adds alone.
func TestOnlyTheDesignsNoiseIsShared(t *testing.T) {
	t.Parallel()
	asks := func(kind disclosure.Noise, scale int) disclosure.Policy {
		return disclosure.Policy{Noise: kind, NoiseScale: scale, MinSites: 3}
	}
	for name, c := range map[string]struct {
		policy, design disclosure.Policy
		want           string
	}{
		"the design's":            {asks(disclosure.Gaussian, 10), asks(disclosure.Gaussian, 10), "50"},
		"the site's":              {asks(disclosure.Gaussian, 10), disclosure.Policy{}, "100"},
		"the site's beyond":       {asks(disclosure.Gaussian, 20), asks(disclosure.Gaussian, 10), "350"},
		"too little to share":     {asks(disclosure.Gaussian, 2), asks(disclosure.Gaussian, 2), "4"},
		"narrower than any":       {asks(disclosure.Gaussian, 1), asks(disclosure.Gaussian, 1), "4"},
		"of another distribution": {asks(disclosure.Gaussian, 10), asks(disclosure.Laplace, 10), "100"},
	} {
		q := Question{Policy: c.policy, Design: c.design}
		require.Equal(t, c.want, q.variance().RatString(), name)
	}
}
