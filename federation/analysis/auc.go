package analysis

import (
	"cmp"
	"math"
	"slices"
	"sort"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// area finds the area under a receiver operating characteristic curve by counting. Pairs in
// different cells of a public grid of risks are told apart by it; each round cuts the cells
// that have persons both with and without the event, until those left are of equal risk, and
// the area exact, or hold fewer persons than may be shown.
//
// Source: Hanley and McNeil, Radiology 143 (1982); Mann and Whitney, Annals of Mathematical
// Statistics 18 (1947).
type area struct {
	least int64 // persons that a cell must hold to be cut
}

// Limits of a round's cells, and of the rounds. With more than some ten thousand persons what
// is left is a narrow range.
const (
	mostAreaParts  = 4096
	mostAreaRounds = 16
	areaNumbers    = MaxNumbers / 2 // the rest is for what else is asked
)

// areaState is how far it has come.
type areaState struct {
	Rounds     int        `json:"rounds,omitempty"`
	Concordant float64    `json:"concordant,omitempty"` // pairs, the one with the event above
	Cells      []areaCell `json:"cells,omitempty"`      // with persons of both kinds
}

// areaCell is a range of risks, both ends in it.
type areaCell struct {
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	Cases  int64   `json:"cases"`
	Others int64   `json:"others"`
}

func (c areaCell) pairs() float64 { return float64(c.Cases) * float64(c.Others) }

func (a area) start(cases, others int64) areaState {
	return areaState{Cells: []areaCell{{High: 1, Cases: cases, Others: others}}}
}

// cuts returns the least values of the parts of each cell that is cut in this round, none
// for others: of those that leave most pairs open, as many as there is room for.
func (a area) cuts(s areaState) [][]float64 {
	var open []int
	for i, c := range s.Cells {
		if c.Low < c.High && c.Cases+c.Others >= a.least && s.Rounds < mostAreaRounds {
			open = append(open, i)
		}
	}
	slices.SortStableFunc(open, func(i, j int) int { return cmp.Compare(s.Cells[j].pairs(), s.Cells[i].pairs()) })
	open = open[:min(len(open), areaNumbers/2/fewestParts)]
	out := make([][]float64, len(s.Cells))
	for _, i := range open {
		c := s.Cells[i]
		parts := min(areaNumbers/2/len(open), mostAreaParts)
		if a.least > 1 {
			parts = min(parts, int(max((c.Cases+c.Others)/a.least, fewestParts)))
		}
		out[i] = cut(bin{Low: c.Low, High: c.High}, parts, c.Low == 0 && c.High == 1)
	}
	return out
}

// numbers is 0 when there is nothing left to cut.
func (a area) numbers(s areaState) int {
	n := 0
	for _, c := range a.cuts(s) {
		n += 2 * len(c)
	}
	return n
}

// add counts persons with and without the event in each part.
func (a area) add(s areaState, risks []float64, events []bool, sums *Sums) {
	cuts := a.cuts(s)
	places, at := make([]int, len(cuts)), 0
	for i, c := range cuts {
		places[i], at = at, at+2*len(c)
	}
	for k, risk := range risks {
		i := sort.Search(len(s.Cells), func(i int) bool { return s.Cells[i].High >= risk })
		if i == len(cuts) || s.Cells[i].Low > risk || len(cuts[i]) == 0 {
			continue
		}
		in := sort.Search(len(cuts[i]), func(j int) bool { return cuts[i][j] > risk }) - 1
		if events[k] {
			sums.Add(places[i]+2*in, 1)
		} else {
			sums.Add(places[i]+2*in+1, 1)
		}
	}
}

func (a area) next(s areaState, numbers []float64) (areaState, error) {
	next := areaState{Rounds: s.Rounds + 1, Concordant: s.Concordant}
	for i, cuts := range a.cuts(s) {
		cell := s.Cells[i]
		if len(cuts) == 0 {
			next.Cells = append(next.Cells, cell)
			continue
		}
		counts, err := countsOf(numbers[:2*len(cuts)], cell.Cases+cell.Others)
		if err != nil {
			return s, err
		}
		var cases, others int64
		for k, low := range cuts {
			part := areaCell{Low: low, High: cell.High, Cases: counts[2*k], Others: counts[2*k+1]}
			if k+1 < len(cuts) {
				part.High = fromOrdinal(ordinal(cuts[k+1]) - 1)
			}
			next.Concordant += float64(part.Cases) * float64(others)
			cases, others = cases+part.Cases, others+part.Others
			if part.Cases > 0 && part.Others > 0 {
				next.Cells = append(next.Cells, part)
			}
		}
		if cases != cell.Cases {
			return s, ErrInconsistent
		}
		numbers = numbers[2*len(cuts):]
	}
	return next, nil
}

// result is the area, or what it lies between.
func (a area) result(s areaState, cases, others int64) query.AUC {
	all := float64(cases) * float64(others)
	sure, open := s.Concordant, 0.0
	for _, c := range s.Cells {
		if c.Low == c.High {
			sure += c.pairs() / 2
		} else {
			open += c.pairs()
		}
	}
	if open == 0 {
		return query.AUC{Value: ptr(sure / all)}
	}
	return query.AUC{Low: ptr(sure / all), High: ptr(math.Min(1, (sure+open)/all))}
}
