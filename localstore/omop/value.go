package omop

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// Widths of the text columns of the CDM, in characters.
const (
	sourceWidth  = 50
	reasonWidth  = 20
	stringWidth  = 60
	deviceWidth  = 255
	stateWidth   = 2
	countryWidth = 80
	sigWidth     = 4000 // the CDM sets no limit
)

// text is s for a column of width characters, nil if empty. PostgreSQL stores
// neither NUL nor broken UTF-8.
func text(s string, width int) any {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
	if s == "" {
		return nil
	}
	if len(s) > width && utf8.RuneCountInString(s) > width {
		n := 0
		for i := range s {
			if n == width {
				return s[:i]
			}
			n++
		}
	}
	return s
}

// optional is a concept that need not be there: NULL if there is neither a
// concept nor a source value.
func optional(concept int64, source string) any {
	if concept == 0 && source == "" {
		return nil
	}
	return concept
}

func timeOrNil(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Truncate(time.Microsecond)
}

func dateOrNil(d *Date) any {
	if d == nil {
		return nil
	}
	return *d
}

func floatOrNil(f *float64) any {
	if f == nil {
		return nil
	}
	return *f
}

func intOrNil(n *int) any {
	if n == nil {
		return nil
	}
	return int64(*n)
}

// intUnless0 is n, or NULL for 0.
func intUnless0(n int64) any {
	if n == 0 {
		return nil
	}
	return n
}

// rowKey is the key of lineage: 8 bytes that a person's rows share, 16 of the row.
type rowKey [24]byte

func newRowKey(t Table, person, record Key) rowKey {
	var k rowKey
	p := sha256.Sum256([]byte(person.text))
	copy(k[:8], p[:])
	r := sha256.Sum256([]byte(t.String() + "\x00" + person.text + "\x00" + record.text))
	copy(k[8:], r[:])
	return k
}

// digest is the content column of lineage: it changes when a value or a finding does.
func digest(values []any, invalid, outlier bool) [8]byte {
	b := make([]byte, 0, 512)
	for _, v := range values {
		switch v := v.(type) {
		case nil:
			b = append(b, 'n')
		case int64:
			b = binary.BigEndian.AppendUint64(append(b, 'i'), uint64(v)) //nolint:gosec // same bits
		case float64:
			b = binary.BigEndian.AppendUint64(append(b, 'f'), math.Float64bits(v))
		case string:
			b = binary.BigEndian.AppendUint32(append(b, 's'), uint32(len(v))) //nolint:gosec // at most sigWidth
			b = append(b, v...)
		case Date:
			b = binary.BigEndian.AppendUint32(append(b, 'd'), uint32(v)) //nolint:gosec // same bits
		case time.Time:
			b = binary.BigEndian.AppendUint64(append(b, 't'), uint64(v.UnixMicro())) //nolint:gosec // same bits
		default:
			panic("omop: a row gave a value of an unknown type")
		}
	}
	for _, flag := range []bool{invalid, outlier} {
		if flag {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
	}
	sum := sha256.Sum256(b)
	return [8]byte(sum[:8])
}
