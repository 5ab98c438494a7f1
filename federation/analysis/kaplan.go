package analysis

import (
	"errors"
	"fmt"

	"github.com/trialmesh/trialmesh/protocol/formula"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// KaplanMeier estimates survival by arm, to the numbers of R's survfit and survdiff on the
// pooled data: curve, median, restricted mean and log-rank test. Its result is a
// *[query.Survival].
//
// What is summed is one table: events and censored times for each point of the grid, arm
// and stratum. All of the answer is made of that table, so nothing else is shown, and a
// table too large for one round takes several.
//
// The table shows that somebody, somewhere, had the event on a day. On a grid of days that
// is what a published curve shows. A coarser Grid shows less to everybody who sees the
// sum; MinAtRisk shows less to whoever reads the result.
//
// Source: R, package survival, help pages of survfit.formula, print.survfit and survdiff.
type KaplanMeier struct {
	// Formula is Surv(time, event) ~ arm, or ~ 1 for all persons together. The test is
	// made within strata(…), the curves are over all of them, as in R's survdiff and
	// survfit.
	Formula formula.Formula
	Grid    Grid

	// Restriction is the time to which means are restricted, at most the Grid's Horizon;
	// 0 for the Horizon.
	Restriction float64

	// MinAtRisk joins steps of the curves so that each, and what comes after the last, is of so
	// many events at least, and of so many censored or none, and before each so many are at
	// risk. The estimates at the points that are left are the same. 0 and 1 leave all in.
	MinAtRisk int

	// Declared are the columns that the formula names, and perhaps others.
	Declared []Column
}

// New checks the question and returns it as a method.
func (m KaplanMeier) New() (Iteration, error) {
	k := kaplanMeier{KaplanMeier: m}
	var err error
	if k.survival, err = newSurvival(m.Formula, m.Declared, m.Grid); err != nil {
		return nil, fmt.Errorf("survival: %w", err)
	}
	if err := k.readArms(); err != nil {
		return nil, fmt.Errorf("survival: %w", err)
	}
	if k.Restriction == 0 {
		k.Restriction = m.Grid.Horizon
	}
	switch {
	case k.start != "":
		return nil, errors.New("survival: the curves are of Surv(time, event), without a start")
	case !(k.Restriction > 0) || k.Restriction > m.Grid.Horizon:
		return nil, errors.New("survival: the restriction must lie above 0 and within the horizon")
	case m.MinAtRisk < 0 || m.MinAtRisk > MaxPersons:
		return nil, fmt.Errorf("survival: minAtRisk must be 0 to %d", MaxPersons)
	case k.groups()*len(k.arms) > maxTally || k.size() > maxTally:
		return nil, fmt.Errorf("survival: points of the grid times arms times strata times 2 must be at most %d: make the width of the grid larger", maxTally)
	}
	return Iterate(k), nil
}

func (k *kaplanMeier) readArms() error {
	f := k.Formula
	switch {
	case len(f.Offsets) > 0 || len(f.Terms) > 1 || len(f.Terms) == 1 && len(f.Terms[0]) > 1:
		return errors.New("the right side must be 1 or one factor, and strata")
	case len(f.Terms) == 0:
		k.arms = []string{""}
		return nil
	}
	c, err := columnOf(f.Terms[0][0], k.Declared)
	if err != nil {
		return err
	}
	if k.arms = c.levels(); k.arms == nil {
		return fmt.Errorf("%s: declare the column as a factor with its levels", f.Terms[0])
	}
	k.arm = c.Name
	return nil
}

// kaplanMeier is a checked question. Its table holds, for each stratum, arm and point,
// the censored and the events.
type kaplanMeier struct {
	KaplanMeier
	survival
	arm  string // "" if there are no arms
	arms []string
}

func (k kaplanMeier) Columns() []Column { return k.columns }
func (k kaplanMeier) Parameters() int   { return len(k.arms) }
func (k kaplanMeier) Start() tally      { return tally{} }
func (k kaplanMeier) size() int         { return k.groups() * len(k.arms) * k.grid.points() * 2 }
func (k kaplanMeier) Numbers(t tally) int {
	return t.window(k.size(), MaxNumbers)
}

func (k kaplanMeier) place(group, arm, point int, event bool) int {
	place := ((group*len(k.arms)+arm)*k.grid.points() + point) * 2
	if event {
		place++
	}
	return place
}

func (k kaplanMeier) Site(t tally, f *Frame, sums *Sums) error {
	if err := t.check(k.size()); err != nil {
		return err
	}
	read, arms := k.reader(f), f.Values(k.arm)
	for i := range f.Len() {
		row, _ := read(i)
		arm := 0
		if k.arm != "" {
			arm = int(arms[i])
		}
		if at := k.place(row.group, arm, row.stop, row.event) - t.Taken; 0 <= at && at < sums.Len() {
			sums.Add(at, 1)
		}
	}
	return nil
}

func (k kaplanMeier) Next(t tally, pooled Pooled) (tally, any, error) {
	if err := t.check(k.size()); err != nil {
		return t, nil, err
	}
	t, err := t.plus(pooled.Numbers, pooled.Rows)
	if err != nil || t.Taken < k.size() {
		return t, nil, err
	}
	if pooled.Rows == 0 {
		return t, nil, NoResult("there is nobody without a missing value")
	}
	result, err := k.result(t, pooled)
	return t, result, err
}

// result makes the answer of the complete table.
func (k kaplanMeier) result(t tally, pooled Pooled) (any, error) {
	tables := make([][]lifeTable, k.groups()) // by stratum and arm
	for g := range tables {
		tables[g] = make([]lifeTable, len(k.arms))
		for a := range tables[g] {
			tables[g][a] = newLifeTable(k.grid.points())
		}
	}
	var total int64
	for i, place := range t.Places {
		event, point := place%2 == 1, place/2%k.grid.points()
		cell := place / 2 / k.grid.points()
		tables[cell/len(k.arms)][cell%len(k.arms)].add(point, event, t.Counts[i])
		total += t.Counts[i]
	}
	if total != pooled.Rows {
		return nil, ErrInconsistent
	}
	r := &query.Survival{Formula: k.Formula.String(), N: pooled.Rows, LeftOut: query.Omitting(pooled.Omitted), Restriction: k.Restriction}
	for a, name := range k.arms {
		whole := newLifeTable(k.grid.points())
		for g := range tables {
			whole.merge(tables[g][a])
		}
		r.Arms = append(r.Arms, k.curve(name, whole))
	}
	if len(k.arms) > 1 {
		r.LogRank = logRank(tables)
	}
	return r, nil
}
