package analysis

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// confidence is what all limits are for.
const confidence = 0.95

// chiSquaredAbove is the chance that χ² with df degrees of freedom exceeds x >= 0.
func chiSquaredAbove(x, df float64) float64 { return mathext.GammaIncRegComp(df/2, x/2) }

// studentBeyond is the chance that Student's t with df degrees of freedom is further from
// 0 than t.
func studentBeyond(t, df float64) float64 { return mathext.RegIncBeta(df/2, 0.5, df/(df+t*t)) }

// studentLimit is the t beyond which Student's distribution has 1 - [confidence].
func studentLimit(df float64) float64 {
	return rootOf(func(t float64) bool { return studentBeyond(t, df) <= 1-confidence }, 0, 1e9)
}

// normalLimit is the number beyond which, on both sides, the normal distribution has
// 1 - [confidence].
var normalLimit = math.Sqrt2 * math.Erfinv(confidence)

// finest is how near to each other bounds of a root may come: far below any that is looked
// for but 0, which would otherwise take a thousand steps.
const finest = 1e-25

// rootOf returns the least number between low and high for which above is true, above
// being false before it and true from it on, to the last bit or two.
func rootOf(above func(float64) bool, low, high float64) float64 {
	for {
		middle := low + (high-low)/2
		if middle <= low || middle >= high || high-low <= finest {
			return high
		}
		if above(middle) {
			high = middle
		} else {
			low = middle
		}
	}
}
