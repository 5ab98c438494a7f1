package peer

import "github.com/prometheus/client_golang/prometheus"

// newEvaluations returns the histogram of how long questions were evaluated, from the
// consents to the numbers before the gate.
func newEvaluations() prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "trialmesh_peer_evaluation_seconds", Help: "How long a question was evaluated at this node.",
		Buckets: []float64{.001, .003, .01, .03, .1, .3, 1, 3, 10, 30, 100},
	})
}

// Collectors returns the peer's metrics.
func (p *Peer) Collectors() []prometheus.Collector { return []prometheus.Collector{p.evaluations} }
