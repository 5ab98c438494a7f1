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
	"gonum.org/v1/gonum/mathext"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/release/noise"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
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

// TestNoNoiseNoAnswer: what has no sound noise is refused, with whose policy it is, the
// field and what to do, and so is what the other sites would sum up differently.
func TestNoNoiseNoAnswer(t *testing.T) {
	t.Parallel()
	gate := noisy(t, sqltest.SQLite(t), 1)
	p := disclosure.Policy{Noise: disclosure.Gaussian, NoiseScale: 10, TrialEpsilon: 100}
	sums := counted(span(1, 100))
	sums.Table.Cells[0].Sums = make([]analysis.Sum, 3)
	_, err := gate.Release(t.Context(), about("sums", p), sums, today)
	require.ErrorIs(t, err, ErrNoise)

	model := framed(t, 40)
	model.Frame.Noised = nil
	for whose, q := range map[string]Question{
		"of this site":          about("model", p),
		"of the hub":            {Hub: p, Policy: p},
		"of the trial's design": {Design: p, Hub: p, Policy: p},
	} {
		_, _ = rand.Read(q.ID[:])
		q.Same = message.Sum([]byte(whose))
		_, err = gate.Release(t.Context(), q, model, today)
		require.ErrorIs(t, err, ErrNoise)
		require.ErrorContains(t, err, "ask for count, moments, crosstab,")
		require.ErrorContains(t, err, "have disclosure.noise taken out of the policy "+whose)
	}
	_, err = gate.Release(t.Context(), about("only here", p), framed(t, 40), today)
	require.ErrorIs(t, err, ErrNoise)
	require.ErrorContains(t, err, "only this site's policy asks for noise (disclosure.noise)")
}

// measured is the answer to moments of persons with values from 0 to 10, of which the
// middle is the mean.
func measured(t *testing.T, persons set, low, high float64) Answer {
	t.Helper()
	a := counted(persons)
	m := analysis.Moments{Low: low, High: high}
	var values []Value
	table, err := m.Tabulate(func(yield func(analysis.Row, error) bool) {
		for i := range persons {
			values = append(values, Value{a.Used[i], low + (high-low)*float64(i%11)/10})
			if !yield(analysis.Row{Value: values[i].Number, HasValue: true}, nil) {
				return
			}
		}
	})
	require.NoError(t, err)
	a.Table, a.Measure, a.Sets = table, "concept 1", map[string][][]omop.PersonID{"concept 1": {a.Used}, "persons": {a.Used}}
	a.Values = map[string][][]Value{"concept 1": {values}}
	return a
}

// framed is the answer to a prevalence of something that every other one of n persons has.
func framed(t *testing.T, n int64) Answer {
	t.Helper()
	a := query.Analysis{
		Kind: query.Prevalence, Columns: []query.Column{{Name: "ill", From: query.FromEvent, Domain: "ConditionOccurrence", Concepts: []int64{1}}},
		Specs: query.Specs{Prevalence: &query.PrevalenceSpec{Property: "ill"}},
	}
	frame, err := analysis.NewFrame(analysis.ColumnsOf(a.Columns))
	require.NoError(t, err)
	persons, err := span(1, n).persons()
	require.NoError(t, err)
	cells := make([][]omop.PersonID, 2)
	for i, person := range persons {
		require.NoError(t, frame.Append([]float64{float64(i % 2)}))
		cells[i%2] = append(cells[i%2], person)
	}
	method, err := analysis.WithNoise(a, 0)
	require.NoError(t, err)
	return Answer{
		Measure: "columns", Used: persons, Sets: map[string][][]omop.PersonID{"columns": cells},
		Frame: &Frame{Values: frame, Views: []*analysis.Frame{frame}, Parameters: 1, Noised: method},
	}
}

