package jobs

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	attempts *prometheus.CounterVec   // by kind and outcome
	seconds  *prometheus.HistogramVec // by kind
}

func newMetrics() *metrics {
	return &metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "trialmesh_jobs_attempts_total", Help: "Attempts at jobs by kind and outcome (done, failed, later, dead, stopped).",
		}, []string{"kind", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "trialmesh_jobs_attempt_seconds", Help: "Duration of attempts at jobs.",
			Buckets: prometheus.ExponentialBuckets(0.01, 4, 9),
		}, []string{"kind"}),
	}
}

func (m *metrics) observe(kind, outcome string, took time.Duration) {
	m.attempts.WithLabelValues(kind, outcome).Inc()
	m.seconds.WithLabelValues(kind).Observe(took.Seconds())
}

// Collectors returns the metrics of the queue, to be registered by whoever made it.
func (q *Queue) Collectors() []prometheus.Collector {
	return []prometheus.Collector{q.m.attempts, q.m.seconds}
}
