package series

import "encoding/binary"

// Aggregate is what is kept of the valid points of a span of time.
type Aggregate struct {
	private

	Time   int64 // begin of the span, milliseconds since 1970 UTC, a multiple of Width
	Width  int64 // milliseconds: one minute or one hour
	N      int64 // points, 1 or more
	Min    float64
	Max    float64
	Mean   float64
	First  float64 // value of the earliest point
	Last   float64 // value of the latest point
	Source SourceID
}

// The widths of aggregates.
const (
	minute = int64(60_000)
	hour   = 60 * minute
)

// floor returns the begin of the span of that width that t is in.
func floor(t, width int64) int64 {
	r := t % width
	if r < 0 {
		r += width
	}
	return t - r
}

// aggregateOf is the aggregate of one point.
func aggregateOf(p *Point) Aggregate {
	return Aggregate{Time: p.Time, N: 1, Min: p.Value, Max: p.Value, Mean: p.Value, First: p.Value, Last: p.Value, Source: p.Source}
}

// fold puts aggregates, in the order of time, into those of a greater width. It
// begins with what is in dst already, so that a span may come in parts.
func fold(dst []Aggregate, width int64, parts []Aggregate) []Aggregate {
	for _, a := range parts {
		a.Time, a.Width = floor(a.Time, width), width
		n := len(dst)
		if n == 0 || dst[n-1].Time != a.Time || dst[n-1].Source != a.Source {
			dst = append(dst, a)
			continue
		}
		dst[n-1].join(&a)
	}
	return dst
}

// join adds the later aggregate b to a.
func (a *Aggregate) join(b *Aggregate) {
	n := a.N + b.N
	// Not the difference of the means, which overflows for values of great size.
	a.Mean = a.Mean*(float64(a.N)/float64(n)) + b.Mean*(float64(b.N)/float64(n))
	a.N = n
	a.Min, a.Max = min(a.Min, b.Min), max(a.Max, b.Max)
	a.Last = b.Last
}

// columnsOf are the values of aggregates in the order they are written in.
var columnsOf = [...]func(*Aggregate) *float64{
	func(a *Aggregate) *float64 { return &a.Min },
	func(a *Aggregate) *float64 { return &a.Max },
	func(a *Aggregate) *float64 { return &a.Mean },
	func(a *Aggregate) *float64 { return &a.First },
	func(a *Aggregate) *float64 { return &a.Last },
}

// encodeAggregates returns the body of a row: times, numbers and five columns of
// values, written as those of a chunk. list is of one series and width.
func encodeAggregates(list []Aggregate) []byte {
	points := make([]Point, len(list))
	for i := range list {
		points[i].Time = list[i].Time
	}
	body := binary.AppendUvarint([]byte{formatVersion}, uint64(len(list)))
	body = appendTimes(body, points)
	body = appendIntegers(body, len(list), func(i int) int64 {
		if i == 0 {
			return list[0].N
		}
		return list[i].N - list[i-1].N
	})
	for _, column := range columnsOf {
		for i := range list {
			points[i].Value = *column(&list[i])
		}
		body = appendValues(body, points)
	}
	return seal(body)
}

// decodeAggregates adds the aggregates of a body to dst.
func decodeAggregates(dst []Aggregate, body []byte, width int64, source SourceID) ([]Aggregate, error) {
	r, err := unseal(body)
	if err != nil {
		return nil, err
	}
	n := r.count(chunkPoints)
	if n == 0 {
		return nil, errDamaged
	}
	points, list := make([]Point, n), make([]Aggregate, n)
	r.times(points)
	last := int64(0)
	r.integers(n, func(i int, d int64) {
		last += d
		list[i].N = last
		if last < 1 {
			r.fail()
		}
	})
	for _, column := range columnsOf {
		r.values(points)
		for i := range list {
			*column(&list[i]) = points[i].Value
		}
	}
	if r.bad || len(r.rest) > 0 {
		return nil, errDamaged
	}
	for i := range list {
		list[i].Time, list[i].Width, list[i].Source = points[i].Time, width, source
	}
	return append(dst, list...), nil
}
