package analysis

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// tied is by how much, relative to it, a table's chance may exceed that of the table at
// hand and still count as equal; R has the same.
const tied = 1e-7

// hypergeometric is the distribution of the first cell of a 2×2 table with fixed margins,
// at odds ratio 1 relative to the likeliest value.
type hypergeometric struct {
	low, high, at float64   // least, largest and observed value
	logs          []float64 // by value from low
}

func newHypergeometric(table [][]float64) hypergeometric {
	rows, columns, _ := margins(table)
	h := hypergeometric{at: table[0][0], low: math.Max(0, columns[0]-rows[1]), high: math.Min(rows[0], columns[0])}
	h.logs = make([]float64, int(h.high-h.low)+1)
	for i := 1; i < len(h.logs); i++ {
		x := h.low + float64(i)
		h.logs[i] = h.logs[i-1] + math.Log((rows[0]-x+1)*(columns[0]-x+1)/(x*(rows[1]-columns[0]+x)))
	}
	return h
}

// weigh calls fn for each value with its chance at a logarithm of the odds ratio, relative
// to the likeliest.
func (h hypergeometric) weigh(logOdds float64, fn func(x, weight float64)) {
	most := math.Inf(-1)
	for i, l := range h.logs {
		most = math.Max(most, l+float64(i)*logOdds)
	}
	for i, l := range h.logs {
		fn(h.low+float64(i), math.Exp(l+float64(i)*logOdds-most))
	}
}

// pValue is two-sided: of all values that are no likelier than the one at hand.
func (h hypergeometric) pValue() float64 {
	limit := h.logs[int(h.at-h.low)] + math.Log1p(tied)
	all, unlikely := 0.0, 0.0
	most := slices.Max(h.logs)
	for _, l := range h.logs {
		weight := math.Exp(l - most)
		all += weight
		if l <= limit {
			unlikely += weight
		}
	}
	return math.Min(1, unlikely/all)
}

// widest bounds the logarithm of an odds ratio that is looked for.
const widest = 100

// oddsRatio is the conditional maximum likelihood estimate with exact limits.
func (h hypergeometric) oddsRatio() *query.OddsRatio {
	solve := func(above func(logOdds float64) bool) *float64 {
		return ptr(math.Exp(rootOf(above, -widest, widest)))
	}
	r := &query.OddsRatio{}
	if h.low == h.high {
		return r
	}
	if h.at == h.low {
		r.Estimate, r.Lower = ptr(0), ptr(0)
	} else {
		r.Lower = solve(func(l float64) bool { return h.share(l, func(x float64) bool { return x >= h.at }) >= (1-confidence)/2 })
	}
	if h.at < h.high {
		r.Upper = solve(func(l float64) bool { return h.share(l, func(x float64) bool { return x <= h.at }) <= (1-confidence)/2 })
	}
	if h.low < h.at && h.at < h.high {
		r.Estimate = solve(func(l float64) bool { return h.mean(l) >= h.at })
	}
	return r
}

// share is the chance of the values for which in is true.
func (h hypergeometric) share(logOdds float64, in func(float64) bool) float64 {
	all, part := 0.0, 0.0
	h.weigh(logOdds, func(x, weight float64) {
		all += weight
		if in(x) {
			part += weight
		}
	})
	return part / all
}

func (h hypergeometric) mean(logOdds float64) float64 {
	all, sum := 0.0, 0.0
	h.weigh(logOdds, func(x, weight float64) {
		all += weight
		sum += weight * x
	})
	return sum / all
}

// fisherPersons bounds the persons of a table for Fisher's test.
const fisherPersons = 1_000_000

// fisherSteps bounds the work of a test of Fisher for more than 2×2 cells: columns put
// together, about a second.
const fisherSteps = 2_000_000

// fisher is Fisher's test of a table without empty rows and columns: the chance of all
// tables with its margins that are no likelier than it is. It reports false if there are
// too many of them.
//
// Tables are built column by column. What is left of the rows, in whatever order, is all
// that the further columns depend on; so partial tables that leave the same and are
// equally likely are kept as one, and those of which all or no completions count are
// settled at once.
//
// Source: Mehta and Patel, "A network algorithm for performing Fisher's exact test in
// r × c contingency tables", JASA 78 (1983).
func fisher(table [][]float64) (float64, bool) {
	if len(table) > len(table[0]) {
		table = transposed(table)
	}
	rows, columns, total := margins(table)
	order := make([]int, len(columns))
	for j := range order {
		order[j] = j
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(columns[b], columns[a]) }) // the largest first: few ways are left after it
	n := network{ends: make(map[string]ends), steps: fisherSteps}
	for _, j := range order {
		n.columns = append(n.columns, int(columns[j]))
	}
	n.factorials = make([]float64, int(total)+1)
	for i := range n.factorials {
		n.factorials[i], _ = math.Lgamma(float64(i) + 1)
	}
	start, fixed := make([]int, len(rows)), -n.factorials[int(total)]
	for i, v := range rows {
		start[i] = int(v)
		fixed += n.factorials[int(v)]
	}
	for _, v := range columns {
		fixed += n.factorials[int(v)]
	}
	n.limit = math.Log1p(tied)
	for _, row := range table {
		for _, v := range row {
			n.limit -= n.factorials[int(v)]
		}
	}
	slices.Sort(start)
	p, ok := n.walk(start, fixed)
	return math.Min(1, p), ok
}

