package analysis

import (
	"cmp"
	"math"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/formula"
)

// countsOneIn is how many in each set of rows the exponentials of offsets must leave, at least: one in so
// many, or as many as the threshold. A log hazard that persons differ in by a standard deviation of 1 does.
const countsOneIn = 8

// mostLog bounds offsets, of which two can be subtracted.
const mostLog = math.MaxFloat64 / 4

// watch names the columns of a survival response, all "" for any other; start is "" where watches begin at 0.
type watch struct{ start, stop string }

func watchOf(r *formula.Variable) (w watch) {
	if r == nil || r.Function != formula.Surv {
		return w
	}
	last := len(r.Columns) - 1
	w.stop = r.Columns[last-1]
	if last == 2 {
		w.start = r.Columns[0]
	}
	return w
}

// FewByOffset reports whether an offset leaves few of a set of least rows or more that a model sums e to the
// power of it over: the rows of a stratum, and of a survival model those at risk as long as somebody is, as
// other sites may have an event then. They are as many as the sum is of the greatest: few with a great offset,
// beside whom nobody counts, have all of the model. A logistic model has no such sum; see [Products.FewAtStep].
func (p Products) FewByOffset(f *Frame, least int) bool {
	if p.steps {
		return false
	}
	rows := make([]int, f.Len())
	for i := range rows {
		rows[i] = i
	}
	logs := p.offsets.of(f, rows, func(a, b float64) float64 { return a + b })
	if logs == nil {
		return false
	}
	for i, w := range p.weightsOf(f, rows) {
		logs[i] = max(min(logs[i]+math.Log(w), mostLog), -mostLog)
	}
	few := func(s sumOfExp) bool {
		return s.rows >= least && s.sum < min(float64(least), float64(s.rows)/countsOneIn)
	}
	for _, stratum := range p.strata(f, rows) {
		if p.anyRiskSet(f, stratum, logs, few) {
			return true
		}
	}
	return false
}

// strata returns the rows of each stratum.
func (p Products) strata(f *Frame, rows []int) [][]int {
	var columns [][]float64
	for _, name := range p.by {
		if values := f.Values(name); values != nil {
			columns = append(columns, values)
		}
	}
	compare := func(a, b int) int {
		for _, values := range columns {
			if c := cmp.Compare(values[a], values[b]); c != 0 {
				return c
			}
		}
		return 0
	}
	slices.SortStableFunc(rows, compare)
	var out [][]int
	for i, row := range rows {
		if i == 0 || compare(rows[i-1], row) != 0 {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], row)
	}
	return out
}

// anyRiskSet reports whether something is so of those at risk as long as somebody is, or of all without times.
func (p Products) anyRiskSet(f *Frame, rows []int, logs []float64, is func(sumOfExp) bool) bool {
	stop, start := f.Values(p.watch.stop), f.Values(p.watch.start)
	set := newRiskSet(len(rows))
	if stop == nil {
		for at, row := range rows {
			set.put(at, sumOfExp{1, logs[row], 1})
		}
		return is(set.all())
	}
	ends, begins := slices.Clone(rows), slices.Clone(rows)
	latest := func(times []float64) func(a, b int) int {
		return func(a, b int) int { return cmp.Compare(times[b], times[a]) }
	}
	slices.SortFunc(ends, latest(stop))
	if start == nil {
		begins = nil
	}
	slices.SortFunc(begins, latest(start))
	place := make(map[int]int, len(rows))
	for at, row := range ends {
		place[row] = at
	}
	for added, gone := 0, 0; added < len(ends) || gone < len(begins); { // back in time, to where the set changes next
		now := math.Inf(-1)
		if added < len(ends) {
			now = stop[ends[added]]
		}
		if gone < len(begins) {
			now = max(now, start[begins[gone]])
		}
		for ; added < len(ends) && stop[ends[added]] >= now; added++ {
			set.put(added, sumOfExp{1, logs[ends[added]], 1})
		}
		for ; gone < len(begins) && start[begins[gone]] >= now; gone++ {
			set.put(place[begins[gone]], sumOfExp{})
		}
		if is(set.all()) {
			return true
		}
	}
	return false
}

// sumOfExp is a sum of exponentials over some rows: of most, the greatest exponent, times sum.
type sumOfExp struct {
	rows      int
	most, sum float64
}

func (s sumOfExp) plus(o sumOfExp) sumOfExp {
	if s.rows == 0 || o.rows == 0 {
		s.most += o.most // one of them is 0
		return sumOfExp{s.rows + o.rows, s.most, s.sum + o.sum}
	}
	most := max(s.most, o.most)
	return sumOfExp{s.rows + o.rows, most, s.sum*math.Exp(s.most-most) + o.sum*math.Exp(o.most-most)}
}

// riskSet is a sum over rows that come and go: a tree, whose nodes are sums of two each.
type riskSet []sumOfExp

func newRiskSet(rows int) riskSet { return make(riskSet, 2*max(rows, 1)) }

func (t riskSet) put(at int, s sumOfExp) {
	at += len(t) / 2
	for t[at] = s; at > 1; at /= 2 {
		t[at/2] = t[at&^1].plus(t[at|1])
	}
}

func (t riskSet) all() sumOfExp { return t[1] }
