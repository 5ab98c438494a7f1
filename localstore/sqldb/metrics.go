package sqldb

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// discard is the log of libraries whose errors we return anyway.
var discard = slog.New(slog.DiscardHandler)

type metrics struct {
	transactions *prometheus.HistogramVec // by mode
	failures     *prometheus.CounterVec   // by mode and reason
	pool         []prometheus.Collector
}

func newMetrics(d Dialect) *metrics {
	labels := prometheus.Labels{"dialect": string(d)}
	return &metrics{
		transactions: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "trialmesh_sqldb_transaction_seconds", Help: "Duration of transactions, with the wait for a connection.",
			ConstLabels: labels, Buckets: prometheus.ExponentialBuckets(0.0005, 4, 9),
		}, []string{"mode"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "trialmesh_sqldb_transaction_failures_total", Help: "Transactions that did not commit.",
			ConstLabels: labels,
		}, []string{"mode", "reason"}),
	}
}

// watch adds gauges of the pools of db.
func (m *metrics) watch(db *DB) {
	gauge := func(mode txMode, f func() float64) {
		m.pool = append(m.pool, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "trialmesh_sqldb_connections_busy", Help: "Connections in use.",
			ConstLabels: prometheus.Labels{"dialect": string(db.dialect), "mode": string(mode)},
		}, f))
	}
	if db.dialect == Postgres {
		gauge(modeWrite, func() float64 { return float64(db.pool.Stat().AcquiredConns()) })
		return
	}
	gauge(modeWrite, func() float64 { return float64(db.writer.Stats().InUse) })
	gauge(modeRead, func() float64 { return float64(db.reader.Stats().InUse) })
}

func (m *metrics) observe(mode txMode, took time.Duration, err error) {
	m.transactions.WithLabelValues(string(mode)).Observe(took.Seconds())
	if err != nil {
		m.failures.WithLabelValues(string(mode), reason(err)).Inc()
	}
}

// reason is the closed list of labels for a failed transaction.
func reason(err error) string {
	switch {
	case errors.Is(err, ErrLocked):
		return "locked"
	case errors.Is(err, ErrFull):
		return "full"
	case errors.Is(err, ErrUnavailable):
		return "unavailable"
	case errors.Is(err, ErrDamaged):
		return "damaged"
	case errors.Is(err, ErrConflict):
		return "conflict"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "canceled"
	default:
		return "caller"
	}
}

// Collectors returns the metrics of db, to be registered by whoever opened it.
func (db *DB) Collectors() []prometheus.Collector {
	return append([]prometheus.Collector{db.m.transactions, db.m.failures}, db.m.pool...)
}
