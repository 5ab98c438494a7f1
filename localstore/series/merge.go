package series

// merge puts incoming points into those of a chunk. Both are in the order of
// their times; of incoming points of one time the later ones come later. It counts
// each incoming point and returns what remains, one point for each time.
func merge(old, incoming []Point, count func(LoadID, func(*tally))) []Point {
	out := make([]Point, 0, len(old)+len(incoming))
	for i := range incoming {
		p := &incoming[i]
		for len(old) > 0 && old[0].Time <= p.Time {
			out, old = append(out, old[0]), old[1:]
		}
		last := len(out) - 1
		switch {
		case last < 0 || out[last].Time != p.Time:
			out = append(out, *p)
			count(p.Load, stored)
		case sameContent(&out[last], p):
			count(p.Load, duplicate)
		default:
			out[last] = *p
			count(p.Load, replaced)
		}
	}
	return append(out, old...)
}

func stored(t *tally)    { t.Stored++ }
func replaced(t *tally)  { t.Replaced++ }
func duplicate(t *tally) { t.Duplicates++ }
func expired(t *tally)   { t.Expired++ }

// cut divides points into chunks of up to size. Points that were added behind those that were
// there fill chunks to the brim; else they are divided evenly, so that each chunk
// has room for more in its midst.
func cut(points []Point, size int, behind bool) [][]Point {
	if !behind {
		n := (len(points) + size - 1) / size
		size = (len(points) + n - 1) / n
	}
	var out [][]Point
	for len(points) > size {
		out, points = append(out, points[:size]), points[size:]
	}
	return append(out, points)
}
