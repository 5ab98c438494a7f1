package series

import "encoding/binary"

// Times are the first one, the largest step of which all others are multiples,
// and for each further point how much longer its step is than the one before it.

func appendTimes(dst []byte, points []Point) []byte {
	dst = binary.AppendVarint(dst, points[0].Time)
	if len(points) == 1 {
		return dst
	}
	unit := int64(0)
	for i := 1; i < len(points) && unit != 1; i++ {
		unit = gcd(points[i].Time-points[i-1].Time, unit)
	}
	unit = max(unit, 1)
	dst = binary.AppendUvarint(dst, uint64(unit))
	steps := make([]int64, len(points)-1)
	last := int64(0)
	for i := range steps {
		step := (points[i+1].Time - points[i].Time) / unit
		steps[i], last = step-last, step
	}
	return appendIntegers(dst, len(steps), func(i int) int64 { return steps[i] })
}

func (r *reader) times(points []Point) {
	t := r.varint()
	points[0].Time = t
	if len(points) > 1 {
		unit, step := int64(r.uvarint()), int64(0)
		r.integers(len(points)-1, func(i int, d int64) {
			step += d
			t += step * unit
			points[i+1].Time = t
		})
	}
	last := firstTime
	for i := range points {
		if points[i].Time < last || points[i].Time > lastTime {
			r.fail()
			return
		}
		last = points[i].Time
	}
}

// gcd of two numbers that are not negative, 0 for two zeros.
func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
