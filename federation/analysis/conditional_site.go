package analysis

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// member is a row of a set. Covariates are less those of the set's first row.
type member struct {
	events, offset float64
	x              []float64
}

func (m member) compare(o member) int {
	return cmp.Or(cmp.Compare(o.events, m.events), cmp.Compare(m.offset, o.offset), slices.Compare(m.x, o.x))
}

// sets returns the rows of each set of a frame, those with events first.
func (c conditional) sets(f *Frame) ([][]member, error) {
	read, err := c.matrix.Reader(f)
	if err != nil {
		return nil, err
	}
	readOffsets, err := c.offsets.Reader(f)
	if err != nil {
		return nil, err
	}
	of := make(map[string][]member)
	x, offsets := make([]float64, c.p+1), make([]float64, c.offsets.Width())
	events := f.Values(c.response)
	strata := make([][]float64, len(c.strata))
	for k, name := range c.strata {
		strata[k] = f.Values(name)
	}
	for i := range f.Len() {
		read(i, x)
		readOffsets(i, offsets)
		m := member{events: events[i], x: slices.Clone(x[1:])}
		for _, o := range offsets {
			m.offset += o
		}
		var key []byte
		for _, values := range strata {
			key = binary.NativeEndian.AppendUint64(key, math.Float64bits(values[i]+0)) // -0 is 0
		}
		of[string(key)] = append(of[string(key)], m)
	}
	out := make([][]member, 0, len(of))
	for _, members := range of {
		slices.SortFunc(members, member.compare)
		first := slices.Clone(members[0].x)
		for _, m := range members {
			for j := range m.x {
				m.x[j] -= first[j]
			}
		}
		out = append(out, members)
	}
	return out, nil
}

func (c conditional) Site(s conditionalState, f *Frame, sums *Sums) error {
	if err := c.check(s); err != nil {
		return err
	}
	sets, err := c.sets(f)
	if err != nil {
		return err
	}
	for _, members := range sets {
		if s.Scale == nil {
			c.count(members, sums)
			continue
		}
		total := 0.0
		for _, m := range members {
			total += m.events
		}
		if c.informative(len(members), total) && !c.large(members) {
			c.add(s, members, total, sums)
		}
	}
	return nil
}

// Varied counts the informative sets of a site in which each covariate varies. Those of
// all sites are enough where [conditional.counted] says so, but of one site they may be few whose
// sums are left when those of the others are known. A set in which a steep offset leaves little
// of what a covariate varies by counts as little; what there is in all is rounded up.
func (c conditional) Varied(f *Frame) ([]Varied, error) {
	sets, err := c.sets(f)
	if err != nil {
		return nil, err
	}
	varied := make([]Varied, c.p)
	for j := range varied {
		varied[j].Covariate = c.matrix.Names[1+j]
	}
	shares := make([]float64, c.p)
	for _, members := range sets {
		events := 0.0
		for _, m := range members {
			events += m.events
		}
		if !c.informative(len(members), events) {
			continue
		}
		for j := range varied {
			if c.varies(members, j) {
				shares[j] += c.left(members, j)
			}
		}
	}
	for j, sets := range shares {
		varied[j].Sets = int(math.Ceil(sets - offBy))
	}
	return varied, nil
}

// offBy is how far from a whole number of sets their shares may add up.
const offBy = 1e-6

// left returns which share of a covariate's variance in a set is left by the offset that whoever asks
// chose, at most 1 and above what [offBy] takes for none. A count of events has the offset of its days.
func (c conditional) left(members []member, covariate int) float64 {
	most, least := math.Inf(-1), math.Inf(1)
	for _, m := range members {
		most, least = max(most, m.offset), min(least, m.offset)
	}
	if c.ties == "" || most == least {
		return 1
	}
	variance := func(weight func(member) float64) float64 {
		total, mean, squares := 0.0, 0.0, 0.0
		for _, m := range members {
			total += weight(m)
		}
		for _, m := range members {
			mean += weight(m) / total * m.x[covariate]
		}
		for _, m := range members {
			squares += weight(m) / total * (m.x[covariate] - mean) * (m.x[covariate] - mean)
		}
		return squares
	}
	share := variance(func(m member) float64 { return math.Exp(m.offset - most) }) / variance(func(member) float64 { return 1 })
	return min(max(share, 2*offBy), 1)
}

// varies reports whether a covariate has several values in a set.
func (c conditional) varies(members []member, covariate int) bool {
	return slices.ContainsFunc(members, func(m member) bool { return m.x[covariate] != 0 })
}

func (c conditional) large(members []member) bool {
	return c.ties == query.Exact && len(members) > MaxExactSet
}

// count adds up what a set has, and the squares of its covariates relative to the range
// that the declaration allows.
func (c conditional) count(members []member, sums *Sums) {
	n, events := float64(len(members)), 0.0
	for _, m := range members {
		if m.events != math.Trunc(m.events) {
			sums.Add(conditionalPartial, 1)
		}
		sums.Add(conditionalEvents, m.events)
		events += m.events
	}
	sums.Add(conditionalSets, 1)
	sums.Add(conditionalRows, n)
	if c.large(members) {
		sums.Add(conditionalLarge, 1)
	}
	if !c.informative(len(members), events) {
		return
	}
	sums.Add(conditionalInformative, 1)
	sums.Add(conditionalInformativeRows, n)
	for j := range c.p {
		half := c.half(j)
		if half == 0 || !c.varies(members, j) {
			continue
		}
		mean, squares := 0.0, 0.0
		for _, m := range members {
			mean += m.x[j] / half / n
		}
		for _, m := range members {
			squares += (m.x[j]/half - mean) * (m.x[j]/half - mean)
		}
		sums.Add(conditionalMoments+2*j, squares)
		sums.Add(conditionalMoments+2*j+1, 1)
	}
}

