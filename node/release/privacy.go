package release

import (
	"context"
	"math/big"
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/node/release/noise"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// Why the gate refuses where the policy asks for noise.
var (
	ErrNoise   = problem.Refusal("release.noise", "the policy asks for noise, and this question has no answer with noise")
	ErrPrivacy = problem.Refusal("release.privacy-budget", "the answers with noise have used up the privacy budget of the researcher or of the trial here")
)

// moves returns how many numbers of an answer one person changes, each by 1 at most, or
// refuses one that noise would not make private. Persons are in one cell of a table, or of a
// split, at most. Where cells are nested a person may be in all of them.
//
// Under noise of a scale of s persons in every number the answer is Moves/(2s²)-zCDP: each
// number alone is 1/(2s²) (Bun and Steinke 2016, propositions 1.6 and, for Laplace, 1.4;
// Canonne, Kamath and Steinke 2020, theorem 4), and losses add up (Bun and Steinke, lemma 1.7).
func (q Question) moves(a Answer) (int, error) {
	switch t := a.Table; {
	case a.Frame != nil && a.Frame.Noised == nil:
		return 0, ErrNoise.With("no sound noise is known for this kind of analysis; " + q.lessNoise("ask for "+kinds()))
	case a.Frame != nil && disclosure.Strictest(q.Hub, q.Design).Noise == "":
		return 0, ErrNoise.With("only this site's policy asks for noise (disclosure.noise), and other sites would sum up something else; have the trial's design ask for it, or ask for count or moments")
	case a.Frame != nil:
		return a.Frame.Noised.Moves(), nil
	case len(t.Cells) > 0 && len(t.Cells[0].Sums) > 0 && t.Blur == nil:
		return 0, ErrNoise.With("no sound noise is known for this kind of analysis; " + q.lessNoise("ask for "+kinds()))
	case len(t.Cells) > 0 && len(t.Cells[0].Sums) > 0:
		return 1 + len(t.Cells[0].Grid), nil
	case a.Nested:
		return len(t.Cells), nil
	}
	return 1, nil
}

// kinds lists the analyses that noise can be added to.
func kinds() string {
	list := []string{string(query.Count), string(query.Moments)}
	for _, kind := range analysis.NoisedKinds() {
		list = append(list, string(kind))
	}
	return strings.Join(list, ", ")
}

// lessNoise says whose policy asks for noise, and what can be done about it besides.
func (q Question) lessNoise(instead string) string {
	whose := "of this site"
	switch {
	case q.Design.Noise != "":
		whose = "of the trial's design"
	case q.Hub.Noise != "":
		whose = "of the hub"
	}
	return instead + ", or have disclosure.noise taken out of the policy " + whose
}

// afford refuses an answer with noise that the privacy budgets of the researcher or
// of the trial do not allow, before anything is drawn, and returns what it costs.
func (d *decision) afford(ctx context.Context, a Answer) (noise.Rho, error) {
	p := d.q.Policy
	if p.Noise == "" {
		return 0, nil
	}
	moves, err := d.q.moves(a)
	if err != nil {
		return 0, err
	}
	cost := noise.Rho(moves) * noise.OfScale(p.NoiseScale)
	delta := p.Delta
	if delta == 0 {
		delta = disclosure.DefaultDelta
	}
	for _, budget := range []struct {
		column  string
		of      any
		epsilon float64
	}{{"researcher", d.q.Researcher, p.ResearcherEpsilon}, {"trial", d.q.Trial, p.TrialEpsilon}} {
		if budget.epsilon == 0 {
			continue
		}
		var spent noise.Rho
		if err := d.tx.QueryRow(ctx, `SELECT CAST(coalesce(sum(rho), 0) AS BIGINT) FROM release_privacy WHERE `+budget.column+` = ?`, budget.of).Scan(&spent); err != nil {
			return 0, err
		}
		if (spent + cost).Epsilon(delta) > budget.epsilon {
			return 0, ErrPrivacy
		}
	}
	return cost, nil
}

// blurTable returns the table, of which some cells are withheld, with noise in the numbers
// of the exact one. Counts are rounded once, after the noise, and cells withheld if they then
// are below the threshold.
func (d *decision) blurTable(t, exact analysis.Table) (analysis.Table, error) {
	p := d.q.Policy
	out := analysis.Table{Cells: make([]analysis.Cell, len(t.Cells)), Noise: true}
	for i, c := range t.Cells {
		if !c.Withheld {
			k, err := d.draw(0)
			if err != nil {
				return analysis.Table{}, err
			}
			n := min(max(exact.Cells[i].N+k, 0), analysis.MaxPersons/int64(len(t.Cells)))
			if c, err = d.blurCell(n, exact.Cells[i], exact.Blur); err != nil {
				return analysis.Table{}, err
			}
			if c.N < least(p) {
				c = c.Withhold()
			}
		}
		out.Cells[i] = c
	}
	return out, nil
}

// blurCell returns a cell of n persons, with noise in its sums, or rounded if it has none.
func (d *decision) blurCell(n int64, exact analysis.Cell, blur func(int64, []int64) analysis.Cell) (analysis.Cell, error) {
	if len(exact.Sums) == 0 {
		return analysis.Cell{N: n}.Round(int64(d.q.Policy.Rounding)), nil
	}
	grid := slices.Clone(exact.Grid)
	for i := range grid {
		k, err := d.draw(analysis.GridPlaces)
		if err != nil {
			return analysis.Cell{}, err
		}
		grid[i] += k
	}
	return blur(n, grid), nil
}

// blurFrame returns the vector of a frame's method, with noise in every number.
func (d *decision) blurFrame(f *Frame) ([]uint64, error) {
	state, err := f.Noised.Start()
	if err != nil {
		return nil, err
	}
	words, err := f.Noised.Site(state, f.Values)
	if err != nil {
		return nil, err
	}
	return words, f.Noised.Blur(words, func() (int64, error) { return d.draw(analysis.GridPlaces) })
}

// draw returns the noise of one number of this site, in units of 2^-places: Laplace as a
// whole, since sums of shares of it are not exact, and of a Gaussian this site's share; see
// [Question.variance].
func (d *decision) draw(places uint) (int64, error) {
	units := new(big.Rat).SetInt(new(big.Int).Lsh(big.NewInt(1), places))
	if d.q.Policy.Noise == disclosure.Laplace {
		return noise.Laplace(d.random, units.Mul(units, big.NewRat(int64(d.q.Policy.NoiseScale), 1)))
	}
	units.Mul(units, units)
	return noise.Gaussian(d.random, units.Mul(units, d.q.variance()))
}

// variance returns that of this site's Gaussian noise. What the trial's design asks
// for is shared by all sites, because all of them have read it: the shares of one
// site less than the least of a sum are as wide as wanted, so that a site which
// takes its own share off has not taken too much. What this site or the hub asks
// beyond that, the site adds alone; the hub might have told the others something else.
func (q Question) variance() *big.Rat {
	whole := noise.Share(q.Policy.NoiseScale, 1)
	if q.Design.Noise != disclosure.Gaussian {
		return whole
	}
	alone := new(big.Rat).Sub(whole, noise.Share(q.Design.NoiseScale, 1))
	share := noise.Share(q.Design.NoiseScale, max(q.Policy.MinSites-1, 1))
	return alone.Add(alone, share)
}

// spend writes down what an answer cost.
func (d *decision) spend(ctx context.Context, cost noise.Rho) error {
	if cost == 0 {
		return nil
	}
	_, err := d.tx.Exec(ctx, `INSERT INTO release_privacy (query, researcher, trial, rho) VALUES (?, ?, ?, ?)`,
		d.q.ID.String(), d.q.Researcher, d.q.Trial, int64(cost))
	return err
}
