package analysis

import (
	"errors"
	"math"
)

// Places of the numbers of the round that counts.
const (
	judgedCases = iota
	judgedOthers
	judgedBrier
	judgedRisk
	judgedNumbers
)

// section is one of the things that a round does.
type section struct {
	numbers int
	add     func(judged, *Sums) error
	next    func(*predictionState, Pooled) error
}

// sections returns what is left to do of what a model is judged by, in one order.
func (m prediction) sections(s predictionState) []section {
	var out []section
	area := area{m.MinCell}
	if n := area.numbers(s.Area); n > 0 {
		out = append(out, section{
			numbers: n,
			add:     func(j judged, sums *Sums) error { area.add(s.Area, j.risks, j.events, sums); return nil },
			next: func(next *predictionState, p Pooled) (err error) {
				next.Area, err = area.next(s.Area, p.Numbers)
				return err
			},
		})
	}
	switch search := m.search(); {
	case s.Cuts == nil:
		out = append(out, section{
			numbers: search.numbers(s.Search),
			add:     func(j judged, sums *Sums) error { search.add(s.Search, j.frame(search.values), sums, 0); return nil },
			next:    m.cuts,
		})
	case s.Groups == nil:
		out = append(out, section{
			numbers: groupNumbers * m.Prediction.Groups,
			add:     func(j judged, sums *Sums) error { m.addGroups(s, j, sums); return nil },
			next:    m.groups,
		})
	}
	for _, model := range []struct {
		glm
		state func(*predictionState) *modelState
	}{
		{m.slope, func(s *predictionState) *modelState { return &s.Slope }},
		{m.intercept, func(s *predictionState) *modelState { return &s.Intercept }},
	} {
		at := *model.state(&s)
		if at.Done {
			continue
		}
		out = append(out, section{
			numbers: model.Numbers(at.State),
			add:     func(j judged, sums *Sums) error { return model.Site(at.State, j.calibrated(), sums) },
			next:    func(next *predictionState, p Pooled) error { return model.state(next).step(model.glm, p) },
		})
	}
	return out
}

func (m prediction) Numbers(s predictionState) int {
	switch {
	case s.Model == nil:
		return m.model.Numbers(s.Fit)
	case !s.Counted:
		return judgedNumbers
	}
	n := 0
	for _, part := range m.sections(s) {
		n += part.numbers
	}
	return n
}

func (m prediction) Site(s predictionState, f *Frame, sums *Sums) error {
	if s.Model == nil {
		return m.model.Site(s.Fit, m.part(f, true), sums)
	}
	rows, err := m.judge(s, m.part(f, false))
	if err != nil {
		return err
	}
	if !s.Counted {
		for i, risk := range rows.risks {
			miss := risk
			if rows.events[i] {
				sums.Add(judgedCases, 1)
				miss = 1 - risk
			} else {
				sums.Add(judgedOthers, 1)
			}
			sums.Add(judgedBrier, miss*miss)
			sums.Add(judgedRisk, risk)
		}
		return nil
	}
	at := 0
	for _, part := range m.sections(s) {
		own := &Sums{numbers: sums.numbers[at : at+part.numbers]}
		if err := part.add(rows, own); err != nil {
			return err
		}
		sums.broken = sums.broken || own.broken
		at += part.numbers
	}
	return nil
}

// judged are the rows that a model is judged by.
type judged struct {
	risks  []float64
	linear []float64
	events []bool
}

func (m prediction) judge(s predictionState, f *Frame) (judged, error) {
	if p := m.model.matrix.Width(); len(s.Fit.Coefficients) != p || len(s.Fit.Center) != p || len(s.Fit.Scale) != p {
		return judged{}, errors.New("prediction: the state is of another model")
	}
	var out judged
	err := m.model.rows(f, func(x []float64, y, _, offset float64) {
		risk, _ := m.model.family.mean(m.model.linear(s.Fit, x) + offset)
		out.risks = append(out.risks, risk)
		out.linear = append(out.linear, math.Log(risk/(1-risk)))
		out.events = append(out.events, y > 0)
	})
	return out, err
}

// frame has the risks as its only column.
func (j judged) frame(columns []Column) *Frame {
	return &Frame{columns: columns, values: [][]float64{j.risks}, rows: len(j.risks)}
}

// calibrated has the events and the linear predictors.
func (j judged) calibrated() *Frame {
	events := make([]float64, len(j.events))
	for i, event := range j.events {
		if event {
			events[i] = 1
		}
	}
	return &Frame{columns: calibrationColumns, values: [][]float64{events, j.linear}, rows: len(events)}
}

// Places of a group's numbers.
const (
	groupOthers = iota
	groupEvents
	groupRisk
	groupNumbers
)

func (m prediction) addGroups(s predictionState, j judged, sums *Sums) {
	for i, risk := range j.risks {
		at := groupNumbers * stratum(s.Cuts, risk)
		if j.events[i] {
			sums.Add(at+groupEvents, 1)
		} else {
			sums.Add(at+groupOthers, 1)
		}
		sums.Add(at+groupRisk, risk)
	}
}
