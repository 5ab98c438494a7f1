package eventindex

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"sync"

	"github.com/trialmesh/trialmesh/localstore/omop"
)

// chunkBytes is what a bucket keeps in memory.
const chunkBytes = 128 << 10

// spill is a temporary file of rows of one domain on their way from the order of the
// store into parts. Several workers write to it, each with buckets of its own.
type spill struct {
	mu     sync.Mutex
	file   *os.File
	size   int64
	chunks [][]chunk // by part
}

type chunk struct {
	at         int64
	size, rows int
}

func createSpill(path string, parts int) (*spill, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	// It has no name any more: nothing is left of it, however this ends.
	if err := os.Remove(path); err != nil {
		_ = f.Close()
		return nil, err
	}
	return &spill{file: f, chunks: make([][]chunk, parts)}, nil
}

func (s *spill) close() { _ = s.file.Close() } // it was only for us

func (s *spill) write(part int, b []byte, rows int) error {
	s.mu.Lock()
	at := s.size
	s.size += int64(len(b))
	s.chunks[part] = append(s.chunks[part], chunk{at, len(b), rows})
	s.mu.Unlock()
	_, err := s.file.WriteAt(b, at)
	return err
}

// buckets are the rows of one worker, by part.
type buckets struct {
	spill *spill
	parts [][]byte
	rows  []int // in each
}

func (s *spill) buckets() *buckets {
	return &buckets{s, make([][]byte, len(s.chunks)), make([]int, len(s.chunks))}
}

// add appends a row, whose person is a place in the part.
func (b *buckets) add(part int, person uint32, scanned []omop.Vector, row int) error {
	buf := binary.AppendUvarint(b.parts[part], uint64(person))
	for i := range scanned {
		switch v := &scanned[i]; {
		case v.Whole != nil:
			buf = appendValue(buf, v.Whole[row])
		case v.Number != nil:
			buf = binary.LittleEndian.AppendUint64(buf, math.Float64bits(v.Number[row]))
		case v.Absent[row]:
			buf = append(buf, 0)
		default:
			buf = append(binary.AppendUvarint(buf, uint64(len(v.Text[row]))+1), v.Text[row]...)
		}
	}
	b.parts[part] = buf
	b.rows[part]++
	if len(buf) < chunkBytes {
		return nil
	}
	return b.flush(part)
}

func (b *buckets) flush(part int) error {
	if len(b.parts[part]) == 0 {
		return nil
	}
	err := b.spill.write(part, b.parts[part], b.rows[part])
	b.parts[part], b.rows[part] = b.parts[part][:0], 0
	return err
}

func (b *buckets) flushAll() error {
	for part := range b.parts {
		if err := b.flush(part); err != nil {
			return err
		}
	}
	return nil
}

// appendValue writes a number, 0 for Null.
func appendValue(b []byte, v int64) []byte {
	if v == omop.Null {
		return append(b, 0)
	}
	return binary.AppendUvarint(b, (uint64(v)<<1^uint64(v>>63))+1)
}

func value(u uint64) int64 {
	if u == 0 {
		return omop.Null
	}
	u--
	return int64(u>>1) ^ -int64(u&1)
}

// rows reads the rows of a part.
func (s *spill) rows(place, part int, named *care) (*rows, error) {
	d, fields := &domains[place], omop.Fields(domains[place].table)
	out, n := newRows(d), 0
	for _, c := range s.chunks[part] {
		n += c.rows
	}
	out.grow(d, n)
	one := make([]omop.Vector, len(fields))
	var raw []byte
	for _, c := range s.chunks[part] {
		if cap(raw) < c.size {
			raw = make([]byte, c.size)
		}
		raw = raw[:c.size]
		if _, err := s.file.ReadAt(raw, c.at); err != nil {
			return nil, fmt.Errorf("read back rows of %s: %w", d.name, err)
		}
		for rest := raw; len(rest) > 0; {
			person, n := binary.Uvarint(rest)
			rest = rest[n:]
			for i, f := range fields {
				rest = readBack(&one[i], f.Kind, rest)
			}
			out.take(&sources[place], one, 0, uint32(person), named) //nolint:gosec // as it was written
		}
	}
	return out, nil
}

// readBack sets the one value of v to that at the beginning of b, and returns the rest.
func readBack(v *omop.Vector, kind omop.VectorKind, b []byte) []byte {
	if kind == omop.NumberVector {
		v.Number = append(v.Number[:0], math.Float64frombits(binary.LittleEndian.Uint64(b)))
		return b[8:]
	}
	u, n := binary.Uvarint(b)
	b = b[n:]
	if kind != omop.TextVector {
		v.Whole = append(v.Whole[:0], value(u))
		return b
	}
	v.Text, v.Absent = append(v.Text[:0], ""), append(v.Absent[:0], u == 0)
	if u == 0 {
		return b
	}
	v.Text[0] = string(b[:u-1])
	return b[u-1:]
}
