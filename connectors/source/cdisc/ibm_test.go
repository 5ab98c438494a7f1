package cdisc

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestNumbersOfIBM: the first five are of TS-140 and its example program, -118.625 and the
// largest and smallest numbers of IBM's "System/360 Principles of Operation" as Wikipedia has
// them; the rest were computed with Python's fractions.
func TestNumbersOfIBM(t *testing.T) {
	t.Parallel()
	for bits, want := range map[uint64]float64{
		0x0000000000000000: 0,
		0x4110000000000000: 1,
		0xC110000000000000: -1,
		0x4120000000000000: 2,
		0x4214000000000000: 20,
		0xC276A00000000000: -118.625,
		0x7FFFFFFFFFFFFFFF: 7.2370055773322621e75, // rounded up from 16^63 (1 - 16^-14)
		0x0010000000000000: 5.397605346934028e-79,
		0x401999999999999A: 0.1,
		0x4156666666666664: 5.3999999999999995,
		0x4156666666666666: 5.4, // of 55 bits, nearer to the next float64
		0x4080000000000000: 0.5,
		0x4110000000000001: 1.0000000000000002,
		0x4180000000000001: 8, // 2^-52 more is less than half of a float64's last bit there
		0x5B0123456789ABCD: 0x0123456789ABCDp52,
	} {
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], bits)
		got, missing := fromIBM(b[:])
		require.False(t, missing)
		require.InDelta(t, want, got, 0, "%016X", bits)
	}
	short, _ := fromIBM([]byte{0x41, 0x19, 0x99})
	require.InDelta(t, 1.599853515625, short, 0, "three bytes of 1.6")
}

// TestMissingNumbers are 28: a point, an underscore and the letters.
func TestMissingNumbers(t *testing.T) {
	t.Parallel()
	kinds := 0
	for first := range 256 {
		for _, length := range []int{2, 3, 8} {
			b := make([]byte, length)
			b[0] = byte(first)
			if value, missing := fromIBM(b); missing {
				kinds++
			} else {
				require.Zero(t, value)
			}
			b[length-1] = 1
			_, missing := fromIBM(b)
			require.False(t, missing, "a fraction makes it a number")
		}
	}
	require.Equal(t, 3*28, kinds)
}

// TestEveryNumberOfSASComesBack: a float64 in IBM's range has its bits after both ways.
func TestEveryNumberOfSASComesBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v := math.Ldexp(rapid.Float64Range(-1, 1).Draw(t, "fraction"), rapid.IntRange(-190, 250).Draw(t, "exponent"))
		if math.Abs(v) < 0x1p-255 {
			return // 0, or below IBM's smallest
		}
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], toIBM(v))
		got, missing := fromIBM(b[:])
		require.False(t, missing)
		require.Equal(t, math.Float64bits(v), math.Float64bits(got))
	})
}

func TestDecimalsHaveFifteenDigits(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{
		5.3999999999999995: "5.4", 0.39999999999999997: "0.4", 63: "63", -0.25: "-0.25", 1e21: "1e+21", 1.5e-9: "1.5e-09",
		123456789012345: "123456789012345", 19725: "19725",
	} {
		require.Equal(t, want, decimal(v))
	}
}