// TestNoiseInSums: means and standard deviations of three sites with a Gaussian that they
// share scatter by what the answer says, and not at all around another value.
func TestNoiseInSums(t *testing.T) {
	t.Parallel()
	const low, high, persons, questions, scale = 30.0, 50.0, 400, 40, 20
	p := disclosure.Policy{Noise: disclosure.Gaussian, NoiseScale: scale, TrialEpsilon: 1000}
	m := analysis.Moments{Low: low, High: high, Noise: true}
	var scatter, expected float64
	var sites []*Gate
	for seed := range byte(3) {
		sites = append(sites, noisy(t, sqltest.SQLite(t), seed))
	}
	for i := range questions {
		var sum []uint64
		for _, gate := range sites {
			q := about(fmt.Sprint(i), p)
			q.Design = q.Policy
			r, err := gate.Release(t.Context(), q, measured(t, span(1, persons), low, high), today)
			require.NoError(t, err)
			if sum == nil {
				sum = make([]uint64, len(r.Words()))
			}
			for k, w := range r.Words() {
				sum[k] += w
			}
		}
		pooled, err := m.Pool(sum, 3)
		require.NoError(t, err)
		// The shares of two sites are as wide as asked for, and there are three.
		mean, deviation := m.NoiseSD(pooled.Pooled, scale*math.Sqrt(1.5))
		scatter += math.Pow((*pooled.Pooled.Mean-40) / *mean, 2)
		expected++
		require.InDelta(t, 20*math.Sqrt(0.1), *pooled.Pooled.SD, 6**deviation)
		require.InDelta(t, 3*persons, pooled.Pooled.N, 6*scale*math.Sqrt(1.5))
	}
	// Σ of squares of standard normal numbers.
	require.Greater(t, mathext.GammaIncRegComp(expected/2, scatter/2), 1e-3, "not more")
	require.Greater(t, mathext.GammaIncReg(expected/2, scatter/2), 1e-3, "nor less")
}

// TestSumsCostWhatMoves: a mean costs as much as three counts, each of which moves by one at
// most; three answers at once as much as one after the other (Bun and Steinke, lemma 1.7).
func TestSumsCostWhatMoves(t *testing.T) {
	t.Parallel()
	db := sqltest.SQLite(t)
	gate := noisy(t, db, 1)
	spent := func() (rho noise.Rho) {
		require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
			return tx.QueryRow(t.Context(), "SELECT CAST(coalesce(sum(rho), 0) AS BIGINT) FROM release_privacy").Scan(&rho)
		}))
		return rho
	}
	p := disclosure.Policy{Noise: disclosure.Gaussian, NoiseScale: 10, TrialEpsilon: 2.2}
	_, err := gate.Release(t.Context(), about("mean", p), measured(t, span(1, 100), 0, 10), today)
	require.NoError(t, err)
	require.Equal(t, 3*noise.OfScale(10), spent())
	require.InDelta(t, 3*1e9/(2*10*10), float64(spent()), 4)

	q := about("prevalence", p)
	q.Design = q.Policy
	first, err := gate.Release(t.Context(), q, framed(t, 400), today)
	require.NoError(t, err)
	require.Equal(t, 4*noise.OfScale(10), spent(), "somebody is ill, or is not, or is left out")

	again := q
	_, _ = rand.Read(again.ID[:])
	gate.random = none{}
	second, err := gate.Release(t.Context(), again, framed(t, 400), today)
	require.NoError(t, err)
	require.Equal(t, first.Words(), second.Words(), "drawn once")
	require.Equal(t, 4*noise.OfScale(10), spent(), "and paid for once")
	_, err = gate.Release(t.Context(), about("without chance", p), measured(t, span(1001, 1100), 0, 10), today)
	require.ErrorIs(t, err, errNone)
	require.Equal(t, 4*noise.OfScale(10), spent(), "what is not let out costs nothing")

	gate.random = chance.NewChaCha8([32]byte{2})
	// By the conversion of the discrete Gaussian's authors 19 counts of ρ 0.005 give ε 2.083,
	// 22 give 2.256.
	for i := range int64(5) {
		from := 2000 + 1000*i
		_, err = gate.Release(t.Context(), about(fmt.Sprint(i), p), measured(t, span(from, from+100), 0, 10), today)
		require.NoError(t, err)
	}
	_, err = gate.Release(t.Context(), about("too much", p), measured(t, span(10_000, 10_100), 0, 10), today)
	require.ErrorIs(t, err, ErrPrivacy)
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
