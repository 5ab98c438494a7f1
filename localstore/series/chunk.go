package series

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// chunkPoints is the largest number of points in a chunk. Larger ones compress no
// better and make it dearer to add a point; DESIGN.md has the measurement.
const chunkPoints = 1024

// formatVersion is the first byte of every body.
const formatVersion = 1

// errDamaged says that a body in the database is not what was written there.
var errDamaged = errors.New("a stored body is damaged; restore the database from a backup")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal ends a body that begins with formatVersion with its CRC-32C.
func seal(body []byte) []byte {
	return binary.LittleEndian.AppendUint32(body, crc32.Checksum(body, castagnoli))
}

// unseal returns what stands between the version and the checksum.
func unseal(body []byte) (*reader, error) {
	end := len(body) - crc32.Size
	if end < 1 || crc32.Checksum(body[:end], castagnoli) != binary.LittleEndian.Uint32(body[end:]) || body[0] != formatVersion {
		return nil, errDamaged
	}
	return &reader{rest: body[1:end]}, nil
}

// encodeChunk returns the body of a chunk. points are of one series, in the order
// of their times, 1 to chunkPoints.
func encodeChunk(points []Point) []byte {
	body := append(make([]byte, 0, 2*len(points)+64), formatVersion)
	body = appendRun(body, points)
	return seal(appendLoads(body, points))
}

// decodeChunk adds the points of a body to dst, with source.
func decodeChunk(dst []Point, body []byte, source SourceID) ([]Point, error) {
	r, err := unseal(body)
	if err != nil {
		return nil, err
	}
	from := len(dst)
	dst = r.run(dst, chunkPoints)
	points := dst[from:]
	r.loads(points)
	if r.bad || len(r.rest) > 0 {
		return nil, errDamaged
	}
	for i := range points {
		points[i].Source = source
		if i > 0 && points[i].Time == points[i-1].Time {
			return nil, errDamaged
		}
	}
	return dst, nil
}

// appendRun adds times, values and flags.
func appendRun(dst []byte, points []Point) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(points)))
	dst = appendTimes(dst, points)
	dst = appendValues(dst, points)
	return appendIntegers(dst, len(points), func(i int) int64 { return int64(points[i].Flags) })
}

// run adds up to limit points to dst; none when damaged.
func (r *reader) run(dst []Point, limit int) []Point {
	n := r.count(limit)
	if n == 0 {
		return dst
	}
	from := len(dst)
	dst = append(dst, make([]Point, n)...)
	points := dst[from:]
	r.times(points)
	r.values(points)
	r.integers(n, func(i int, v int64) {
		if v < 0 || v > int64(allFlags) {
			r.fail()
			return
		}
		points[i].Flags = Flags(v)
	})
	return dst
}

// appendLoads adds which load each point is from, as differences, the first from 0.
func appendLoads(dst []byte, points []Point) []byte {
	return appendIntegers(dst, len(points), func(i int) int64 {
		if i == 0 {
			return int64(points[0].Load)
		}
		return int64(points[i].Load - points[i-1].Load)
	})
}

func (r *reader) loads(points []Point) {
	load := LoadID(0)
	r.integers(len(points), func(i int, d int64) {
		load += LoadID(d)
		points[i].Load = load
	})
}
