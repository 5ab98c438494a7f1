package analysis

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/formula"
)

// overLevels returns the method that over makes of declared columns, which leaves out the levels
// that no complete row of any site has, as R's glm does: the first of the others is the
// reference. These are the levels of the factors that the formulas name as terms, or as what a
// model is of.
//
// Sites say with the numbers of the first round which levels they have. Mostly somebody has each;
// if not, the method goes on with the first sums of the columns that are left, or begins again.
func overLevels[S any](declared []Column, over func([]Column) (Rounds[S], error), formulas ...formula.Formula) (Iteration, error) {
	m, err := over(declared)
	if err != nil {
		return nil, err
	}
	l := leveled[S]{iteration: iteration[S]{m}, declared: declared, over: over}
	for _, c := range m.Columns() {
		if c.Kind != Factor {
			continue
		}
		of := func(v formula.Variable) bool { return v.Columns[0] == c.Name }
		term := slices.ContainsFunc(formulas, func(f formula.Formula) bool {
			return slices.ContainsFunc(f.Terms, func(t formula.Term) bool { return slices.ContainsFunc(t, of) })
		})
		response := slices.ContainsFunc(formulas, func(f formula.Formula) bool { return f.Response != nil && of(*f.Response) })
		if term || response {
			l.factors = append(l.factors, leveledFactor{c, term})
			l.levels += len(c.Levels)
		}
	}
	if len(l.factors) == 0 {
		return l.iteration, nil
	}
	return l, nil
}

// leveled is a method whose first round also says which levels sites have.
type leveled[S any] struct {
	iteration[S] // as declared
	declared     []Column
	over         func([]Column) (Rounds[S], error)
	factors      []leveledFactor
	levels       int // of all factors
}

type leveledFactor struct {
	Column
	term bool // has columns of the design matrix
}

// leveledState is the state between two rounds.
type leveledState struct {
	// Levels are those that somebody has, of each factor; empty before the first round.
	Levels [][]string `json:"levels,omitempty"`

	State State `json:"state"` // of the method
}

func (l leveled[S]) Start() (State, error) {
	start, err := l.iteration.Start()
	if err != nil {
		return nil, err
	}
	return canonical.Marshal(leveledState{State: start})
}

// read reads a state and returns the method that it is of.
func (l leveled[S]) read(raw State) (leveledState, iteration[S], error) {
	var s leveledState
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s); err != nil {
		return s, l.iteration, errors.New("analysis: the state of the round is malformed")
	}
	if len(s.Levels) == 0 {
		return s, l.iteration, nil
	}
	columns, err := l.left(s.Levels)
	if err != nil || columns == nil {
		return s, l.iteration, err
	}
	m, err := l.over(columns)
	return s, iteration[S]{m}, err
}

// left returns the declared columns with these levels of the factors, nil if they are all of them.
func (l leveled[S]) left(levels [][]string) ([]Column, error) {
	if len(levels) != len(l.factors) {
		return nil, errState
	}
	columns, fewer := slices.Clone(l.declared), false
	for i, f := range l.factors {
		at := slices.IndexFunc(columns, func(c Column) bool { return c.Name == f.Name })
		columns[at].Levels = levels[i]
		fewer = fewer || len(levels[i]) < len(f.Levels)
	}
	if !fewer {
		return nil, nil
	}
	return columns, nil
}

// extra is how many words follow those of the method at a state.
func (l leveled[S]) extra(s leveledState) int {
	if len(s.Levels) > 0 {
		return 0
	}
	return numberWords * l.levels
}

func (l leveled[S]) Words(raw State) (int, error) {
	s, m, err := l.read(raw)
	if err != nil {
		return 0, err
	}
	n, err := m.Words(s.State)
	return n + l.extra(s), err
}

func (l leveled[S]) Site(raw State, f *Frame) ([]uint64, error) {
	s, m, err := l.read(raw)
	if err != nil {
		return nil, err
	}
	complete, _, err := f.Complete(l.Columns())
	if err != nil {
		return nil, err
	}
	sent := complete
	if len(s.Levels) > 0 {
		if sent, err = complete.recoded(m.Columns()); err != nil {
			return nil, err
		}
	}
	words, err := m.Site(s.State, sent)
	if err != nil {
		return nil, err
	}
	words[1] = uint64(f.Len() - complete.Len())
	if len(s.Levels) > 0 {
		return words, nil
	}
	return append(words, encodeSums(0, 0, l.had(complete))[rowWords:]...), nil
}

