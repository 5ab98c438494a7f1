package eventindex

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"sync"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/node/events"
)

// ErrDamaged says that a file of the index is not what was written. Rebuild the index.
var ErrDamaged = errors.New("event index is damaged")

var checksum = crc32.MakeTable(crc32.Castagnoli)

// entry is where a column is in a segment's file: its blocks, one after the other, then a
// table of their lengths and checksums, then, for texts, the texts.
type entry struct {
	Name   string          `json:"name"`
	Kind   omop.VectorKind `json:"kind"`
	Rows   int             `json:"rows"`
	Offset int64           `json:"offset"`
	Table  int64           `json:"table"`          // offset
	Sum    uint32          `json:"sum"`            // of the table
	Texts  int             `json:"texts,omitzero"` // bytes after the table
	Words  uint32          `json:"words,omitzero"` // sum of the texts
}

const tableEntry = 8 // bytes: length and checksum of a block

// writeColumn writes v at offset and returns where it is, false if all of v is absent.
func writeColumn(w io.Writer, offset int64, name string, kind omop.VectorKind, v *omop.Vector) (entry, int64, bool, error) {
	e := entry{Name: name, Kind: kind, Rows: v.Len(), Offset: offset}
	if !holds(v) {
		return e, offset, false, nil
	}
	whole, texts := v.Whole, []byte(nil)
	if kind == omop.TextVector {
		whole, texts = dictionary(v)
	}
	var block, table []byte
	for from := 0; from < e.Rows; from += blockRows {
		to := min(from+blockRows, e.Rows)
		if kind == omop.NumberVector {
			block = appendNumbers(block[:0], v.Number[from:to])
		} else {
			block = appendWhole(block[:0], whole[from:to])
		}
		table = binary.LittleEndian.AppendUint32(table, uint32(len(block))) //nolint:gosec // a block is small
		table = binary.LittleEndian.AppendUint32(table, crc32.Checksum(block, checksum))
		if _, err := w.Write(block); err != nil {
			return e, offset, false, err
		}
		offset += int64(len(block))
	}
	e.Table, e.Sum, e.Texts, e.Words = offset, crc32.Checksum(table, checksum), len(texts), crc32.Checksum(texts, checksum)
	for _, part := range [][]byte{table, texts} {
		if _, err := w.Write(part); err != nil {
			return e, offset, false, err
		}
		offset += int64(len(part))
	}
	return e, offset, true, nil
}

// holds reports whether a value is there.
func holds(v *omop.Vector) bool {
	for _, n := range v.Whole {
		if n != events.Null {
			return true
		}
	}
	for _, x := range v.Number {
		if !math.IsNaN(x) {
			return true
		}
	}
	for _, absent := range v.Absent {
		if !absent {
			return true
		}
	}
	return false
}

// dictionary numbers texts in the order in which they come.
func dictionary(v *omop.Vector) (numbers []int64, texts []byte) {
	known := map[string]int64{}
	numbers = make([]int64, len(v.Text))
	for i, t := range v.Text {
		if v.Absent[i] {
			numbers[i] = events.Null
			continue
		}
		n, ok := known[t]
		if !ok {
			n = int64(len(known))
			known[t] = n
			texts = append(binary.AppendUvarint(texts, uint64(len(t))), t...)
		}
		numbers[i] = n
	}
	return numbers, texts
}

// column reads a column of a file. It is safe for concurrent use.
//
// It is read with pread and not mapped: an error of the disk is then an error of the
// question, where a mapped page would end the node, and a block is checked and decoded from
// a copy that stays in the cache of the processor.
type column struct {
	entry
	file io.ReaderAt

	once   sync.Once
	err    error
	starts []int64 // of the blocks, and the end of the last
	sums   []uint32
	texts  []string
}

func (c *column) load() error {
	c.once.Do(func() { c.err = c.loadTable() })
	return c.err
}

