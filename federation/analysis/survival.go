package analysis

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mathext"

	"github.com/trialmesh/trialmesh/protocol/formula"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// MaxPoints bounds the points of a [Grid].
const MaxPoints = 20_000

// Grid is the public grid of times of a survival analysis: 0, Width, 2·Width, up to
// Horizon, in the unit of the times. A time between two points counts as the later one,
// so that with a Width of 1 whole days stay what they are and the answer is R's, and with
// one of 30 the answer is R's for ceiling(time/30)*30. What lies beyond the Horizon, or the
// first point after it, is censored there: pmin(time, horizon).
type Grid struct {
	Width   float64 `json:"width"`
	Horizon float64 `json:"horizon"`
}

// onPoint is how near a time must be to a point, in widths, to be taken for it: a time
// of 1.971 on a grid of 0.001 is its 1971st but for rounding.
const onPoint = 1e-6

func (g Grid) validate() error {
	if !(g.Width > 0) || !(g.Horizon >= g.Width) || math.IsInf(g.Horizon, 0) {
		return errors.New("the grid of times needs a width above 0 and a horizon that is no smaller")
	}
	if g.Horizon/g.Width > MaxPoints-1 {
		return fmt.Errorf("the grid of times has more than %d points: make the width larger or the horizon smaller", MaxPoints)
	}
	return nil
}

// points is the number of points, with that of time 0.
func (g Grid) points() int { return g.after(g.Horizon) + 1 }

// End is the time of the last point, at which whoever is still watched is censored.
func (g Grid) End() float64 { return g.time(g.points() - 1) }

// Outlasts reports whether a time lies beyond the last point.
func (g Grid) Outlasts(t float64) bool { return g.after(t) >= g.points() }

// after returns the first point that is not before a time.
func (g Grid) after(t float64) int {
	widths := t / g.Width
	if nearest := math.Round(widths); math.Abs(widths-nearest) <= onPoint {
		return int(nearest)
	}
	return int(math.Ceil(widths))
}

func (g Grid) time(point int) float64 { return float64(point) * g.Width }

// survival is what a formula says of times, events and strata, checked.
type survival struct {
	grid    Grid
	start   string // "" if everybody is at risk from time 0 on
	stop    string
	event   string
	strata  []Column
	columns []Column // all that the formula names
}

// newSurvival checks a formula's response and strata.
func newSurvival(f formula.Formula, declared []Column, g Grid) (survival, error) {
	s := survival{grid: g}
	if err := g.validate(); err != nil {
		return s, err
	}
	if f.Response == nil || f.Response.Function != formula.Surv {
		return s, errors.New("the formula needs Surv(time, event) or Surv(start, stop, event) before ~")
	}
	for _, name := range f.Columns() {
		i := slices.IndexFunc(declared, func(c Column) bool { return c.Name == name })
		if i < 0 {
			return s, fmt.Errorf("the column %s is not declared", name)
		}
		s.columns = append(s.columns, declared[i])
	}
	names := f.Response.Columns
	s.stop, s.event = names[len(names)-2], names[len(names)-1]
	if len(names) == 3 {
		s.start = names[0]
	}
	for _, c := range s.columns {
		switch c.Name {
		case s.event:
			if c.Kind != Logical {
				return s, fmt.Errorf("the column %s must be logical: true for an event, false for a censored time", c.Name)
			}
		case s.start, s.stop:
			if c.Kind != Numeric || c.Low < 0 {
				return s, fmt.Errorf("the column %s must be numeric, from 0 on: times are not negative", c.Name)
			}
		}
	}
	for _, v := range f.Strata {
		c, err := columnOf(v, declared)
		if err != nil {
			return s, err
		}
		if c.levels() == nil {
			return s, fmt.Errorf("strata(%s): declare the column as a factor with its levels", v)
		}
		s.strata = append(s.strata, c)
	}
	return s, nil
}