// had returns 1 for each level that some row has, of each factor.
func (l leveled[S]) had(f *Frame) []number {
	var had []number
	for _, factor := range l.factors {
		values := f.Values(factor.Name)
		for level := range factor.Levels {
			n := 0.0
			if slices.Contains(values, float64(level)) {
				n = 1
			}
			had = append(had, toNumber(n))
		}
	}
	return had
}

// recoded returns the frame with columns that have fewer levels. It fails if a row has one of the
// others.
func (f *Frame) recoded(columns []Column) (*Frame, error) {
	out := &Frame{columns: columns, values: make([][]float64, len(columns)), rows: f.rows}
	for i, c := range columns {
		at := slices.IndexFunc(f.columns, func(o Column) bool { return o.Name == c.Name })
		out.values[i] = f.values[at]
		if from := f.columns[at]; from.Kind == Factor && len(c.Levels) < len(from.Levels) {
			out.values[i] = make([]float64, f.rows)
			for row, v := range f.values[at] {
				level := slices.Index(c.Levels, from.Levels[int(v)])
				if level < 0 {
					return nil, errState
				}
				out.values[i][row] = float64(level)
			}
		}
	}
	return out, nil
}

func (l leveled[S]) Next(raw State, sum []uint64, sites int) (Step, error) {
	s, m, err := l.read(raw)
	if err != nil {
		return Step{}, err
	}
	if len(s.Levels) > 0 {
		return s.after(m.Next(s.State, sum, sites))
	}
	own := len(sum) - l.extra(s)
	if own < rowWords {
		return Step{}, fmt.Errorf("%d words, want %d more", len(sum), l.extra(s))
	}
	if s.Levels, err = l.present(sum, own, sites); err != nil {
		return Step{}, err
	}
	columns, err := l.left(s.Levels)
	if err != nil {
		return Step{}, err
	}
	if columns == nil {
		return s.after(m.Next(s.State, sum[:own], sites))
	}
	fewer, err := l.over(columns)
	if err != nil {
		return Step{}, NoResult(fmt.Sprintf("with the levels that somebody has there is no model: %v", err))
	}
	next := iteration[S]{fewer}
	start, err := next.Start()
	if words := l.kept(fewer, sum[:own], s.Levels); err == nil && words != nil {
		return s.after(next.Next(start, words, sites))
	}
	return s.after(Step{State: start}, err)
}

// columnwise is a [Rounds] whose first numbers are some for each column of a design matrix, and then
// others that do not depend on it.
type columnwise interface {
	// columnNumbers returns the matrix and how many numbers of each column there are.
	columnNumbers() (Matrix, int)
}

// kept returns the words of the first sum that are those of the method with fewer levels too, nil
// if they are not among them.
func (l leveled[S]) kept(fewer Rounds[S], sum []uint64, levels [][]string) []uint64 {
	wide, ok := l.Rounds.(columnwise)
	for i, f := range l.factors {
		ok = ok && (f.term || len(levels[i]) == len(f.Levels))
	}
	if !ok {
		return nil
	}
	matrix, each := wide.columnNumbers()
	left, _ := fewer.(columnwise).columnNumbers()
	words, size := slices.Clone(sum[:rowWords]), each*numberWords
	for _, name := range left.Names {
		at := slices.Index(matrix.Names, name)
		if slices.Contains(matrix.Names[at+1:], name) {
			return nil // two columns of one name
		}
		from := rowWords + at*size
		words = append(words, sum[from:from+size]...)
	}
	return append(words, sum[rowWords+matrix.Width()*size:]...)
}

// after wraps a step of the method.
func (s leveledState) after(step Step, err error) (Step, error) {
	if err != nil || step.Result != nil {
		return step, err
	}
	s.State = step.State
	step.State, err = canonical.Marshal(s)
	return step, err
}

// present returns the levels that some site has, of each factor: all of them if nobody has any.
func (l leveled[S]) present(sum []uint64, own, sites int) ([][]string, error) {
	pooled, err := pool(slices.Concat(sum[:rowWords], sum[own:]), l.levels, sites)
	if err != nil {
		return nil, err
	}
	var levels [][]string
	at := 0
	for _, f := range l.factors {
		var have []string
		for _, level := range f.Levels {
			n := pooled.Numbers[at]
			if n != math.Trunc(n) || n < 0 || n > float64(sites) {
				return nil, ErrInconsistent
			}
			if n > 0 || pooled.Rows == 0 {
				have = append(have, level)
			}
			at++
		}
		switch {
		case len(have) == 0:
			return nil, ErrInconsistent
		case f.term && len(have) == 1:
			return nil, NoResult(fmt.Sprintf("contrasts can be applied only to factors with 2 or more levels: nobody has another of the column %s", f.Name))
		}
		levels = append(levels, have)
	}
	return levels, nil
}
