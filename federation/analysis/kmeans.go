package analysis

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// KMeans divides persons into clusters by Lloyd's algorithm from public starting centres:
// R's kmeans(x, Starts, algorithm = "Lloyd"). Its result is a *[query.Clusters].
//
// The first round finds the columns' means and deviations, which keep the digits of later
// sums. Then rounds alternate: one counts who is in which cluster now and was in which
// before, the next takes the sums of each cluster. The sums of two steps differ by the rows
// of those who changed, so with MinCell no sums are taken where these are few.
//
// As R warns of an empty cluster, and has no centre for it, there is no result then.
//
// Source: Lloyd, IEEE Transactions on Information Theory 28 (1982); R, help page of kmeans.
type KMeans struct {
	Values []Column // numeric

	// Starts are the starting centres, 2 to 32, each with a number for each column; in
	// units of standard deviations from the mean if Scale is set.
	Starts [][]float64

	// Scale gives each column the mean 0 and the variance 1 first: kmeans(scale(x), …).
	Scale bool

	// Steps bounds the steps, 1 to 19; 0 is R's iter.max, 10.
	Steps int

	// MinCell is the least number of persons, besides 0, in a cluster, and of those who
	// change from one to another between any two steps. 0 and 1 ask for nothing.
	MinCell int64
}

// Limits of k-means: a step takes two rounds of [MaxRounds].
const (
	maxClusters    = 32
	maxKMeansSteps = 19
	kmeansStepsOfR = 10
)

// New checks the question and returns the method.
func (m KMeans) New() (Iteration, error) {
	if _, err := NewFrame(m.Values); err != nil {
		return nil, fmt.Errorf("kmeans: values: %w", err)
	}
	for _, c := range m.Values {
		if err := numeric(c); err != nil {
			return nil, fmt.Errorf("kmeans: values: %w", err)
		}
	}
	if len(m.Starts) < 2 || len(m.Starts) > maxClusters {
		return nil, fmt.Errorf("kmeans: starts: 2 to %d centres", maxClusters)
	}
	for i, s := range m.Starts {
		if len(s) != len(m.Values) {
			return nil, fmt.Errorf("kmeans: starts: centre %d has %d numbers for %d columns", i, len(s), len(m.Values))
		}
		for _, v := range s {
			if !(math.Abs(v) <= maxMean) {
				return nil, fmt.Errorf("kmeans: starts: centre %d does not lie within %g", i, maxMean)
			}
		}
		if slices.ContainsFunc(m.Starts[:i], func(o []float64) bool { return slices.Equal(o, s) }) {
			return nil, errors.New("kmeans: starts: initial centers are not distinct")
		}
	}
	if m.Steps == 0 {
		m.Steps = kmeansStepsOfR
	}
	if m.Steps < 1 || m.Steps > maxKMeansSteps {
		return nil, fmt.Errorf("kmeans: steps: 1 to %d", maxKMeansSteps)
	}
	if m.MinCell < 0 {
		return nil, errors.New("kmeans: minCell: must not be below 0")
	}
	return Iterate(kmeans{m}), nil
}

type kmeans struct{ KMeans }

// kmeansState is the state between two rounds.
type kmeansState struct {
	Center []float64 `json:"center,omitempty"` // the columns' means; nothing at first
	Scale  []float64 `json:"scale,omitempty"`  // the columns' deviations

	// Centers are those of each step so far, the last yet to be used.
	Centers [][][]float64 `json:"centers,omitempty"`
	Sums    bool          `json:"sums"` // whether the round takes sums or counts

	Found []query.Cluster `json:"found,omitempty"` // of the last sums, the centres being the last
}

func (m kmeans) Columns() []Column { return m.Values }

// Parameters are the numbers of persons, the centres and the sums of squares.
func (m kmeans) Parameters() int    { return len(m.Starts) * (2*len(m.Values) + 1) }
func (m kmeans) Start() kmeansState { return kmeansState{} }

func (m kmeans) Numbers(s kmeansState) int {
	k, p := len(m.Starts), len(m.Values)
	switch {
	case s.Center == nil:
		return 3 * p
	case s.Sums:
		return k * (2*p + 1)
	case len(s.Centers) == 1:
		return k
	}
	return (len(s.Centers) - 1) * k * k
}

func (m kmeans) Site(s kmeansState, f *Frame, sums *Sums) error {
	k, p := len(m.Starts), len(m.Values)
	if s.Center == nil {
		for j, c := range m.Values {
			addScaled(c, f.Values(c.Name), sums, 3*j)
		}
		return nil
	}
	if err := m.check(s); err != nil {
		return err
	}
	last := len(s.Centers) - 1
	z := make([]float64, p)
	for row := range f.Len() {
		for j, c := range m.Values {
			z[j] = f.Values(c.Name)[row]
			if m.Scale {
				z[j] = (z[j] - s.Center[j]) / s.Scale[j]
			}
		}
		to := nearest(z, s.Centers[last])
		switch {
		case s.Sums:
			at := to * (2*p + 1)
			sums.Add(at, 1)
			for j, v := range z {
				u := (v - s.Centers[last][to][j]) / m.unit(s, j)
				sums.Add(at+1+j, u)
				sums.Add(at+1+p+j, u*u)
			}
		case last == 0:
			sums.Add(to, 1)
		default:
			for step, centers := range s.Centers[:last] {
				sums.Add((step*k+nearest(z, centers))*k+to, 1)
			}
		}
	}
	return nil
}

// check reports a state of another question.
func (m kmeans) check(s kmeansState) error {
	p := len(m.Values)
	bad := len(s.Center) != p || len(s.Scale) != p || len(s.Centers) == 0
	for _, centers := range s.Centers {
		bad = bad || len(centers) != len(m.Starts) ||
			slices.ContainsFunc(centers, func(c []float64) bool { return len(c) != p })
	}
	if bad {
		return errors.New("kmeans: the state is of another question")
	}
	return nil
}

// unit is what distances along a column are divided by, so that they are near 1.
func (m kmeans) unit(s kmeansState, column int) float64 {
	if m.Scale {
		return 1
	}
	return s.Scale[column]
}

// nearest returns the first of the centres that no other is nearer than.
func nearest(z []float64, centers [][]float64) int {
	best, at := math.Inf(1), 0
	for i, c := range centers {
		distance := 0.0
		for j, v := range z {
			d := v - c[j]
			distance += float64(d * d) // converted, so that no processor fuses the two
		}
		if distance < best {
			best, at = distance, i
		}
	}
	return at
}
