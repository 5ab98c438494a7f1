package query

// Clusters are those of R's kmeans with Lloyd's algorithm, without who is in them.
type Clusters struct {
	N       int64 `json:"n"`
	Omitted int64 `json:"omitted"` // left out for a missing value

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
