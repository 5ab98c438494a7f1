package analysis

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// Next takes a step of the fit, counts, or takes a step of each thing that is left.
func (m prediction) Next(s predictionState, pooled Pooled) (predictionState, any, error) {
	var err error
	switch {
	case s.Model == nil:
		s.Fit, s.Model, err = fitted(m.model, s.Fit, pooled, "event")
		return s, nil, err
	case !s.Counted:
		s, err = m.counted(s, pooled)
		return s, nil, err
	}
	next, numbers := s, pooled.Numbers
	for _, part := range m.sections(s) {
		own := pooled
		own.Numbers = numbers[:part.numbers]
		if err := part.next(&next, own); err != nil {
			return s, nil, err
		}
		numbers = numbers[part.numbers:]
	}
	if len(m.sections(next)) > 0 {
		return next, nil, nil
	}
	n := float64(s.Cases + s.Others)
	return next, &query.Prediction{
		Model: *next.Model, N: s.Cases + s.Others, Cases: s.Cases,
		AUC:   area{m.MinCell}.result(next.Area, s.Cases, s.Others),
		Brier: next.Brier / n, MeanRisk: next.Risk / n,
		Intercept: next.Intercept.Found, Slope: next.Slope.Found, Groups: next.Groups,
	}, nil
}

func (m prediction) counted(s predictionState, pooled Pooled) (predictionState, error) {
	for i, of := range []*int64{&s.Cases, &s.Others} {
		n := pooled.Numbers[judgedCases+i]
		if n < 0 || n != math.Trunc(n) || n > float64(pooled.Rows) {
			return s, ErrInconsistent
		}
		*of = int64(n)
	}
	if least := max(m.MinCell, 1); s.Cases < least || s.Others < least {
		return s, NoResult(fmt.Sprintf("among those that the model is judged by, %d or more are needed with the event and without", least))
	}
	s.Brier, s.Risk, s.Counted = pooled.Numbers[judgedBrier], pooled.Numbers[judgedRisk], true
	s.Area = area{m.MinCell}.start(s.Cases, s.Others)
	return s, nil
}

// search is the one for the quantiles between groups.
func (m prediction) search() search {
	s := search{values: []Column{{Name: "risk", Kind: Numeric, High: 1}}, least: m.MinCell}
	for k := 1; k < m.Prediction.Groups; k++ {
		s.probabilities = append(s.probabilities, float64(k)/float64(m.Prediction.Groups))
	}
	return s
}

func (m prediction) cuts(s *predictionState, pooled Pooled) error {
	search := m.search()
	next, done, err := search.next(s.Search, pooled.Numbers)
	s.Search = next
	if err != nil || !done {
		return err
	}
	s.Cuts, err = lowerEnds(search.quantiles(next, 0))
	s.Search = searchState{}
	return err
}

// lowerEnds returns quantiles, the lower end where one is a range.
func lowerEnds(quantiles []query.Quantile) ([]float64, error) {
	var out []float64
	for _, q := range quantiles {
		switch {
		case q.Value != nil:
			out = append(out, *q.Value)
		case q.Low != nil:
			out = append(out, *q.Low)
		default:
			return nil, ErrInconsistent
		}
	}
	slices.Sort(out) // a range may begin below a value before it
	return out, nil
}

// groups ends the groups, each joined to the one below while either has a small cell.
func (m prediction) groups(s *predictionState, pooled Pooled) error {
	small := func(g query.CalibrationGroup) bool {
		return 0 < g.Events && g.Events < m.MinCell || 0 < g.N-g.Events && g.N-g.Events < m.MinCell
	}
	join := func(a, b query.CalibrationGroup) query.CalibrationGroup {
		return query.CalibrationGroup{Low: a.Low, High: b.High, N: a.N + b.N, Events: a.Events + b.Events, Expected: a.Expected + b.Expected}
	}
	total := int64(0)
	for k := range m.Prediction.Groups {
		numbers := pooled.Numbers[groupNumbers*k:]
		counts, err := countsOf(numbers[:2], int64(numbers[groupOthers]+numbers[groupEvents]))
		if err != nil {
			return err
		}
		g := query.CalibrationGroup{High: 1, N: counts[0] + counts[1], Events: counts[groupEvents], Expected: numbers[groupRisk]}
		if k > 0 {
			g.Low = s.Cuts[k-1]
		}
		if k < len(s.Cuts) {
			g.High = s.Cuts[k]
		}
		total += g.N
		if last := len(s.Groups) - 1; last >= 0 && (g.N == 0 || s.Groups[last].N == 0 || small(s.Groups[last])) {
			s.Groups[last] = join(s.Groups[last], g)
			continue
		}
		s.Groups = append(s.Groups, g)
	}
	if total != s.Cases+s.Others {
		return ErrInconsistent
	}
	for last := len(s.Groups) - 1; last > 0 && small(s.Groups[last]); last = len(s.Groups) - 1 {
		s.Groups = append(s.Groups[:last-1], join(s.Groups[last-1], s.Groups[last]))
	}
	return nil
}

// step takes a step of a model of calibration, whose last coefficient is what is wanted. If
// there is none, as where all risks are the same, the rest is told without it.
func (s *modelState) step(g glm, pooled Pooled) error {
	next, result, err := g.Next(s.State, pooled)
	var no NoResult
	if errors.As(err, &no) {
		s.Done = true
		return nil
	}
	s.State = next
	if r, _ := result.(*query.Regression); r != nil {
		s.Done = true
		if c := r.Coefficients[len(r.Coefficients)-1]; r.Converged && c.Estimate != nil {
			s.Found = &c
		}
	}
	return err
}
