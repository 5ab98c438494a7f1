package series

// What the tests of the encoding need.
var (
	EncodeChunk = encodeChunk
	DecodeChunk = decodeChunk
	Seal        = seal
)

// ChunkPoints is the largest number of points in a chunk.
const ChunkPoints = chunkPoints

// Times beyond these are refused.
var FirstTime, LastTime = firstTime, lastTime

// ReadBlock returns the points of a landed batch with their persons, as pairs.
func ReadBlock(body []byte) (persons []int64, points []Point, err error) {
	b, err := newBlockReader(&landed{load: 1, source: 1, body: body})
	if err != nil {
		return nil, nil, err
	}
	for r, ok := b.next(); ok && len(points) < 10*MaxBatch; r, ok = b.next() {
		before := len(points)
		if points, err = r.points(points); err != nil {
			return persons, points, err
		}
		for range len(points) - before {
			persons = append(persons, r.key.person)
		}
	}
	return persons, points, b.err()
}

// WriteBlock is the body of points of one variable, each of its own person.
func WriteBlock(persons []int64, points []Point) []byte {
	var w blockWriter
	for i := range persons {
		w.add(persons[i], 1, points[i:i+1])
	}
	return seal(w.body)
}

// Shrink makes everything that is done at once small.
func (s *Store) Shrink() {
	s.limits = limits{chunkPoints: 5, openPoints: 3, stepPoints: 11, stepSeries: 2, readRows: 2, retainRows: 2}
}
