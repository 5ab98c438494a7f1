package anonymity

import (
	"errors"
	"math"
)

// Goal is what every class of a released table has to be.
type Goal struct {
	// K is the least number of records of a class, 2 or more (Sweeney, "k-anonymity: a
	// model for protecting privacy", 2002).
	K int

	// L is the least number of values of each sensitive attribute in a class, 0 or 1
	// for any (Machanavajjhala and others, "l-diversity: privacy beyond k-anonymity",
	// 2007, distinct l-diversity).
	L int

	// EntropyL bounds from below e to the entropy of each sensitive attribute in a
	// class: as if it had that many equally frequent values. 0 or 1 for any (the same,
	// definition 4.1).
	EntropyL float64

	// Limit is the share of the records that may be suppressed, from 0 to below 1.
	Limit float64
}

// Validate returns what is wrong with g.
func (g Goal) Validate() error {
	switch {
	case g.K < 2:
		return errors.New("k: want 2 or more")
	case g.L < 0 || g.EntropyL < 0 || math.IsNaN(g.EntropyL) || math.IsInf(g.EntropyL, 0):
		return errors.New("l, entropy-l: want 0 or more")
	case !(g.Limit >= 0 && g.Limit < 1):
		return errors.New("suppression limit: want a share from 0 to below 1")
	}
	return nil
}

// Reason says why a class is suppressed.
type Reason int

// The reasons. A class that is small is suppressed for that, whatever its values.
const (
	Kept Reason = iota
	Small
	Uniform // too few sensitive values, or one that is too frequent
)

// rounding is what sums of logarithms may lack.
const rounding = 1e-9

func (g Goal) judge(c *class) Reason {
	if c.records < g.K {
		return Small
	}
	for _, values := range c.values {
		if len(values) < g.L || g.EntropyL > 1 && entropy(values, c.records) < math.Log(g.EntropyL)-rounding {
			return Uniform
		}
	}
	return Kept
}

// entropy is that of a class's values, in nats.
func entropy(values map[int64]int, records int) float64 {
	var h float64
	for _, n := range values {
		p := float64(n) / float64(records)
		h -= p * math.Log(p)
	}
	return h
}
