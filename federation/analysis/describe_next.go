package analysis

import (
	"math"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// cancelled is the share of its squares below which a variance is what rounding left of
// equal values.
const cancelled = 1e-14

// momentOf describes values from the sums of their powers, in a unit of scale from center.
func momentOf(sums []float64, center, scale float64) query.Moment {
	n := sums[0]
	m := query.Moment{N: int64(n)}
	if n == 0 {
		return m
	}
	mean, square, cube, fourth := sums[1]/n, sums[2]/n, sums[3]/n, sums[4]/n
	second := square - mean*mean
	if second <= cancelled*square {
		second = 0
	}
	m.Mean = ptr(center + scale*mean)
	if n == 1 {
		return m
	}
	m.Variance = ptr(scale * scale * second * n / (n - 1))
	m.SD = ptr(math.Sqrt(*m.Variance))
	if second == 0 {
		return m
	}
	skewness := (cube - 3*mean*square + 2*mean*mean*mean) / math.Pow(second, 1.5)
	kurtosis := (fourth-4*mean*cube+6*mean*mean*square-3*mean*mean*mean*mean)/(second*second) - 3
	m.Skewness = query.Shape{Type1: &skewness, Type3: ptr(skewness * math.Pow(1-1/n, 1.5))}
	m.Kurtosis = query.Shape{Type1: &kurtosis, Type3: ptr((kurtosis+3)*(1-1/n)*(1-1/n) - 3)}
	if n > 2 {
		m.Skewness.Type2 = ptr(skewness * math.Sqrt(n*(n-1)) / (n - 2))
	}
	if n > 3 {
		m.Kurtosis.Type2 = ptr(((n+1)*kurtosis + 6) * (n - 1) / ((n - 2) * (n - 3)))
	}
	return m
}

// welch compares two means without taking the variances for equal, nil if there is no
// variance to compare them by.
//
// Source: Welch, Biometrika 34 (1947).
func welch(a, b query.Moment) *query.MeanDifference {
	if a.Variance == nil || b.Variance == nil || *a.Variance+*b.Variance == 0 {
		return nil
	}
	first, second := *a.Variance/float64(a.N), *b.Variance/float64(b.N)
	if a.NoiseSD != nil && b.NoiseSD != nil {
		first, second = first+*a.NoiseSD**a.NoiseSD, second+*b.NoiseSD**b.NoiseSD
	}
	se := math.Sqrt(first + second)
	df := (first + second) * (first + second) / (first*first/float64(a.N-1) + second*second/float64(b.N-1))
	difference := *a.Mean - *b.Mean
	statistic, width := difference/se, studentLimit(df)*se
	return &query.MeanDifference{
		Estimate: difference, Lower: difference - width, Upper: difference + width,
		Significance: query.Significance{Statistic: &statistic, DF: &df, P: studentBeyond(statistic, df)},
	}
}

// pairOf gives the covariance and correlation from a pair's sums.
func pairOf(first, second string, sums []float64, firstScale, secondScale float64) query.Pair {
	n := sums[pairNumber]
	p := query.Pair{First: first, Second: second, N: int64(n)}
	if n < 2 {
		return p
	}
	a, b := sums[pairFirst]/n, sums[pairSecond]/n
	together := sums[pairProduct]/n - a*b
	p.Covariance = ptr(firstScale * secondScale * together * n / (n - 1))
	aa, bb := sums[pairFirstSquare]/n-a*a, sums[pairSecondSquare]/n-b*b
	if aa > cancelled*sums[pairFirstSquare]/n && bb > cancelled*sums[pairSecondSquare]/n {
		p.Correlation = ptr(math.Max(-1, math.Min(1, together/math.Sqrt(aa*bb))))
	}
	return p
}
