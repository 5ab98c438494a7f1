package ingest

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/trialmesh/trialmesh/localstore/omop"
)

type metrics struct {
	records prometheus.Counter
	rows    *prometheus.CounterVec // by outcome
}

func newMetrics() *metrics {
	return &metrics{
		records: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "trialmesh_ingest_records_total", Help: "Records read from files.",
		}),
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "trialmesh_ingest_rows_total", Help: "Rows by outcome (stored, replaced, duplicate, rejected).",
		}, []string{"outcome"}),
	}
}

// observe counts a committed batch.
func (m *metrics) observe(records int64, r omop.Result) {
	m.records.Add(float64(records))
	for outcome, n := range map[string]int{"stored": r.Stored, "replaced": r.Replaced, "duplicate": r.Duplicates, "rejected": len(r.Refused)} {
		m.rows.WithLabelValues(outcome).Add(float64(n))
	}
}

// Collectors returns the metrics of loads, to be registered by whoever made the
// Service.
func (s *Service) Collectors() []prometheus.Collector {
	return []prometheus.Collector{s.m.records, s.m.rows}
}