// half is half of the width of what a covariate can be.
func (c conditional) half(covariate int) float64 {
	low, high := c.matrix.Bounds(covariate + 1)
	return high/2 - low/2
}

// add adds a set's log likelihood with its derivatives at the state's coefficients.
func (c conditional) add(s conditionalState, members []member, events float64, sums *Sums) {
	linear := make([]float64, len(members))
	for i, m := range members {
		linear[i] = m.offset
		for j := range m.x {
			if s.Scale[j] == 0 {
				m.x[j] = 0
			} else {
				m.x[j] /= s.Scale[j]
			}
			linear[i] += m.x[j] * s.Coefficients[j]
		}
	}
	most := slices.Max(linear)
	risks := make([]float64, len(members))
	for i, m := range members {
		linear[i] -= most
		risks[i] = math.Exp(linear[i])
		if m.events > 0 {
			sums.Add(0, m.events*linear[i])
			for j, v := range m.x {
				sums.Add(1+j, m.events*v)
			}
		}
	}
	if c.ties == query.Exact {
		c.draw(exactDraw(members, risks, int(events), c.p), 1, sums)
		return
	}
	all, dead := newChoices(c.p), newChoices(c.p)
	for i, m := range members {
		all.add(risks[i], m.x)
		if m.events > 0 && c.ties == query.Efron {
			dead.add(risks[i], m.x)
		}
	}
	if c.ties != query.Efron {
		c.draw(all, events, sums)
		return
	}
	for l := range int(events) {
		c.draw(all.less(dead, float64(l)/events), 1, sums)
	}
}

// draw takes off what so many draws from the members of a set expect.
func (c conditional) draw(of choices, draws float64, sums *Sums) {
	sums.Add(0, -draws*of.log())
	for i := range c.p {
		mean := of.first[i] / of.total
		sums.Add(1+i, -draws*mean)
		for j := range i + 1 {
			sums.Add(1+c.p+packed(i, j), draws*(of.second[packed(i, j)]/of.total-mean*of.first[j]/of.total))
		}
	}
}

// choices are the sums of w, wx and wxx' over the possible outcomes of a draw.
type choices struct {
	total, factor float64 // the logarithm of a common factor of all of them
	first, second []float64
}

func newChoices(p int) choices {
	return choices{first: make([]float64, p), second: make([]float64, packed(p, 0))}
}

func (w *choices) log() float64 { return math.Log(w.total) + w.factor }

func (w *choices) add(risk float64, x []float64) {
	w.total += risk
	for i := range x {
		w.first[i] += risk * x[i]
		for j := range i + 1 {
			w.second[packed(i, j)] += risk * x[i] * x[j]
		}
	}
}

// less returns w less a share of o.
func (w *choices) less(o choices, share float64) choices {
	out := choices{total: w.total - share*o.total, first: slices.Clone(w.first), second: slices.Clone(w.second)}
	for i := range out.first {
		out.first[i] -= share * o.first[i]
	}
	for i := range out.second {
		out.second[i] -= share * o.second[i]
	}
	return out
}

// exactDraw sums over all ways to choose as many members as there are events, each with
// the product of its risks as weight. It takes member after member, and keeps the sums over
// choices of each size up to that.
//
// Weights would overflow, so a member is chosen with probability cr/(1 + cr), and c such
// that choices of the size wanted are likely; log gives back the sum of the products.
//
// Source: Gail, Lubin and Rubinstein, "Likelihood calculations for matched case-control
// studies and survival studies with tied death times", Biometrika 68 (1981) 703-707.
func exactDraw(members []member, risks []float64, events, p int) choices {
	mean := 0.0
	for _, r := range risks {
		mean += r / float64(len(risks))
	}
	tilt := float64(events) / float64(len(members)-events) / mean
	sizes := make([]choices, events+1)
	for k := range sizes {
		sizes[k] = newChoices(p)
	}
	sizes[0].total = 1
	factor := -float64(events) * math.Log(tilt)
	for n, m := range members {
		odds := tilt * risks[n]
		factor += math.Log1p(odds)
		yes, no := odds/(1+odds), 1/(1+odds)
		for k := min(n+1, events); k >= 0; k-- {
			of := &sizes[k]
			of.scale(no)
			if k > 0 {
				of.join(sizes[k-1], yes, m.x)
			}
		}
	}
	out := sizes[events]
	out.factor = factor
	return out
}

func (w *choices) scale(by float64) {
	w.total *= by
	for i := range w.first {
		w.first[i] *= by
	}
	for i := range w.second {
		w.second[i] *= by
	}
}

// join adds the outcomes of o with one more member of covariates x, with a weight.
func (w *choices) join(o choices, weight float64, x []float64) {
	w.total += weight * o.total
	for i := range x {
		w.first[i] += weight * (o.first[i] + x[i]*o.total)
		for j := range i + 1 {
			w.second[packed(i, j)] += weight * (o.second[packed(i, j)] + x[i]*o.first[j] + o.first[i]*x[j] + x[i]*x[j]*o.total)
		}
	}
}
