package parquet

import (
	"encoding/binary"
	"math"
	"math/big"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow/float16"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// maxScale is how many decimals a number may claim; databases have up to 76.
const maxScale = 100

// maxDecimal is how many bytes a number may have; databases have up to 32.
const maxDecimal = 1024

// How times are written. A time that is adjusted to UTC says so with Z, one that is not has
// no offset. A time of day has none either: writers set its flag without meaning it.
const (
	momentLayout = "2006-01-02T15:04:05.999999999"
	utcLayout    = momentLayout + "Z"
	clockLayout  = "15:04:05.999999999"
)

// cellsOf returns the cells of a flat column, nil for a type that has no text. sign is what
// stands before the decimals when a cell is written.
func cellsOf(c *schema.Column, sign *byte) cells {
	logical := c.LogicalType()
	if d, ok := logical.(schema.DecimalLogicalType); ok && (d.Scale() < 0 || d.Scale() > maxScale) {
		return nil
	}
	switch c.PhysicalType() {
	case parquet.Types.Boolean:
		return newColumn(c, strconv.AppendBool)
	case parquet.Types.Int32:
		if text := integer(logical, 32, sign); text != nil {
			return newColumn(c, func(dst []byte, v int32) []byte { return text(dst, int64(v)) })
		}
	case parquet.Types.Int64:
		if text := integer(logical, 64, sign); text != nil {
			return newColumn(c, text)
		}
	case parquet.Types.Int96: // a day and nanoseconds of it, without a zone
		return newColumn(c, func(dst []byte, v parquet.Int96) []byte { return v.ToTime().AppendFormat(dst, momentLayout) })
	case parquet.Types.Float:
		return newColumn(c, func(dst []byte, v float32) []byte { return appendFloat(dst, float64(v), 32, *sign) })
	case parquet.Types.Double:
		return newColumn(c, func(dst []byte, v float64) []byte { return appendFloat(dst, v, 64, *sign) })
	case parquet.Types.ByteArray:
		return octetColumn[parquet.ByteArray](c, logical, sign)
	case parquet.Types.FixedLenByteArray:
		return octetColumn[parquet.FixedLenByteArray](c, logical, sign)
	}
	return nil
}

// octetColumn returns a column of what is stored as bytes.
func octetColumn[T ~[]byte](c *schema.Column, logical schema.LogicalType, sign *byte) cells {
	text := octets(logical, sign)
	if text == nil {
		return nil
	}
	made := newColumn(c, func(dst []byte, v T) []byte { return text(dst, v) })
	made.size = func(v T) int { return len(v) }
	if _, ok := logical.(schema.DecimalLogicalType); ok {
		made.most = maxDecimal
	}
	return made
}

// plain reports whether a physical type stands for itself.
func plain(t schema.LogicalType) bool {
	switch t.(type) {
	case nil, schema.NoLogicalType, *schema.NoLogicalType, schema.NullLogicalType, *schema.NullLogicalType, schema.UnknownLogicalType, *schema.UnknownLogicalType:
		return true
	}
	return false
}

// integer is the text of what is stored as an integer of 32 or 64 bits.
func integer(logical schema.LogicalType, bits int, sign *byte) func(dst []byte, v int64) []byte {
	switch t := logical.(type) {
	case schema.IntLogicalType:
		if !t.IsSigned() {
			mask := uint64(math.MaxUint64) >> (64 - bits)
			return func(dst []byte, v int64) []byte { return strconv.AppendUint(dst, uint64(v)&mask, 10) }
		}
	case schema.DecimalLogicalType:
		scale := int(t.Scale())
		return func(dst []byte, v int64) []byte { return appendDecimal(dst, strconv.FormatInt(v, 10), scale, *sign) }
	case schema.DateLogicalType:
		return func(dst []byte, v int64) []byte { return time.Unix(v*86400, 0).UTC().AppendFormat(dst, time.DateOnly) }
	case schema.TimeLogicalType:
		at := instant(t.TimeUnit())
		return func(dst []byte, v int64) []byte { return at(v).AppendFormat(dst, clockLayout) }
	case schema.TimestampLogicalType:
		at, layout := instant(t.TimeUnit()), momentLayout
		if t.IsAdjustedToUTC() {
			layout = utcLayout
		}
		return func(dst []byte, v int64) []byte { return at(v).AppendFormat(dst, layout) }
	default:
		if !plain(logical) {
			return nil
		}
	}
	return func(dst []byte, v int64) []byte { return strconv.AppendInt(dst, v, 10) }
}

// instant counts units since 1970.
func instant(unit schema.TimeUnitType) func(int64) time.Time {
	switch unit {
	case schema.TimeUnitMillis:
		return func(v int64) time.Time { return time.UnixMilli(v).UTC() }
	case schema.TimeUnitMicros:
		return func(v int64) time.Time { return time.UnixMicro(v).UTC() }
	}
	return func(v int64) time.Time { return time.Unix(0, v).UTC() }
}

// octets is the text of what is stored as bytes.
func octets(logical schema.LogicalType, sign *byte) func(dst, v []byte) []byte {
	switch t := logical.(type) {
	case schema.DecimalLogicalType:
		scale := int(t.Scale())
		return func(dst, v []byte) []byte { return appendDecimal(dst, twosComplement(v).String(), scale, *sign) }
	case schema.UUIDLogicalType:
		return appendUUID
	case schema.Float16LogicalType:
		return func(dst, v []byte) []byte {
			half := float16.FromBits(binary.LittleEndian.Uint16(v))
			return appendFloat(dst, float64(half.Float32()), 32, *sign)
		}
	case schema.StringLogicalType, schema.EnumLogicalType, schema.JSONLogicalType:
	default:
		if !plain(logical) {
			return nil
		}
	}
	return func(dst, v []byte) []byte { return append(dst, v...) }
}

// twosComplement is the integer that b is, its highest byte first.
func twosComplement(b []byte) *big.Int {
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return n
}

// appendDecimal appends digits of which the last scale stand behind the sign.
func appendDecimal(dst []byte, digits string, scale int, sign byte) []byte {
	if scale == 0 {
		return append(dst, digits...)
	}
	if digits[0] == '-' {
		dst, digits = append(dst, '-'), digits[1:]
	}
	for len(digits) <= scale {
		digits = "0" + digits
	}
	dst = append(dst, digits[:len(digits)-scale]...)
	dst = append(dst, sign)
	return append(dst, digits[len(digits)-scale:]...)
}

// appendFloat appends the shortest text that gives v again, without an exponent where the
// digits are few enough to be read.
func appendFloat(dst []byte, v float64, bits int, sign byte) []byte {
	form := byte('f')
	if size := math.Abs(v); size != 0 && (size < 1e-6 || size >= 1e21) {
		form = 'e'
	}
	at := len(dst)
	dst = strconv.AppendFloat(dst, v, form, -1, bits)
	for i := at; sign != '.' && i < len(dst); i++ {
		if dst[i] == '.' {
			dst[i] = sign
		}
	}
	return dst
}

func appendUUID(dst, v []byte) []byte {
	const digits = "0123456789abcdef"
	for i, b := range v {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst = append(dst, '-')
		}
		dst = append(dst, digits[b>>4], digits[b&15])
	}
	return dst
}
