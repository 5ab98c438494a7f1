package analysis

import (
	"fmt"
	"math"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// Next goes from stage to stage.
func (c comparison) Next(s comparisonState, pooled Pooled) (comparisonState, any, error) {
	if err := c.check(s); err != nil {
		return s, nil, err
	}
	var err error
	switch s.Stage {
	case comparingScore:
		if s.Score, _, err = c.score.Next(s.Score, pooled); err == nil && s.Score.Stage == stageOutcome {
			s.Stage, s.Outside = comparingTable, c.Adjustment == query.Matching && c.manyOutside(s.Score)
		}
		return s, nil, err
	case comparingTable:
		if s.Table, err = s.Table.plus(pooled.Numbers, pooled.Rows); err != nil || s.Table.Taken < c.size(s) {
			return s, nil, err
		}
		return c.counted(s, pooled)
	case comparingWeights:
		s, err = c.weighted(s, pooled)
		return s, nil, err
	case comparingPairs:
		return c.paired(s, pooled)
	}
	squares := pooled.Numbers[0]
	if squares < 0 {
		return s, nil, ErrInconsistent
	}
	s.Result.Adjusted.Hazard = told(s.Result.Adjusted.Hazard, s.Log, s.Var, ptr(squares*s.Var*s.Var))
	return s, s.Result, nil
}

// few reports whether something must not be told of so many persons.
func (c comparison) few(n int64) bool { return 0 < n && n < c.MinCell }

// manyOutside reports whether those in no pair are none or enough in each arm, and some in one.
func (c comparison) manyOutside(s propensityState) bool {
	outside := [2]int64{s.Arms[0] - s.Used[0], s.Arms[1] - s.Used[1]}
	return !c.few(outside[0]) && !c.few(outside[1]) && outside[0]+outside[1] > 0
}

// counted makes of the complete table what it tells.
func (c comparison) counted(s comparisonState, pooled Pooled) (comparisonState, any, error) {
	parts := make([][2]lifeTable, c.parts(s))
	for i := range parts {
		parts[i] = [2]lifeTable{newLifeTable(c.grid.points()), newLifeTable(c.grid.points())}
	}
	var total int64
	for i, place := range s.Table.Places {
		event, point := place%2 == 1, place/2%c.grid.points()
		cell := place / 2 / c.grid.points()
		parts[cell/2][cell%2].add(point, event, s.Table.Counts[i])
		total += s.Table.Counts[i]
	}
	within := pooled.Rows
	if c.Adjustment == query.Matching && !s.Outside {
		within = s.Score.Used[0] + s.Score.Used[1]
	}
	if total != within {
		return s, nil, ErrInconsistent
	}
	s.Table, s.Result = tally{}, c.scoreResult(s.Score, pooled)
	if c.Adjustment == query.Matching {
		return c.matched(s, parts)
	}
	whole := [2]lifeTable{newLifeTable(c.grid.points()), newLifeTable(c.grid.points())}
	var strata [][]armTimes
	for k, part := range parts {
		_, events := part[0].total()
		_, more := part[1].total()
		if c.Adjustment == query.Stratified && c.few(events+more) {
			return s, nil, NoResult(fmt.Sprintf("stratum %d of %d has fewer than %d events: ask for fewer strata", k+1, c.Strata, c.MinCell))
		}
		strata = append(strata, pointwise(part))
		whole[0].merge(part[0])
		whole[1].merge(part[1])
	}
	if err := c.enough(whole); err != nil {
		return s, nil, err
	}
	crude, err := c.compared(whole)
	if err != nil {
		return s, nil, err
	}
	s.Result.Crude = crude
	if c.Adjustment == query.Stratified {
		h, log, variance, err := hazardOf(strata, c.Ties)
		s.Result.Adjusted.Hazard = told(h, log, variance, nil)
		return s, s.Result, err
	}
	if s.Times, err = c.merged(whole); err != nil {
		return s, nil, err
	}
	if 4*len(s.Times) > MaxNumbers {
		return s, nil, NoResult(fmt.Sprintf("%d times are too many to be weighted: make the width of the grid larger", len(s.Times)))
	}
	s.Stage = comparingWeights
	return s, nil, nil
}

// matched compares those in pairs, and with them everybody if those in none are enough.
func (c comparison) matched(s comparisonState, parts [][2]lifeTable) (comparisonState, any, error) {
	if err := c.enough(parts[0]); err != nil {
		return s, nil, err
	}
	adjusted, err := c.compared(parts[0])
	if err != nil {
		return s, nil, err
	}
	s.Result.Adjusted = *adjusted
	everybody := s.Score.Arms[0] == s.Score.Used[0] && s.Score.Arms[1] == s.Score.Used[1]
	switch {
	case everybody:
		crude := *adjusted
		s.Result.Crude = &crude
	case s.Outside && c.enough(parts[1]) == nil:
		whole := [2]lifeTable{newLifeTable(c.grid.points()), newLifeTable(c.grid.points())}
		for _, part := range parts {
			whole[0].merge(part[0])
			whole[1].merge(part[1])
		}
		if s.Result.Crude, err = c.compared(whole); err != nil {
			return s, nil, err
		}
	}
	if c.ByPair {
		s.Stage = comparingPairs
		return s, nil, nil
	}
	s.Stage, s.Times = comparingScores, pointwise(parts[0])
	return c.fit(s)
}

// fit estimates by Times; the robust variance is left, if there is an estimate.
func (c comparison) fit(s comparisonState) (comparisonState, any, error) {
	h, log, variance, err := hazardOf([][]armTimes{s.Times}, c.Ties)
	if err != nil {
		return s, nil, err
	}
	s.Result.Adjusted.Hazard, s.Log, s.Var = h, log, variance
	if !(variance > 0) {
		return s, s.Result, nil
	}
	return s, nil, nil
}

// weighted takes the weights of the times and estimates.
func (c comparison) weighted(s comparisonState, pooled Pooled) (comparisonState, error) {
	times := make([]armTimes, len(s.Times))
	for i, t := range s.Times {
		n := pooled.Numbers[4*i : 4*i+4]
		for _, v := range n {
			if v < 0 {
				return s, ErrInconsistent
			}
		}
		times[i] = armTimes{Last: t.Last, Events: t.Events, Dead: [2]float64{n[1], n[3]}, Gone: [2]float64{n[0] + n[1], n[2] + n[3]}}
	}
	s.Times, s.Stage = times, comparingScores
	s, result, err := c.fit(s)
	if err == nil && result != nil {
		return s, NoResult("the weighted model has no estimate: all events are at times when one arm alone is watched")
	}
	return s, err
}

func (c comparison) paired(s comparisonState, pooled Pooled) (comparisonState, any, error) {
	most := float64(s.Score.Used[0])
	for arm, n := range pooled.Numbers {
		if n < 0 || n > most || n != math.Trunc(n) {
			return s, nil, ErrInconsistent
		}
		if c.few(int64(n)) {
			return s, nil, NoResult(fmt.Sprintf("%s had the event while the other of the pair was watched in fewer than %d pairs", armNames[arm], c.MinCell))
		}
	}
	h, log, variance, err := pairHazard(pooled.Numbers[0], pooled.Numbers[1])
	s.Result.Adjusted.Hazard = told(h, log, variance, nil)
	return s, s.Result, err
}

// enough refuses arms with few events, but some, or few persons without.
func (c comparison) enough(arms [2]lifeTable) error {
	for arm, l := range arms {
		if n, events := l.total(); c.few(events) || c.few(n-events) {
			return NoResult(fmt.Sprintf("fewer than %d of %s had the event, or did not", c.MinCell, armNames[arm]))
		}
	}
	return nil
}

// pointwise returns a table's times, of those who count one each.
func pointwise(arms [2]lifeTable) []armTimes {
	var out []armTimes
	for point := range arms[0].events {
		t := armTimes{Last: point}
		for arm, l := range arms {
			t.Events += l.events[point]
			t.Dead[arm] = float64(l.events[point])
			t.Gone[arm] = float64(l.events[point] + l.censored[point])
		}
		if t.Gone[0]+t.Gone[1] > 0 {
			out = append(out, t)
		}
	}
	return out
}

// merged joins a table's times until events and censored of each arm are none or as many as
// may be told of; what is left at the end goes with the last.
func (c comparison) merged(arms [2]lifeTable) ([]armTimes, error) {
	safe := func(t armTimes) bool {
		for arm := range t.Dead {
			if c.few(int64(t.Dead[arm])) || c.few(int64(t.Gone[arm]-t.Dead[arm])) {
				return false
			}
		}
		return true
	}
	var out []armTimes
	open := true
	for _, t := range pointwise(arms) {
		if open || safe(out[len(out)-1]) {
			out, open = append(out, t), false
			continue
		}
		out[len(out)-1] = out[len(out)-1].and(t)
	}
	for len(out) > 1 && !safe(out[len(out)-1]) {
		last := out[len(out)-1]
		out = out[:len(out)-1]
		out[len(out)-1] = out[len(out)-1].and(last)
	}
	if len(out) == 0 || !safe(out[0]) {
		return nil, NoResult(fmt.Sprintf("fewer than %d persons would be told of at some time", c.MinCell))
	}
	return out, nil
}

// and returns the time with the next one merged into it.
func (t armTimes) and(next armTimes) armTimes {
	t.Last, t.Events = next.Last, t.Events+next.Events
	for arm := range t.Dead {
		t.Dead[arm] += next.Dead[arm]
		t.Gone[arm] += next.Gone[arm]
	}
	return t
}
