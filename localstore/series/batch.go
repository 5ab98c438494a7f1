package series

import (
	"errors"
	"time"

	"github.com/trialmesh/trialmesh/localstore/omop"
)

// MaxBatch is the largest number of points in a batch.
const MaxBatch = 100_000

// LoadID names a batch that was appended.
type LoadID int64

// Origin says where the points of a batch come from.
type Origin struct {
	// Raw is the SHA-256 of the raw file.
	Raw [32]byte
	// Mapper names the reader of the file and its version.
	Mapper string
	// Pointer says which part of the file, for example "lines 1-5000".
	Pointer string
}

// Batch is up to [MaxBatch] points of one source, in columns: the i-th point is
// Values[i] of variable Variables[Variable[i]] at Times[i] of person
// Persons[Person[i]]. The order is free, but of several values for one point the
// last one counts. Some ten thousand points are a good size.
type Batch struct {
	private

	Origin Origin
	Source SourceID
	// At is when the batch is appended.
	At time.Time

	Persons   []omop.PersonID
	Variables []VariableID

	Person   []int32
	Variable []int32
	Times    []int64 // milliseconds since 1970 UTC
	Values   []float64
	Flags    []Flags // nil: all valid and no outlier
}

// Rule says why a point was refused.
type Rule string

// The rules.
const (
	NotFinite Rule = "not-finite" // the value is infinite or no number
	TimeRange Rule = "time-range" // a year outside 1 to 9999
	Expired   Rule = "expired"    // points of that time are kept as aggregates only
)

// Refusal is a point of a batch that was not landed. It holds no value of it.
type Refusal struct {
	Index int
	Rule  Rule
}

// Result says what was landed. Whether a landed point is new is settled by
// [Store.Compact]; see [Store.Outcome].
type Result struct {
	Load    LoadID
	Landed  int
	Refused []Refusal
}

// check returns an error for a batch that is not one.
func (b *Batch) check() error {
	n := len(b.Times)
	switch {
	case b.Origin.Mapper == "" || b.At.IsZero():
		return errors.New("batch names no mapper or no time")
	case b.Source == 0:
		return errors.New("batch names no source")
	case n > MaxBatch:
		return errors.New("batch has more than 100,000 points; split it")
	case len(b.Person) != n || len(b.Variable) != n || len(b.Values) != n || b.Flags != nil && len(b.Flags) != n:
		return errors.New("columns of the batch differ in length")
	}
	for i := range n {
		if uint(b.Person[i]) >= uint(len(b.Persons)) || uint(b.Variable[i]) >= uint(len(b.Variables)) {
			return errors.New("a point names a person or variable that the batch does not list")
		}
		if b.Flags != nil && b.Flags[i] > allFlags {
			return errors.New("a point has an unknown flag")
		}
	}
	return nil
}

// rule returns the rule that point i breaks, if any.
func (b *Batch) rule(i int, closed int64) (Rule, bool) {
	switch {
	case !finite(b.Values[i]):
		return NotFinite, true
	case b.Times[i] < firstTime || b.Times[i] > lastTime:
		return TimeRange, true
	case b.Times[i] < closed:
		return Expired, true
	default:
		return "", false
	}
}
