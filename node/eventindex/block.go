package eventindex

import (
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"slices"

	"github.com/trialmesh/trialmesh/node/events"
)

// blockRows is how many values of a column are coded together.
const blockRows = 1024

// A block of whole numbers begins with how it is coded, the width of a code in bits and
// the number of distinct values of a dictionary, then the base or the dictionary, then the
// codes, packed from the lowest bit on, and padding so that a code can be read as part of
// eight bytes.
const (
	fromBase    byte = iota // the code is added to the base
	fromNull                // likewise less one, code 0 is Null
	fromList                // the code is a place in the dictionary
	blockHead   = 4
	blockPad    = 8
	widest      = 56 // bits of a code that eight bytes hold wherever it begins
	listMost    = 255
	listProfits = 8 // a value of the dictionary takes as much as so many bytes of codes
)

var errBlock = errors.New("block is damaged")

// appendWhole codes up to blockRows values.
func appendWhole(b []byte, values []int64) []byte {
	low, high, null := int64(math.MaxInt64), int64(math.MinInt64), false
	for _, v := range values {
		if v == events.Null {
			null = true
			continue
		}
		low, high = min(low, v), max(high, v)
	}
	if low > high { // all are null
		return appendHead(b, fromNull, 0, 0)
	}
	span := uint64(high) - uint64(low)
	kind, width := fromBase, bits.Len64(span)
	if null {
		kind = fromNull
		if span < math.MaxUint64 {
			width = bits.Len64(span + 1)
		} else {
			width = 64
		}
	}
	if width > widest {
		width = 64
	}
	if list := distinct(values, width); list != nil {
		narrow := bits.Len(uint(len(list) - 1))
		b = appendHead(b, fromList, narrow, len(list))
		for _, v := range list {
			b = binary.LittleEndian.AppendUint64(b, uint64(v))
		}
		return appendCodes(b, values, narrow, func(v int64) uint64 {
			at, _ := slices.BinarySearch(list, v)
			return uint64(at)
		})
	}
	if null && width == 64 { // no code is left for Null: as they are
		kind, low = fromBase, 0
	}
	b = appendHead(b, kind, width, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(low))
	return appendCodes(b, values, width, func(v int64) uint64 {
		switch {
		case kind == fromBase:
			return uint64(v) - uint64(low)
		case v == events.Null:
			return 0
		}
		return uint64(v) - uint64(low) + 1
	})
}

func appendHead(b []byte, kind byte, width, list int) []byte {
	return append(b, kind, byte(width), byte(list), 0) //nolint:gosec // at most 64 and 255
}

// distinct returns the values in order, if a dictionary of them takes less than codes of
// so many bits, else nil.
func distinct(values []int64, width int) []int64 {
	var list []int64
	for _, v := range values {
		at, known := slices.BinarySearch(list, v)
		if known {
			continue
		}
		if len(list) == listMost {
			return nil
		}
		list = slices.Insert(list, at, v)
		if listProfits*len(list) > len(values)*width/8 {
			return nil
		}
	}
	if listProfits*len(list)+len(values)*bits.Len(uint(len(list)-1))/8 >= len(values)*width/8 {
		return nil
	}
	return list
}

func appendCodes(b []byte, values []int64, width int, code func(int64) uint64) []byte {
	if width == 0 {
		return b
	}
	at := len(b)
	b = append(b, make([]byte, (len(values)*width+7)/8+blockPad)...)
	if width == 64 {
		for i, v := range values {
			binary.LittleEndian.PutUint64(b[at+8*i:], code(v))
		}
		return b
	}
	for i, v := range values {
		bit := i * width
		p := b[at+bit/8:]
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)|code(v)<<(bit%8))
	}
	return b
}

// decodeWhole reads the values of a block into dst, which has as many.
func decodeWhole(b []byte, dst []int64) error {
	if len(b) < blockHead {
		return errBlock
	}
	kind, width, listed := b[0], int(b[1]), int(b[2])
	b = b[blockHead:]
	if kind == fromNull && width == 0 {
		for i := range dst {
			dst[i] = events.Null
		}
		return nil
	}
	head := 8
	if kind == fromList {
		head = 8 * listed
	}
	if len(b) < head || head == 0 || width > 64 || width > widest && width < 64 {
		return errBlock
	}
	list, codes := b[:head], b[head:]
	base := int64(binary.LittleEndian.Uint64(list))
	if width == 0 {
		for i := range dst {
			dst[i] = base
		}
		return nil
	}
	if len(codes) < (len(dst)*width+7)/8+blockPad {
		return errBlock
	}
	unpack(codes, width, dst)
	switch kind {
	case fromBase:
		for i := range dst {
			dst[i] += base
		}
	case fromNull:
		for i, c := range dst {
			if c == 0 {
				dst[i] = events.Null
			} else {
				dst[i] = c - 1 + base
			}
		}
	case fromList:
		for i, c := range dst {
			if c >= int64(listed) {
				return errBlock
			}
			dst[i] = int64(binary.LittleEndian.Uint64(list[8*c:]))
		}
	default:
		return errBlock
	}
	return nil
}

func unpack(codes []byte, width int, dst []int64) {
	if width == 64 {
		for i := range dst {
			dst[i] = int64(binary.LittleEndian.Uint64(codes[8*i:]))
		}
		return
	}
	mask := uint64(1)<<width - 1
	for i, bit := 0, 0; i < len(dst); i, bit = i+1, bit+width {
		dst[i] = int64(binary.LittleEndian.Uint64(codes[bit>>3:]) >> (bit & 7) & mask)
	}
}

// A block of numbers begins with the decimal places after which they are whole, or says
// that they stand as they are.
const (
	mostPlaces = 6
	asTheyAre  = 0xff
	wholeMost  = 1 << 53 // up to which a float64 has all whole numbers
)

var powers = [mostPlaces + 1]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6}

// appendNumbers codes up to blockRows numbers; NaN is absent.
func appendNumbers(b []byte, values []float64) []byte {
	var whole [blockRows]int64
	for places, power := range powers {
		if scale(values, power, whole[:]) {
			return appendWhole(append(b, byte(places)), whole[:len(values)])
		}
	}
	for i, v := range values {
		whole[i] = int64(math.Float64bits(v))
		if math.IsNaN(v) {
			whole[i] = events.Null
		}
	}
	return appendWhole(append(b, asTheyAre), whole[:len(values)])
}

// scale makes numbers whole and reports whether they can be had back from that, to the bit.
func scale(values []float64, power float64, whole []int64) bool {
	for i, v := range values {
		if math.IsNaN(v) {
			whole[i] = events.Null
			continue
		}
		n := math.Round(v * power)
		if math.Abs(n) > wholeMost || math.Float64bits(n/power) != math.Float64bits(v) {
			return false
		}
		whole[i] = int64(n)
	}
	return true
}

// decodeNumbers reads the numbers of a block into dst, using scratch of as many values.
func decodeNumbers(b []byte, dst []float64, scratch []int64) error {
	if len(b) == 0 {
		return errBlock
	}
	if err := decodeWhole(b[1:], scratch); err != nil {
		return err
	}
	places := b[0]
	if places > mostPlaces && places != asTheyAre {
		return errBlock
	}
	for i, n := range scratch {
		switch {
		case n == events.Null:
			dst[i] = math.NaN()
		case places == asTheyAre:
			dst[i] = math.Float64frombits(uint64(n))
		default:
			dst[i] = float64(n) / powers[places]
		}
	}
	return nil
}
