package query

// HistogramSpec asks how many values lie between each two breaks.
type HistogramSpec struct {
	Value  string    `json:"value"`
	Breaks []float64 `json:"breaks"` // 2 to 1001, rising
}

func (s *HistogramSpec) columns() ([]string, error) { return []string{s.Value}, nil }
func (s *HistogramSpec) answeredBy(o Outcome) bool  { return o.Histogram != nil }
func (s *HistogramSpec) words() string              { return "Histogram of " + s.Value }

// FrequencyTable counts the values of a column in ranges, as R's hist does: each includes its
// upper end, and the first its lower one too.
type FrequencyTable struct {
	Name    string `json:"name"`
	N       int64  `json:"n"`       // persons with a value between the outermost breaks
	Outside int64  `json:"outside"` // persons with another value
	LeftOut        // persons without a value

	Bins []HistogramBin `json:"bins"`
}

// HistogramBin is one range. Ranges with fewer persons than may be shown are joined to
// their neighbours.
type HistogramBin struct {
	Low     float64 `json:"low"`
	High    float64 `json:"high"`
	Count   int64   `json:"count"`
	Density float64 `json:"density"` // Count by N and by the width of the range; 0 for nobody
}
