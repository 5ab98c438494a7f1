package series

import (
	"math"
	"time"
)

// Point is one observed value.
type Point struct {
	private

	Time   int64 // milliseconds since 1970 UTC, years 1 to 9999
	Value  float64
	Load   LoadID // the batch that gave the value
	Source SourceID
	Flags  Flags
}

// Flags are the findings of the quality checks about a point. 0 is a valid point
// that is no outlier.
type Flags uint8

// The findings.
const (
	Invalid Flags = 1 << iota // not to be used, and in no aggregate
	Outlier                   // far from the other values

	allFlags = Invalid | Outlier
)

// The bounds of the time of a point.
var (
	firstTime = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	lastTime  = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli() - 1
)

// sameContent reports whether p says the same as q; -0 is not 0.
func sameContent(p, q *Point) bool {
	return math.Float64bits(p.Value) == math.Float64bits(q.Value) && p.Flags == q.Flags
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
