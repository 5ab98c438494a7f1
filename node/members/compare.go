package members

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"time"

	"github.com/trialmesh/trialmesh/node/events"
)

// relation is one of the comparisons of a range.
type relation uint8

const (
	less relation = iota
	lessOrEqual
	equal
	unequal
	greater
	greaterOrEqual
	between
	outside
)

func relationOf(op string) (relation, error) {
	switch op {
	case "lt":
		return less, nil
	case "lte":
		return lessOrEqual, nil
	case "eq":
		return equal, nil
	case "!eq":
		return unequal, nil
	case "gt":
		return greater, nil
	case "gte":
		return greaterOrEqual, nil
	case "bt":
		return between, nil
	case "!bt":
		return outside, nil
	}
	return 0, fmt.Errorf("the operator %q is none of lt, lte, eq, !eq, gt, gte, bt, !bt", op)
}

// holds compares by the sign of value minus low and of value minus high.
func (r relation) holds(low, high int) bool {
	switch r {
	case less:
		return low < 0
	case lessOrEqual:
		return low <= 0
	case equal:
		return low == 0
	case unequal:
		return low != 0
	case greater:
		return low > 0
	case greaterOrEqual:
		return low >= 0
	case between:
		return low >= 0 && high <= 0
	}
	return low < 0 || high > 0
}

// whole cuts a number to the whole one that circe-be writes, Java's intValue.
func whole(f float64) int64 {
	switch {
	case math.IsNaN(f):
		return 0
	case f >= math.MaxInt32:
		return math.MaxInt32
	case f <= math.MinInt32:
		return math.MinInt32
	}
	return int64(f)
}

// compareRatio is the sign of a/b - c for numbers that stand for decimal ones, b not 0.
func compareRatio(a, b, c float64) int {
	q := a / b
	if d := q - c; math.Abs(d) > 1e-9*max(1, math.Abs(c)) || math.IsInf(d, 0) {
		return sign(q, c)
	}
	x, y := decimal(a), decimal(b)
	return x.Quo(x, y).Cmp(decimal(c))
}

func decimal(f float64) *big.Rat {
	r, ok := new(big.Rat).SetString(strconv.FormatFloat(f, 'g', -1, 64))
	if !ok {
		return new(big.Rat)
	}
	return r
}

func sign[T int64 | float64 | events.Day](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// day reads YYYY-MM-DD.
func day(text string) (events.Day, error) {
	t, err := time.Parse("2006-1-2", text)
	if err != nil {
		return events.NoDay, fmt.Errorf("%q is not a day such as 2024-01-31", text)
	}
	return events.Day(t.Unix() / 86400), nil
}

// yearOf returns the year of a day. Source: H. Hinnant, chrono-Compatible Low-Level Date
// Algorithms, civil_from_days.
func yearOf(d events.Day) int64 {
	z := int64(d) + 719468
	era := z / 146097
	if z < 0 {
		era = (z - 146096) / 146097
	}
	ofEra := z - era*146097
	year := (ofEra - ofEra/1460 + ofEra/36524 - ofEra/146096) / 365
	ofYear := ofEra - (365*year + year/4 - year/100)
	if (5*ofYear+2)/153 >= 10 { // January and February
		year++
	}
	return year + era*400
}
