package cdisc

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
)

// member is a data set to be written as SAS transport, by TS-140 and not by the reader.
type member struct {
	name    string
	columns []string // capital names are texts of 8 bytes, those with # in front numbers
	rows    [][]any  // string, float64 or raw []byte
}

// library writes a SAS transport file of version 5, or of 8 with long names.
func library(v8 bool, members ...member) string {
	kind := func(v5, v8Name string) string {
		if v8 {
			v5 = v8Name
		}
		return fmt.Sprintf("HEADER RECORD*******%-8sHEADER RECORD!!!!!!!", v5)
	}
	var b strings.Builder
	record := func(text string) { fmt.Fprintf(&b, "%-80s", text) }
	record(kind("LIBRARY", "LIBV8") + strings.Repeat("0", 30))
	record("SAS     SAS     SASLIB  9.4     X64")
	record("01JAN26:00:00:00")
	for _, m := range members {
		record(kind("MEMBER", "MEMBV8") + "000000000000000001600000000140")
		record(kind("DSCRPTR", "DSCPTV8") + strings.Repeat("0", 30))
		if v8 {
			record(fmt.Sprintf("SAS     %-32sSASDATA 9.4     X64", m.name))
		} else {
			record(fmt.Sprintf("SAS     %-8sSASDATA 9.4     X64", m.name))
		}
		record("01JAN26:00:00:00")
		record(fmt.Sprintf("%s000000%04d00000000000000000000", kind("NAMESTR", "NAMSTV8"), len(m.columns)))
		for i, name := range m.columns {
			b.Write(namestr(v8, i, name))
		}
		fill(&b)
		if v8 {
			record(kind("", "LABELV8") + "1")
			record("\x00\x01\x00\x04\x00\x29NAME" + strings.Repeat("l", 41))
		}
		record(kind("OBS", "OBSV8") + strings.Repeat("0", 30))
		for _, row := range m.rows {
			for _, v := range row {
				switch v := v.(type) {
				case float64:
					_ = binary.Write(&b, binary.BigEndian, toIBM(v))
				case []byte:
					b.Write(v)
				default:
					fmt.Fprintf(&b, "%-8s", v)
				}
			}
		}
		fill(&b)
	}
	return b.String()
}

func fill(b *strings.Builder) {
	for b.Len()%80 != 0 {
		b.WriteByte(' ')
	}
}

func namestr(v8 bool, i int, name string) []byte {
	name, number := strings.CutPrefix(name, "#")
	out := make([]byte, 140)
	binary.BigEndian.PutUint16(out, 2)
	if number {
		binary.BigEndian.PutUint16(out, 1)
	}
	binary.BigEndian.PutUint16(out[4:], 8)
	binary.BigEndian.PutUint16(out[6:], uint16(i+1)) //nolint:gosec // a few columns
	copy(out[8:], fmt.Sprintf("%-8.8s%-40s", name, "Label"))
	binary.BigEndian.PutUint32(out[84:], uint32(8*i)) //nolint:gosec // a few columns
	if v8 {
		copy(out[88:], fmt.Sprintf("%-32s", name))
	}
	return out
}

// toIBM is the IBM double of v, which has at most 53 bits and a range that is within that of
// IBM's; 0 for what has not.
func toIBM(v float64) uint64 {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	fraction, exponent := math.Frexp(math.Abs(v)) // 0.5 <= fraction < 1
	for exponent%4 != 0 {
		fraction /= 2
		exponent++
	}
	bits := uint64(fraction*(1<<56)) | uint64(exponent/4+64)<<56
	if math.Signbit(v) {
		bits |= 1 << 63
	}
	return bits
}
