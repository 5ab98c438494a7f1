package query

import (
	"fmt"
	"strings"
)

// KMeansSpec asks for clusters of persons by numeric columns, which are scaled to a mean of
// 0 and a variance of 1.
type KMeansSpec struct {
	Values []string `json:"values"`

	// Clusters is their number, 2 to 10. They start at points on the diagonal, evenly
	// from -1.5 to 1.5: with starts to choose, one could move them past one person.
	Clusters int `json:"clusters"`

	Steps int `json:"steps,omitempty"` // at most, 1 to 19; R's 10 if it is left out
}

func (s *KMeansSpec) columns() ([]string, error) {
	if s.Clusters < 2 || s.Clusters > 10 {
		return nil, invalid("analysis.kMeans.clusters: 2 to 10")
	}
	return s.Values, nil
}

func (s *KMeansSpec) answeredBy(o Outcome) bool { return o.Clusters != nil }
func (s *KMeansSpec) words() string {
	return fmt.Sprintf("%d clusters of persons by %s", s.Clusters, strings.Join(s.Values, ", "))
}

// Clusters are those of R's kmeans with Lloyd's algorithm, without who is in them.
type Clusters struct {
	N       int64 `json:"n"`
	LeftOut       // left out for a missing value

	// Columns are in the order of the question, as are the centres. With a Scale, all
	// else is in units of it, from Center.
	Columns []ScaledColumn `json:"columns"`

	Clusters  []Cluster `json:"clusters"`
	WithinSS  float64   `json:"withinSs"` // over all clusters
	BetweenSS float64   `json:"betweenSs"`
	TotalSS   float64   `json:"totalSs"`

	// Iterations are R's iter. Unless Converged, another step would move persons: as
	// many steps as allowed were taken, or fewer than the policy's least cell, but some,
	// would change from one cluster to another, which is Held.
	Iterations int  `json:"iterations"`
	Converged  bool `json:"converged"`
	Held       bool `json:"held"`
}

// Cluster is one of them.
type Cluster struct {
	N        int64     `json:"n"`
	Center   []float64 `json:"center"`
	WithinSS float64   `json:"withinSs"` // squared distances from the centre
}
