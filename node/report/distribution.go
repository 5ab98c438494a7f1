package report

import (
	"cmp"
	"math"
)

// Distribution is how the valid numbers of a variable lie. Of a variable of fewer than
// [MinPersons] persons there are only counts.
type Distribution struct {
	Concept  int64  `json:"concept"`
	Unit     int64  `json:"unit" doc:"Concept of the unit, 0 for none"`
	Name     string `json:"name,omitempty"`
	UnitName string `json:"unitName,omitempty"`
	Rows     int64  `json:"rows"`
	Invalid  int64  `json:"invalid" doc:"Rows marked invalid; they are in the counts of the checks and not in what follows"`
	Persons  int64  `json:"persons"`

	Spread    *Spread `json:"spread,omitempty" doc:"Absent if there are too few persons"`
	Plausible *Range  `json:"plausible,omitempty" doc:"Where values are usual, if that is known of the variable"`
	Possible  *Range  `json:"possible,omitempty" doc:"Where values of living persons are"`
	Fences    []Fence `json:"fences" nullable:"false"`

	Bins  []Bin `json:"bins" nullable:"false" doc:"Rows by value, of equal width, empty ones at both ends left out"`
	Below int64 `json:"below" doc:"Rows below the first bin"`
	Above int64 `json:"above" doc:"Rows above the last bin"`
}

// Spread is where the middle of the values lies and how far they are apart.
type Spread struct {
	Lower  float64 `json:"lower" doc:"Lower quartile, as Tukey's hinge"`
	Median float64 `json:"median"`
	Upper  float64 `json:"upper" doc:"Upper quartile"`
	MAD    float64 `json:"mad" doc:"Median absolute deviation times 1.4826"`
}

// finite reports whether no number of s is beyond those that JSON has.
func (s Spread) finite() bool { return !math.IsInf(7*(s.Upper-s.Lower), 0) && !math.IsInf(s.MAD, 0) }

// Range is from Low to High, both included.
type Range struct {
	Low     *float64 `json:"low,omitempty" doc:"Absent if there is no bound"`
	High    *float64 `json:"high,omitempty" doc:"Absent if there is no bound"`
	Outside int64    `json:"outside" doc:"Rows with a number outside, also invalid ones"`
}

// Bin counts the rows with From <= value < To.
type Bin struct {
	From float64 `json:"from"`
	To   float64 `json:"to"`
	Rows int64   `json:"rows"`
}

// maxBins is how many bins a histogram has at most, about.
const maxBins = 50

// describe fills in what s says.
func (d *Distribution) describe(s sample, rules []OutlierRule, least int64) {
	if d.Persons < MinPersons || len(s) == 0 {
		return
	}
	var at Spread
	at.Median = s.median()
	at.Lower, at.Upper = s.hinges()
	if at.MAD = s.mad(at.Median); !at.finite() {
		return
	}
	d.Spread = &at
	if s.total() >= least {
		for _, r := range rules {
			if f, ok := r.fence(s); ok {
				d.Fences = append(d.Fences, f)
			}
		}
	}
	d.bin(s)
}

// bin counts s in bins around the middle. Their edges are round numbers, so that not
// even the first and the last one tell a value, and reach three times the distance of
// the quartiles beyond them: what is further out is only counted.
func (d *Distribution) bin(s sample) {
	spread := d.Spread.Upper - d.Spread.Lower
	if spread <= 0 {
		spread = cmp.Or(math.Abs(d.Spread.Median)/10, 1)
	}
	step := roundStep(7 * spread / maxBins)
	first := math.Floor((d.Spread.Lower - 3*spread) / step)
	last := math.Floor((d.Spread.Upper + 3*spread) / step)
	if !(last-first <= 2*maxBins) { // the numbers are too large to be told apart
		return
	}
	counts := make([]int64, int(last-first)+1)
	for _, w := range s {
		switch at := math.Floor(w.number/step + 1e-9); { // 0.3 / 0.1 is below 3
		case at < first:
			d.Below += w.rows
		case at > last:
			d.Above += w.rows
		default:
			counts[int(at-first)] += w.rows
		}
	}
	from, to := 0, len(counts)
	for from < to && counts[from] == 0 {
		from++
	}
	for to > from && counts[to-1] == 0 {
		to--
	}
	for i := from; i < to; i++ {
		at := first + float64(i)
		d.Bins = append(d.Bins, Bin{From: tidy(at*step, step), To: tidy((at+1)*step, step), Rows: counts[i]})
	}
}

// roundStep returns the next of 1, 2 and 5 times a power of ten that is not below x.
func roundStep(x float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(x)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= x {
			return m * power
		}
	}
	return 10 * power
}

// tidy takes from x, a multiple of step, what floating point has added.
func tidy(x, step float64) float64 {
	scale := math.Pow(10, math.Ceil(-math.Log10(step))+1)
	return math.Round(x*scale) / scale
}
