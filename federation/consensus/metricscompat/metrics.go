// Package metrics gives raft-wal the import path that go-metrics v0.7.0 dropped.
//
// raft-wal v0.4.2 imports github.com/hashicorp/go-metrics/compat, which existed
// up to go-metrics v0.6; raft and memberlist need v0.7.0. The names below are
// exactly those raft-wal uses. Delete this module once raft-wal imports
// go-metrics itself.
package metrics

import "github.com/hashicorp/go-metrics"

type (
	// Label is go-metrics' Label.
	Label = metrics.Label
	// Metrics is go-metrics' Metrics.
	Metrics = metrics.Metrics
)

// The functions raft-wal calls.
var (
	Default                = metrics.Default
	SetGauge               = metrics.SetGauge
	SetGaugeWithLabels     = metrics.SetGaugeWithLabels
	IncrCounter            = metrics.IncrCounter
	IncrCounterWithLabels  = metrics.IncrCounterWithLabels
	AddSample              = metrics.AddSample
	AddSampleWithLabels    = metrics.AddSampleWithLabels
	MeasureSince           = metrics.MeasureSince
	MeasureSinceWithLabels = metrics.MeasureSinceWithLabels
)
