package anchor

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics tell an operator how the chain is doing, without its logs.
type metrics struct {
	upToDate prometheus.Gauge
	last     prometheus.Gauge
	entries  prometheus.Gauge
	gas      prometheus.Counter
}

func newMetrics() metrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "trialmesh_chain_" + name, Help: help})
	}
	return metrics{
		upToDate: gauge("up_to_date", "Whether the chain held all it should when it was last compared: 1, or 0."),
		last:     gauge("up_to_date_time_seconds", "When the chain last held all it should, in seconds since 1970."),
		entries:  gauge("anchored_entries", "Entries of the newest checkpoint that this process anchored."),
		gas:      prometheus.NewCounter(prometheus.CounterOpts{Name: "trialmesh_chain_gas_total", Help: "Gas of what this process wrote."}),
	}
}

func (m metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.upToDate, m.last, m.entries, m.gas}
}

// compared notes how a comparison with the chain ended.
func (m metrics) compared(err error, now time.Time) {
	if err != nil {
		m.upToDate.Set(0)
		return
	}
	m.upToDate.Set(1)
	m.last.Set(float64(now.Unix()))
}
