package analysis

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mathext"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// Incidence gives the rate of events in the persons' time at risk with exact limits, over
// all and by the levels of a factor. Its result is a *[query.Rates].
//
// Source: Garwood, "Fiducial limits for the Poisson distribution", Biometrika 28 (1936).
type Incidence struct {
	Events Column // logical, or numeric with whole numbers from 0
	Time   Column // numeric, from 0

	// By is a factor or logical column that makes groups, nil for none.
	By *Column

	// MinCell is the least number of events, besides 0, that may be shown of a group or
	// of all; fewer leave the question without an answer. 0 and 1 ask for nothing.
	MinCell int64
}

// New checks the columns and returns the method.
func (m Incidence) New() (Iteration, error) {
	if err := numeric(m.Time); err != nil {
		return nil, fmt.Errorf("incidence: %w", err)
	}
	if m.Time.Low < 0 {
		return nil, errors.New("incidence: time at risk must not be below 0: raise the column's low")
	}
	if m.Events.Kind == Factor || m.Events.Kind == Numeric && m.Events.Low < 0 {
		return nil, errors.New("incidence: events must be logical, or a number from 0")
	}
	r := rates{name: "incidence", events: m.Events, time: &m.Time, by: m.By, least: m.MinCell}
	return r.method()
}

// Prevalence gives the share of persons with a property, with the limits of Wilson and of
// Clopper and Pearson, over all and by the levels of a factor. Its result is a
// *[query.Rates].
//
// Source: Brown, Cai and DasGupta, "Interval estimation for a binomial proportion",
// Statistical Science 16 (2001).
type Prevalence struct {
	Property Column // logical

	// By is a factor or logical column that makes groups, nil for none.
	By *Column

	// MinCell is the least number of persons, besides 0, with the property or without it,
	// that may be shown of a group or of all; fewer leave the question without an
	// answer. 0 and 1 ask for nothing.
	MinCell int64
}

// New checks the columns and returns the method.
func (m Prevalence) New() (Iteration, error) {
	if m.Property.Kind != Logical {
		return nil, errors.New("prevalence: the property must be a logical column")
	}
	r := rates{name: "prevalence", events: m.Property, by: m.By, least: m.MinCell}
	return r.method()
}

type rates struct {
	name   string
	events Column
	time   *Column // nil for a prevalence
	by     *Column
	least  int64
}

func (m rates) method() (Iteration, error) {
	if m.least < 0 {
		return nil, fmt.Errorf("%s: the least cell must not be below 0", m.name)
	}
	if m.by != nil {
		if err := categorical(*m.by); err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
	}
	if _, err := NewFrame(m.Columns()); err != nil {
		return nil, fmt.Errorf("%s: %w", m.name, err)
	}
	return Iterate(m), nil
}

// Places of a group's numbers.
const (
	ratePersons = iota
	rateEvents
	rateTime // in units of the highest that the column allows
	rateUneven
	rateNumbers
)

func (m rates) Columns() []Column {
	columns := []Column{m.events}
	if m.time != nil {
		columns = append(columns, *m.time)
	}
	if m.by != nil {
		columns = append(columns, *m.by)
	}
	return columns
}

func (m rates) Parameters() int { return m.groups() }

// Times is the time at risk, and whether it ended with the event.
func (m rates) Times() []string {
	switch {
	case m.time == nil:
		return nil
	case m.events.Kind == Logical:
		return []string{m.time.Name, m.events.Name}
	}
	return []string{m.time.Name}
}

func (m rates) Start() oneRound      { return oneRound{} }
func (m rates) Numbers(oneRound) int { return (1 + m.groups()) * rateNumbers }

func (m rates) groups() int {
	if m.by == nil {
		return 1
	}
	return len(m.by.levels())
}

