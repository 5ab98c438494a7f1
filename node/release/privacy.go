package release

import (
	"context"
	"math/big"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/node/release/noise"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Why the gate refuses where the policy asks for noise.
var (
	ErrNoise   = problem.Refusal("release.noise", "the policy asks for noise, and none is defined for this analysis; ask for a count")
	ErrPrivacy = problem.Refusal("release.privacy-budget", "the answers with noise have used up the privacy budget of the researcher or of the trial here")
)

// afford refuses an answer with noise that the privacy budgets of the researcher or
// of the trial do not allow, before anything is drawn, and returns what it costs.
// Persons are in one cell of a table at most, so that one person changes its counts by
// one in all. Where cells are nested a person may be in all of them, and each costs as much.
func (d *decision) afford(ctx context.Context, a Answer) (noise.Rho, error) {
	p, t := d.q.Policy, a.Table
	if p.Noise == "" {
		return 0, nil
	}
	if len(t.Cells) > 0 && len(t.Cells[0].Sums) > 0 {
		return 0, ErrNoise
	}
	cost := noise.OfScale(p.NoiseScale)
	if a.Nested {
		cost *= noise.Rho(len(t.Cells))
	}
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

// addNoise returns the table, which holds counts as they may be shown without noise,
// with noise in those counts. They are rounded once, after the noise, and withheld
// if they then are below the threshold.
func (d *decision) addNoise(t analysis.Table, exact []analysis.Cell) (analysis.Table, error) {
	p := d.q.Policy
	out := analysis.Table{Cells: make([]analysis.Cell, len(t.Cells))}
	for i, c := range t.Cells {
		if !c.Withheld {
			k, err := d.draw()
			if err != nil {
				return analysis.Table{}, err
			}
			c.N = min(max(exact[i].N+k, 0), analysis.MaxPersons/int64(len(t.Cells)))
			if c = c.Round(int64(p.Rounding)); c.N < least(p) {
				c = c.Withhold()
			}
		}
		out.Cells[i] = c
	}
	return out, nil
}

// draw returns the noise of one count of this site: Laplace as a whole, since sums
// of shares of it are not exact, and of a Gaussian this site's share; see [variance].
func (d *decision) draw() (int64, error) {
	if d.q.Policy.Noise == disclosure.Laplace {
		return noise.Laplace(d.random, big.NewRat(int64(d.q.Policy.NoiseScale), 1))
	}
	return noise.Gaussian(d.random, d.q.variance())
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