func transposed(table [][]float64) [][]float64 {
	out := make([][]float64, len(table[0]))
	for j := range out {
		for i := range table {
			out[j] = append(out[j], table[i][j])
		}
	}
	return out
}

// network is the work of one test. Chances are logarithms, less what the margins fix.
type network struct {
	columns    []int
	factorials []float64 // logarithms
	limit      float64   // the largest that counts
	ends       map[string]ends
	steps      int
}

// ends are the least and largest chance of the completions of a partial table.
type ends struct{ least, most float64 }

// past is a set of equally likely partial tables.
type past struct{ chance, tables float64 }

// node is what several partial tables leave of the rows.
type node struct {
	left []int
	past []past
}

// same is how far apart, by rounding errors, the logarithms of equal chances may lie.
const same = 1e-10

// settle sorts what lies behind a node by chance, puts what is equal together, and returns
// the sums of the chances up to each, over that of the likeliest.
func (at *node) settle() []float64 {
	slices.SortFunc(at.past, func(a, b past) int { return cmp.Compare(a.chance, b.chance) })
	kept := at.past[:1]
	for _, p := range at.past[1:] {
		if last := &kept[len(kept)-1]; p.chance-last.chance <= same {
			last.tables += p.tables
		} else {
			kept = append(kept, p)
		}
	}
	at.past = kept
	sums, top := make([]float64, len(kept)+1), kept[len(kept)-1].chance
	for i, p := range kept {
		sums[i+1] = sums[i] + p.tables*math.Exp(p.chance-top)
	}
	return sums
}

// walk goes through the columns and returns the chance of all tables that count.
func (n *network) walk(start []int, fixed float64) (float64, bool) {
	sum := 0.0
	level := map[string]*node{keyOf(start): {start, []past{{0, 1}}}}
	for j := range n.columns {
		next := make(map[string]*node)
		for _, key := range slices.Sorted(maps.Keys(level)) {
			at := level[key]
			sums := at.settle()
			top := at.past[len(at.past)-1].chance
			n.fill(at.left, n.columns[j], func(left []int, chance float64) {
				e := n.endsOf(left, j+1)
				// Of all before the first, every completion counts; of the last and all after, none.
				first, _ := slices.BinarySearchFunc(at.past, n.limit-chance-e.most, after)
				last, _ := slices.BinarySearchFunc(at.past, n.limit-chance-e.least, after)
				sum += sums[first] * math.Exp(top+chance+n.completions(left, j+1)+fixed)
				if first >= last {
					return
				}
				n.steps -= last - first
				key := keyOf(left)
				to := next[key]
				if to == nil {
					to = &node{left: left}
					next[key] = to
				}
				for _, p := range at.past[first:last] {
					to.past = append(to.past, past{p.chance + chance, p.tables})
				}
			})
			if n.steps < 0 {
				return 0, false
			}
		}
		level = next
	}
	return sum, true
}

// after places a bound behind the pasts that do not exceed it.
func after(p past, bound float64) int {
	if p.chance <= bound {
		return -1
	}
	return 1
}

// completions is the logarithm of the sum, over all ways to fill the columns from j on, of
// their chances.
func (n *network) completions(left []int, j int) float64 {
	total, out := 0, 0.0
	for _, v := range left {
		total += v
		out -= n.factorials[v]
	}
	for _, v := range n.columns[j:] {
		out -= n.factorials[v]
	}
	return out + n.factorials[total]
}

// endsOf returns the ends of what is left for the columns from j on.
func (n *network) endsOf(left []int, j int) ends {
	if j == len(n.columns) {
		return ends{}
	}
	key := keyOf(left) // what is left says which column is next
	if e, ok := n.ends[key]; ok {
		return e
	}
	out := ends{math.Inf(1), math.Inf(-1)}
	n.fill(left, n.columns[j], func(left []int, chance float64) {
		n.steps--
		e := n.endsOf(left, j+1)
		out = ends{math.Min(out.least, chance+e.least), math.Max(out.most, chance+e.most)}
	})
	n.ends[key] = out
	return out
}

// fill calls fn for each way to take a column of that size from the rows, with what it
// leaves of them in order of size, and its chance; none if there are no steps left.
func (n *network) fill(left []int, size int, fn func(left []int, chance float64)) {
	rest := slices.Clone(left)
	room := make([]int, len(left)+1) // in the rows from i on
	for i := len(left) - 1; i >= 0; i-- {
		room[i] = room[i+1] + left[i]
	}
	var take func(i, size int, chance float64)
	take = func(i, size int, chance float64) {
		if n.steps < 0 {
			return
		}
		if i == len(left) {
			sorted := slices.Clone(rest)
			slices.Sort(sorted)
			fn(sorted, chance)
			return
		}
		for v := max(0, size-room[i+1]); v <= min(size, left[i]); v++ {
			rest[i] = left[i] - v
			take(i+1, size-v, chance-n.factorials[v])
		}
		rest[i] = left[i]
	}
	take(0, size, 0)
}

// keyOf names what is left of the rows, each below 2^24.
func keyOf(left []int) string {
	key := make([]byte, 0, 3*len(left))
	for _, v := range left {
		key = append(key, byte(v), byte(v>>8), byte(v>>16))
	}
	return string(key)
}
