package analysis

import (
	"cmp"
	"errors"
	"slices"
	"sort"

	"github.com/trialmesh/trialmesh/protocol/query"
)

func (m propensity) Site(s propensityState, f *Frame, sums *Sums) error {
	if s.Stage == stageScore {
		return m.score.Site(s.Score, f, sums)
	}
	rows, err := m.scored(s, f)
	if err != nil {
		return err
	}
	switch s.Stage {
	case stageArms:
		m.addArms(rows, sums)
		return nil
	case stageCuts:
		m.search().add(s.Search, m.searched(s, rows), sums, 0)
		return nil
	case stageStrata:
		for i := range rows.linear {
			sums.Add(2*stratum(s.Cuts, m.chance(rows.linear[i]))+rows.arm[i], 1)
		}
		return nil
	}
	weights, clusters := m.weights(s, rows)
	if s.Stage == stageBalance {
		return m.addBalance(s, f, rows, weights, sums)
	}
	weighted := &Frame{
		columns: append(slices.Clone(f.columns), Column{Name: weightColumn, Kind: Numeric, High: maxWeight}),
		values:  append(slices.Clone(f.values), weights),
		rows:    f.rows,
	}
	if s.Stage == stageOutcome {
		return m.outcome.Site(s.Outcome, weighted, sums)
	}
	return m.outcome.addRobust(s.Outcome, weighted, clusters, sums)
}

// scoredRows are a site's rows: their linear predictors and arms, 0 for untreated.
type scoredRows struct {
	linear []float64
	arm    []int
}

func (m propensity) scored(s propensityState, f *Frame) (scoredRows, error) {
	if p := m.score.matrix.Width(); len(s.Score.Coefficients) != p || len(s.Score.Center) != p || len(s.Score.Scale) != p || s.Stage > stageArms && len(s.Arms) != 2 {
		return scoredRows{}, errors.New("propensity: the state is of another question")
	}
	var out scoredRows
	err := m.score.rows(f, func(x []float64, y, _, offset float64) {
		out.linear = append(out.linear, m.score.linear(s.Score, x)+offset)
		out.arm = append(out.arm, int(y))
	})
	return out, err
}

// chance is the score of a linear predictor.
func (m propensity) chance(linear float64) float64 {
	e, _ := m.score.family.mean(linear)
	return e
}

func (m propensity) addArms(rows scoredRows, sums *Sums) {
	for i, linear := range rows.linear {
		sums.Add(rows.arm[i], 1)
		sums.Add(armScore, linear/scoreUnit)
		sums.Add(armSquare, linear/scoreUnit*(linear/scoreUnit))
		if m.Adjustment == query.Weighting && m.inverse(m.chance(linear), rows.arm[i]) > maxWeight {
			sums.Add(armExtreme, 1)
		}
	}
}

// inverse is the weight of a row with score e, before anything is done to it.
func (m propensity) inverse(e float64, arm int) float64 {
	switch {
	case m.Estimand == query.ATT && arm == 1:
		return 1
	case m.Estimand == query.ATT:
		return e / (1 - e)
	case arm == 1:
		return 1 / e
	}
	return 1 / (1 - e)
}

// inverses are the weights of rows before they are truncated.
func (m propensity) inverses(s propensityState, rows scoredRows) []float64 {
	out := make([]float64, len(rows.linear))
	for i, linear := range rows.linear {
		out[i] = m.inverse(m.chance(linear), rows.arm[i])
		if m.Stabilized {
			out[i] *= float64(s.Arms[rows.arm[i]]) / float64(s.Arms[0]+s.Arms[1])
		}
	}
	return out
}

// searched are the scores or weights whose quantiles are looked for.
func (m propensity) searched(s propensityState, rows scoredRows) *Frame {
	var values []float64
	if m.Adjustment == query.Weighting {
		for i, w := range m.inverses(s, rows) {
			if m.Estimand == query.ATE || rows.arm[i] == 0 {
				values = append(values, w)
			}
		}
	} else {
		for i, linear := range rows.linear {
			if m.Estimand == query.ATE || rows.arm[i] == 1 {
				values = append(values, m.chance(linear))
			}
		}
	}
	return &Frame{columns: m.search().values, values: [][]float64{values}, rows: len(values)}
}