func (m rates) Site(_ oneRound, f *Frame, sums *Sums) error {
	var time, by []float64
	if m.time != nil {
		time = f.Values(m.time.Name)
	}
	if m.by != nil {
		by = f.Values(m.by.Name)
	}
	for i, events := range f.Values(m.events.Name) {
		add := func(at int) {
			sums.Add(at+ratePersons, 1)
			sums.Add(at+rateEvents, events)
			if time != nil {
				sums.Add(at+rateTime, time[i]/m.time.High)
			}
			if events != math.Trunc(events) {
				sums.Add(at+rateUneven, 1)
			}
		}
		add(0)
		if by != nil {
			add((1 + int(by[i])) * rateNumbers)
		}
	}
	return nil
}

func (m rates) Next(_ oneRound, pooled Pooled) (oneRound, any, error) {
	if pooled.Numbers[rateUneven] > 0 {
		return oneRound{}, nil, NoResult("somebody's events are not a whole number")
	}
	r := &query.Rates{N: pooled.Rows, LeftOut: query.Omitting(pooled.Omitted)}
	var err error
	if r.All, err = m.rate(pooled.Numbers); err != nil {
		return oneRound{}, nil, err
	}
	if m.by != nil {
		for g, level := range m.by.levels() {
			rate, err := m.rate(pooled.Numbers[(1+g)*rateNumbers:])
			if err != nil {
				return oneRound{}, nil, err
			}
			r.Groups = append(r.Groups, query.GroupRate{Level: level, Rate: rate})
		}
	}
	return oneRound{}, r, nil
}

// rate is that of one group.
func (m rates) rate(numbers []float64) (query.Rate, error) {
	n, events, time := numbers[ratePersons], numbers[rateEvents], numbers[rateTime]
	if n < 0 || events < 0 || time < 0 || m.time == nil && events > n {
		return query.Rate{}, ErrInconsistent
	}
	few := func(count float64) bool { return 0 < count && count < float64(m.least) }
	if few(events) || few(n) || m.time == nil && few(n-events) {
		return query.Rate{}, NoResult(fmt.Sprintf("a group holds fewer than %d persons or events: join levels", m.least))
	}
	r := query.Rate{N: int64(n), Events: int64(events)}
	if m.time != nil {
		time *= m.time.High
		r.Time = &time
		if time > 0 {
			limits := poissonLimits(events)
			r.Estimate, r.Exact = ptr(events/time), &query.Limits{Lower: limits.Lower / time, Upper: limits.Upper / time}
		}
		return r, nil
	}
	if n > 0 {
		r.Estimate, r.Exact, r.Wilson = ptr(events/n), ptrTo(clopperPearson(events, n)), ptrTo(wilson(events, n))
	}
	return r, nil
}

func ptrTo[T any](v T) *T { return &v }

const tail = (1 - confidence) / 2

// poissonLimits are Garwood's, of an expected count.
func poissonLimits(events float64) query.Limits {
	l := query.Limits{}
	most := 2*events + 100
	if events > 0 {
		l.Lower = rootOf(func(mean float64) bool { return mathext.GammaIncReg(events, mean) >= tail }, 0, most)
	}
	l.Upper = rootOf(func(mean float64) bool { return mathext.GammaIncRegComp(events+1, mean) <= tail }, 0, most)
	return l
}

// clopperPearson are the exact limits of a share.
func clopperPearson(events, n float64) query.Limits {
	l := query.Limits{Upper: 1}
	if events > 0 {
		l.Lower = rootOf(func(p float64) bool { return mathext.RegIncBeta(events, n-events+1, p) >= tail }, 0, 1)
	}
	if events < n {
		l.Upper = rootOf(func(p float64) bool { return mathext.RegIncBeta(events+1, n-events, p) >= 1-tail }, 0, 1)
	}
	return l
}

// wilson are the limits at which the normal approximation would just not reject.
func wilson(events, n float64) query.Limits {
	z := normalLimit
	p := events / n
	middle := p + z*z/(2*n)
	width := z * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return query.Limits{Lower: math.Max(0, (middle-width)/(1+z*z/n)), Upper: math.Min(1, (middle+width)/(1+z*z/n))}
}