// Times are when persons come under watch and leave it, and whether with an event.
func (s survival) Times() []string {
	if s.start == "" {
		return []string{s.stop, s.event}
	}
	return []string{s.start, s.stop, s.event}
}

// groups is the number of strata, with those that nobody is in.
func (s survival) groups() int { return cells(s.strata) }

// cells is the number of combinations of the levels of factors.
func cells(factors []Column) int {
	n := 1
	for _, c := range factors {
		n *= len(c.levels())
		if n > MaxPoints {
			return n // more than any table holds
		}
	}
	return n
}

// name returns what R calls a stratum.
func (s survival) name(group int) string {
	name := ""
	for i := len(s.strata) - 1; i >= 0; i-- {
		levels := s.strata[i].levels()
		name = ", " + s.strata[i].Name + "=" + levels[group%len(levels)] + name
		group /= len(levels)
	}
	return name[min(2, len(name)):]
}

// spell is the time that a row is watched for: after the point start, -1 for from the
// beginning, to the point stop.
type spell struct {
	start, stop int
	event       bool
	group       int
}

// reader returns a function that reads row i of a frame; false for a row that ends before
// it begins, which R leaves out too.
func (s survival) reader(f *Frame) func(i int) (spell, bool) {
	starts, stops, events := f.Values(s.start), f.Values(s.stop), f.Values(s.event)
	strata := make([][]float64, len(s.strata))
	for i, c := range s.strata {
		strata[i] = f.Values(c.Name)
	}
	last := s.grid.points() - 1
	return func(i int) (spell, bool) {
		out := spell{start: -1, stop: s.grid.after(stops[i]), event: events[i] == 1}
		if s.start != "" {
			if stops[i] <= starts[i] {
				return spell{}, false
			}
			if out.start = min(s.grid.after(starts[i]), last); out.start == 0 {
				out.start = -1
			}
		}
		if out.stop > last {
			out.stop, out.event = last, false
		}
		for k, c := range s.strata {
			out.group = out.group*len(c.levels()) + int(strata[k][i])
		}
		return out, true
	}
}

// maxTally is how many numbers a table of counts may have, over all its rounds.
const maxTally = 10 * MaxNumbers

// tally is a table of counts that is added up in as many rounds as it needs: a part of a
// method's state.
type tally struct {
	Taken  int     `json:"taken"`            // numbers that are known
	Places []int   `json:"places,omitempty"` // those of them that are not 0
	Counts []int64 `json:"counts,omitempty"` // and what they are
}

// check reports a tally that is not of a table of the given size.
func (t tally) check(size int) error {
	ok := 0 <= t.Taken && t.Taken <= size && len(t.Places) == len(t.Counts)
	for i, place := range t.Places {
		ok = ok && 0 <= place && place < t.Taken && (i == 0 || t.Places[i-1] < place)
	}
	if !ok {
		return errState
	}
	return nil
}

// errState reports a state that no round of the method leads to.
var errState = errors.New("analysis: the state is of another model")

// window is how many numbers of a table of the given size the next round takes.
func (t tally) window(size, limit int) int { return max(0, min(size-t.Taken, limit)) }

// plus returns the tally with the numbers of a round behind it.
func (t tally) plus(numbers []float64, rows int64) (tally, error) {
	out := tally{Taken: t.Taken + len(numbers), Places: slices.Clone(t.Places), Counts: slices.Clone(t.Counts)}
	for i, v := range numbers {
		if v != math.Trunc(v) || v < 0 || v > float64(rows) {
			return t, ErrInconsistent
		}
		if v > 0 {
			out.Places, out.Counts = append(out.Places, t.Taken+i), append(out.Counts, int64(v))
		}
	}
	return out, nil
}

// test returns a statistic with the probability of a larger one by chance.
func test(statistic float64, df int) query.Test {
	t := query.Test{Statistic: statistic, DF: df, P: 1}
	if df > 0 && statistic > 0 {
		t.P = mathext.GammaIncRegComp(float64(df)/2, statistic/2)
	}
	return t
}
