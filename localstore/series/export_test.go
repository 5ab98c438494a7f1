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
	var failure error
	err = runs(body, 1, 1, func(r run) bool {
		before := len(points)
		if points, failure = r.points(points); failure != nil {
			return false
		}
		for range len(points) - before {
			persons = append(persons, r.key.person)
		}
		return len(points) < 10*MaxBatch
	})
	if failure != nil {
		err = failure
	}
	return persons, points, err
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