// stratum is the place of a score between cuts, each the lower end of a stratum.
func stratum(cuts []float64, e float64) int {
	return sort.Search(len(cuts), func(k int) bool { return cuts[k] > e })
}

// weights returns each row's weight, and with matching its pair, else nil.
func (m propensity) weights(s propensityState, rows scoredRows) (weights []float64, clusters []int) {
	switch m.Adjustment {
	case query.Weighting:
		weights = m.inverses(s, rows)
		for i := range weights {
			if m.Truncate > 0 && (m.Estimand == query.ATE || rows.arm[i] == 0) {
				weights[i] = min(weights[i], s.Cuts[0])
			}
		}
		return weights, nil
	case query.Stratified:
		weights = make([]float64, len(rows.linear))
		all := float64(s.Arms[0] + s.Arms[1])
		for i, linear := range rows.linear {
			in := s.Strata[stratum(s.Cuts, m.chance(linear))]
			here, arm := float64(in[rows.arm[i]]), float64(s.Arms[rows.arm[i]])
			if m.Estimand == query.ATE {
				weights[i] = float64(in[0]+in[1]) / all * arm / here
			} else {
				weights[i] = float64(in[1]) / float64(s.Arms[1]) * arm / here
			}
		}
		return weights, nil
	}
	clusters = pairs(rows, s.Caliper)
	weights = make([]float64, len(clusters))
	for i, pair := range clusters {
		if pair >= 0 {
			weights[i] = 1
		}
	}
	return weights, clusters
}

// pairs matches treated rows of one site to untreated ones by their linear predictors,
// greedily and each once: the treated from the highest predictor down, the earlier row first among
// equals, and for each the nearest untreated row that is left, within the caliper unless it
// is 0. Of two equally near the one not below is taken, and of equal ones below the last,
// not below the first. It returns the number of each row's pair, -1 for none.
func pairs(rows scoredRows, caliper float64) []int {
	var treated, others []int
	pair := make([]int, len(rows.linear))
	for i, arm := range rows.arm {
		pair[i] = -1
		if arm == 1 {
			treated = append(treated, i)
		} else {
			others = append(others, i)
		}
	}
	at := func(i int) float64 { return rows.linear[i] }
	slices.SortStableFunc(treated, func(a, b int) int { return cmp.Compare(at(b), at(a)) })
	slices.SortStableFunc(others, func(a, b int) int { return cmp.Compare(at(a), at(b)) })
	// above and below lead to the next one that is left, one place shifted: below[0] and
	// above[len] stand for none.
	above, below := make([]int, len(others)+1), make([]int, len(others)+1)
	for k := range above {
		above[k], below[k] = k, k
	}
	number := 0
	for _, t := range treated {
		from := sort.Search(len(others), func(k int) bool { return at(others[k]) >= at(t) })
		up, down := left(above, from), left(below, from)-1
		best := up
		if up == len(others) || down >= 0 && at(t)-at(others[down]) < at(others[up])-at(t) {
			best = down
		}
		if best < 0 {
			break // nobody is left
		}
		distance := at(others[best]) - at(t)
		if caliper > 0 && max(distance, -distance) > caliper {
			continue
		}
		pair[t], pair[others[best]] = number, number
		number++
		above[best], below[best+1] = best+1, best
	}
	return pair
}

// left follows links to one that leads to itself, and shortens the way.
func left(links []int, from int) int {
	end := from
	for links[end] != end {
		end = links[end]
	}
	for links[from] != end {
		links[from], from = end, links[from]
	}
	return end
}

func (m propensity) addBalance(s propensityState, f *Frame, rows scoredRows, weights []float64, sums *Sums) error {
	p, row := m.score.matrix.Width(), -1
	return m.score.rows(f, func(x []float64, _, _, _ float64) {
		row++
		m.score.linear(s.Score, x) // scales x
		w, at := weights[row], rows.arm[row]*balanceNumbers*(1+p)
		if w > 0 {
			sums.Add(at+balanceUsed, 1)
		}
		sums.Add(at+balanceWeight, w)
		sums.Add(at+balanceSquare, w*w)
		for j, z := range x {
			column := at + balanceNumbers*(1+j)
			sums.Add(column, z)
			sums.Add(column+1, z*z)
			sums.Add(column+2, w*z)
		}
	})
}
