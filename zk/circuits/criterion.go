package circuits

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
)

// Day counts days since 1 January 1800, so that everybody alive has a birthday.
type Day uint32

var dayZero = time.Date(1800, 1, 1, 0, 0, 0, 0, time.UTC)

// NewDay returns the calendar day of t where t's location is.
func NewDay(t time.Time) (Day, error) {
	y, m, d := t.Date()
	days := time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Sub(dayZero) / (24 * time.Hour)
	if y < 1800 || y > 2080 { // a Duration ends in 2092
		return 0, errors.New("day: not from 1800 to 2080")
	}
	return Day(days), nil
}

func (d Day) time() time.Time { return dayZero.AddDate(0, 0, int(d)) }

// birthday returns the last day of birth on which somebody has completed the
// years on day d. Who was born on 29 February completes a year on 1 March where
// there is no 29 February.
func (d Day) birthday(years int) (Day, error) {
	y, m, day := d.time().Date()
	born := time.Date(y-years, m, day, 0, 0, 0, 0, time.UTC)
	if born.Day() != day { // 29 February of a year without
		born = born.AddDate(0, 0, -1)
	}
	return NewDay(born)
}

// Measure is a laboratory value in thousandths of its unit, within ±2^39.
type Measure int64

const (
	measureBits = 40
	measureZero = 1 << (measureBits - 1)
)

func (m Measure) check() error {
	if m < -measureZero || m >= measureZero {
		return errors.New("value is not within 2^39 thousandths")
	}
	return nil
}

// field counts from the lowest value there is, so that none is negative.
func (m Measure) field() fr.Element { return fr.NewElement(uint64(m + measureZero)) }

// LabCode names what a laboratory measured, and in which unit: LOINC and UCUM.
// A value of another code or unit is another value.
func LabCode(loinc, ucum string) Element {
	return Truncate(sha256.Sum256([]byte("trialmesh/lab/v1\n" + loinc + "\n" + ucum)))
}

// Criterion is what a trial asks of a participant's age and of one laboratory
// value. It is public: the trial's design has it.
type Criterion struct {
	// MinAge and MaxAge bound the completed years of life, 0 to 150, both included.
	MinAge, MaxAge int

	// Code is [LabCode] of what was measured; Low and High bound it, both included.
	Code      Element
	Low, High Measure

	// Within is how many days old the value may be.
	Within uint32
}

// bounds are a criterion on one day.
type bounds struct {
	code                fr.Element
	low, high           fr.Element
	bornFirst, bornLast Day
	measuredFirst       Day
}

func (c Criterion) on(day Day) (b bounds, err error) {
	if b.code, err = toField(c.Code); err != nil {
		return b, fmt.Errorf("criterion: code: %w", err)
	}
	if c.MinAge < 0 || c.MaxAge < c.MinAge || c.MaxAge > 150 {
		return b, errors.New("criterion: ages are not in order from 0 to 150")
	}
	if c.Low > c.High {
		return b, errors.New("criterion: low is above high")
	}
	if err := errors.Join(c.Low.check(), c.High.check()); err != nil {
		return b, fmt.Errorf("criterion: %w", err)
	}
	b.low, b.high = c.Low.field(), c.High.field()
	if b.bornLast, err = day.birthday(c.MinAge); err != nil {
		return b, fmt.Errorf("criterion: %w", err)
	}
	// Who was born a day after the last who is older than MaxAge is not.
	older, err := day.birthday(c.MaxAge + 1)
	if err != nil {
		return b, fmt.Errorf("criterion: %w", err)
	}
	b.bornFirst = older + 1
	if uint32(day) > c.Within {
		b.measuredFirst = day - Day(c.Within)
	}
	return b, nil
}

// Digest returns what a proof of eligibility states about the criterion on one
// day: sponge(54; code, low, high, first and last day of birth, first day of
// measurement). Anybody computes it from the trial's design.
func (c Criterion) Digest(day Day) (Element, error) {
	b, err := c.on(day)
	if err != nil {
		return Element{}, err
	}
	return fromField(b.digest()), nil
}

func (b bounds) digest() fr.Element {
	return sponge(TagCriterion, []fr.Element{
		b.code, b.low, b.high,
		fr.NewElement(uint64(b.bornFirst)), fr.NewElement(uint64(b.bornLast)), fr.NewElement(uint64(b.measuredFirst)),
	})
}
