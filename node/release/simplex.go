package release

import (
	"math"
	"slices"
)

const (
	nearly     = 1e-9    // what is closer to zero than this is zero
	maxPivots  = 20_000  // of one program
	maxProgram = 1 << 18 // figures times groups of persons of one program
)

// program is a linear program: unknowns that are not negative, and rows that
// bound sums of some of them. It is kept as a dictionary, in which the basic
// unknowns are written in terms of the free ones, and Bland's rule keeps it from
// going round in circles.
//
// Source: Chvátal, "Linear Programming" (1983), chapters 2 and 3.
type program struct {
	unknowns int
	rows     [][]float64 // of each basic unknown: coefficients of the free ones, then the constant
	basic    []int       // unknown of each row; from unknowns on they are slacks
	free     []int       // unknown of each column
	pivots   int
}

// bound is lo <= sum of the members' unknowns <= hi.
type bound struct {
	members []int
	lo, hi  float64 // hi may be infinite
}

// newProgram returns a program that stands at a solution of all bounds, or false
// if there is none or it takes too long to find one.
func newProgram(unknowns int, bounds []bound) (*program, bool) {
	p := &program{unknowns: unknowns}
	add := func(members []int, sign, constant float64) {
		row := make([]float64, unknowns+2) // the last column but one is for finding a start
		for _, g := range members {
			row[g] = sign
		}
		row[unknowns], row[unknowns+1] = 1, constant
		p.basic = append(p.basic, unknowns+1+len(p.rows))
		p.rows = append(p.rows, row)
	}
	for _, b := range bounds {
		if !math.IsInf(b.hi, 1) {
			add(b.members, -1, b.hi)
		}
		if b.lo > 0 {
			add(b.members, 1, -b.lo)
		}
	}
	for i := range unknowns + 1 {
		p.free = append(p.free, i)
	}
	return p, p.start()
}

// start looks for a solution: the unknown of the last column, added to all rows,
// makes one, and is then brought down to zero.
func (p *program) start() bool {
	worst := -1
	for i, row := range p.rows {
		if row[len(row)-1] < -nearly && (worst < 0 || row[len(row)-1] < p.rows[worst][len(row)-1]) {
			worst = i
		}
	}
	if worst >= 0 {
		p.pivot(worst, p.unknowns)
		aim := make([]float64, p.unknowns+1)
		aim[p.unknowns] = -1
		if value, ok := p.maximize(aim); !ok || value < -1e-6 {
			return false
		}
	}
	if at := slices.Index(p.basic, p.unknowns); at >= 0 {
		column := slices.IndexFunc(p.rows[at][:len(p.free)], func(v float64) bool { return math.Abs(v) > nearly })
		if column < 0 {
			p.rows, p.basic = slices.Delete(p.rows, at, at+1), slices.Delete(p.basic, at, at+1)
			return true
		}
		p.pivot(at, column)
	}
	at := slices.Index(p.free, p.unknowns)
	p.free = slices.Delete(p.free, at, at+1)
	for i, row := range p.rows {
		p.rows[i] = slices.Delete(row, at, at+1)
	}
	return true
}

// pivot makes the column's unknown basic and the row's free.
func (p *program) pivot(row, column int) {
	p.pivots++
	r := p.rows[row]
	a := r[column]
	r[column] = -1
	for j := range r {
		r[j] /= -a
	}
	for i, other := range p.rows {
		if f := other[column]; i != row && f != 0 {
			other[column] = 0
			for j, v := range r {
				if other[j] += f * v; math.Abs(other[j]) < 1e-12 {
					other[j] = 0
				}
			}
		}
	}
	p.basic[row], p.free[column] = p.free[column], p.basic[row]
}

// maximize returns the greatest value of a sum of unknowns with the given
// coefficients, or false if that takes too long.
func (p *program) maximize(aim []float64) (float64, bool) {
	for p.pivots < maxPivots {
		gain, value := p.gain(aim)
		column := -1
		for j, g := range gain {
			if g > nearly && (column < 0 || p.free[j] < p.free[column]) {
				column = j
			}
		}
		if column < 0 {
			return value, true
		}
		row, least := -1, math.Inf(1)
		for i, r := range p.rows {
			if r[column] >= -nearly {
				continue
			}
			step := max(r[len(r)-1], 0) / -r[column]
			if step < least-nearly || step < least+nearly && p.basic[i] < p.basic[row] {
				row, least = i, step
			}
		}
		if row < 0 {
			return math.Inf(1), true
		}
		p.pivot(row, column)
	}
	return 0, false
}

// gain writes a sum in terms of the free unknowns: its coefficients and constant.
func (p *program) gain(aim []float64) (gain []float64, value float64) {
	gain = make([]float64, len(p.free))
	for j, unknown := range p.free {
		if unknown < len(aim) {
			gain[j] = aim[unknown]
		}
	}
	for i, unknown := range p.basic {
		if unknown >= len(aim) || aim[unknown] == 0 {
			continue
		}
		row := p.rows[i]
		for j := range gain {
			gain[j] += aim[unknown] * row[j]
		}
		value += aim[unknown] * row[len(row)-1]
	}
	return gain, value
}

// span returns between what the sum of the members' unknowns lies.
func (p *program) span(members []int) (lo, hi float64, ok bool) {
	aim := make([]float64, p.unknowns)
	for _, g := range members {
		aim[g] = -1
	}
	if lo, ok = p.maximize(aim); !ok {
		return 0, 0, false
	}
	for _, g := range members {
		aim[g] = 1
	}
	hi, ok = p.maximize(aim)
	return -lo, hi, ok
}
