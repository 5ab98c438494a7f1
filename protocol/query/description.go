package query

import (
	"strings"
)

// DescribeSpec asks for moments of numeric columns and how each two vary together.
type DescribeSpec struct {
	Values []string `json:"values"`

	// By is a column whose levels are described one by one, too.
	By string `json:"by,omitempty"`

	// Pairwise takes each column, and each pair, over those who have it; otherwise whoever
	// misses one is left out.
	Pairwise bool `json:"pairwise,omitempty"`
}

func (s *DescribeSpec) columns() ([]string, error) { return with(s.Values, s.By), nil }
func (s *DescribeSpec) answeredBy(o Outcome) bool  { return o.Description != nil }
func (s *DescribeSpec) words() string {
	return "Mean, variance, skewness, kurtosis and covariances of " + strings.Join(s.Values, ", ") + by(s.By)
}

// Description describes numeric columns and how they vary together.
type Description struct {
	// N is the number of persons, LeftOut of those left out for a missing value: none if
	// each column, or pair, is taken by those who have it.
	N int64 `json:"n"`
	LeftOut

	// Columns are in the order of the question.
	Columns []ColumnDescription `json:"columns"`

	// Pairs are of two different columns, the later one second.
	Pairs []Pair `json:"pairs,omitempty"`

	// Warnings say what noise does to the numbers, where there is some.
	Warnings []string `json:"warnings,omitempty"`
}

// ColumnDescription describes one column, for everybody and for each group.
type ColumnDescription struct {
	Name   string    `json:"name"`
	All    Moment    `json:"all"`
	Groups []Grouped `json:"groups,omitempty"`

	// Welch compares the means of two groups; it is there if there are two and they vary.
	Welch *MeanDifference `json:"welch,omitempty"`
}

// Grouped is a description of one level of a factor.
type Grouped struct {
	Level string `json:"level"`
	Moment
}

// Moment is what R's mean, var, sd and e1071's skewness and kurtosis give for N values.
// What N values do not define is absent.
type Moment struct {
	N        int64    `json:"n"`
	Mean     *float64 `json:"mean,omitempty"`
	Variance *float64 `json:"variance,omitempty"` // divided by N - 1
	SD       *float64 `json:"sd,omitempty"`
	Skewness Shape    `json:"skewness"`
	Kurtosis Shape    `json:"kurtosis"` // excess over the normal distribution's 3

	// Of noise in the mean and in the variance, the standard deviation; absent without noise.
	NoiseSD         *float64 `json:"noiseSd,omitempty"`
	VarianceNoiseSD *float64 `json:"varianceNoiseSd,omitempty"`
}

// Shape is a skewness or kurtosis by each of the three definitions in use: those of
// DataSHIELD's argument method and of e1071's argument type, whose defaults are 1 and 3.
//
// Source: Joanes and Gill, "Comparing measures of sample skewness and kurtosis", The
// Statistician 47 (1998).
type Shape struct {
	Type1 *float64 `json:"type1,omitempty"` // by the variance divided by N
	Type2 *float64 `json:"type2,omitempty"` // unbiased for a normal distribution; SAS, SPSS
	Type3 *float64 `json:"type3,omitempty"` // by the variance divided by N - 1; Minitab
}

// MeanDifference is Welch's test of two means: R's t.test.
type MeanDifference struct {
	// Estimate is the mean of the first group less that of the second, with its 95 %
	// limits.
	Estimate float64 `json:"estimate"`
	Lower    float64 `json:"lower"`
	Upper    float64 `json:"upper"`

	Significance
}

// Pair is how two columns vary together.
type Pair struct {
	First       string   `json:"first"`
	Second      string   `json:"second"`
	N           int64    `json:"n"`
	Covariance  *float64 `json:"covariance,omitempty"` // divided by N - 1
	Correlation *float64 `json:"correlation,omitempty"`
}
