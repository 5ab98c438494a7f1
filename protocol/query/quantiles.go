package query

import (
	"fmt"
	"strings"
)

// QuantilesSpec asks for quantiles of numeric columns.
type QuantilesSpec struct {
	Values        []string  `json:"values"`
	By            string    `json:"by,omitempty"`  // a column whose levels have their own
	Probabilities []float64 `json:"probabilities"` // 0 to 1
}

func (s *QuantilesSpec) columns() ([]string, error) { return with(s.Values, s.By), nil }
func (s *QuantilesSpec) answeredBy(o Outcome) bool  { return o.Quantiles != nil }
func (s *QuantilesSpec) words() string {
	return fmt.Sprintf("Quantiles %v of %s%s", s.Probabilities, strings.Join(s.Values, ", "), by(s.By))
}

// QuantileTable has quantiles of numeric columns, over all and by the levels of a factor.
type QuantileTable struct {
	N       int64 `json:"n"` // persons
	LeftOut       // left out for a missing value

	Columns []ColumnQuantiles `json:"columns"`
}

// ColumnQuantiles are those of one column.
type ColumnQuantiles struct {
	Name   string           `json:"name"`
	All    []Quantile       `json:"all"`
	Groups []GroupQuantiles `json:"groups,omitempty"`
}

// GroupQuantiles are those of one level.
type GroupQuantiles struct {
	Level     string     `json:"level"`
	N         int64      `json:"n"`
	Quantiles []Quantile `json:"quantiles"`
}

// Quantile is R's quantile of type 7, its default. Of nobody there is only P.
type Quantile struct {
	P float64 `json:"p"` // 0 to 1

	// Value is there if it is exact.
	Value *float64 `json:"value,omitempty"`

	// Low and High are there if it is not: the quantile lies between them, both included,
	// and between them are too few persons for the policy to say more.
	Low  *float64 `json:"low,omitempty"`
	High *float64 `json:"high,omitempty"`
}