func (c *column) loadTable() error {
	blocks := (c.Rows + blockRows - 1) / blockRows
	raw := make([]byte, blocks*tableEntry+c.Texts)
	if _, err := c.file.ReadAt(raw, c.Table); err != nil {
		return c.damaged(err)
	}
	table, texts := raw[:blocks*tableEntry], raw[blocks*tableEntry:]
	if crc32.Checksum(table, checksum) != c.Sum || crc32.Checksum(texts, checksum) != c.Words {
		return c.damaged(errBlock)
	}
	c.starts, c.sums = make([]int64, 1, blocks+1), make([]uint32, 0, blocks)
	c.starts[0] = c.Offset
	for at := 0; at < len(table); at += tableEntry {
		c.starts = append(c.starts, c.starts[len(c.starts)-1]+int64(binary.LittleEndian.Uint32(table[at:])))
		c.sums = append(c.sums, binary.LittleEndian.Uint32(table[at+4:]))
	}
	if c.starts[blocks] != c.Table {
		return c.damaged(errBlock)
	}
	for len(texts) > 0 {
		n, used := binary.Uvarint(texts)
		if used <= 0 || n > uint64(len(texts)-used) {
			return c.damaged(errBlock)
		}
		c.texts = append(c.texts, string(texts[used:used+int(n)])) //nolint:gosec // as was checked
		texts = texts[used+int(n):]                                //nolint:gosec // likewise
	}
	return nil
}

func (c *column) damaged(err error) error {
	return fmt.Errorf("%w: %s: %w", ErrDamaged, c.Name, err)
}

// readMost bounds what is read at once, in blocks.
const readMost = 256

// blocks gives fn the bytes of the blocks that have the rows from up to to, with the rows
// of each.
func (c *column) blocks(from, to int, fn func(block []byte, first, n int) error) error {
	if from >= to {
		return nil
	}
	if err := c.load(); err != nil {
		return err
	}
	var raw []byte
	for b, last := from/blockRows, (to-1)/blockRows; b <= last; {
		end := min(b+readMost, last+1)
		size := int(c.starts[end] - c.starts[b])
		if cap(raw) < size {
			raw = make([]byte, size)
		}
		raw = raw[:size]
		if _, err := c.file.ReadAt(raw, c.starts[b]); err != nil {
			return c.damaged(err)
		}
		for rest := raw; b < end; b++ {
			n := c.starts[b+1] - c.starts[b]
			block := rest[:n]
			rest = rest[n:]
			if crc32.Checksum(block, checksum) != c.sums[b] {
				return c.damaged(errBlock)
			}
			if err := fn(block, b*blockRows, min(blockRows, c.Rows-b*blockRows)); err != nil {
				return c.damaged(err)
			}
		}
	}
	return nil
}

// whole reads the values of the rows from up to to into dst.
func (c *column) whole(from, to int, dst []int64) error {
	var scratch [blockRows]int64
	return c.blocks(from, to, func(block []byte, first, n int) error {
		if err := decodeWhole(block, scratch[:n]); err != nil {
			return err
		}
		low, high := max(from, first), min(to, first+n)
		copy(dst[low-from:], scratch[low-first:high-first])
		return nil
	})
}

// numbers reads the values of the rows from up to to into dst.
func (c *column) numbers(from, to int, dst []float64) error {
	var scratch [blockRows]int64
	var values [blockRows]float64
	return c.blocks(from, to, func(block []byte, first, n int) error {
		if err := decodeNumbers(block, values[:n], scratch[:n]); err != nil {
			return err
		}
		low, high := max(from, first), min(to, first+n)
		copy(dst[low-from:], values[low-first:high-first])
		return nil
	})
}

// text reads the values of the rows from up to to into dst and absent.
func (c *column) text(from, to int, dst []string, absent []bool) error {
	numbers := make([]int64, to-from)
	if err := c.whole(from, to, numbers); err != nil {
		return err
	}
	for i, n := range numbers {
		switch {
		case n == events.Null:
			absent[i] = true
		case n < 0 || n >= int64(len(c.texts)):
			return c.damaged(errBlock)
		default:
			dst[i] = c.texts[n]
		}
	}
	return nil
}
