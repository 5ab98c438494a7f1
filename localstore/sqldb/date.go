package sqldb

import (
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// Date is a calendar day without a zone: days since 1970-01-01, so days can be
// added and compared as numbers. Columns that hold it are declared DATE; SQLite
// stores the text YYYY-MM-DD.
type Date int32

const secondsPerDay = 24 * 60 * 60

// DateOf returns the day that t shows in its own zone.
func DateOf(t time.Time) Date {
	y, m, d := t.Date()
	return Day(y, m, d)
}

// Day returns the date of a year, month and day, normalized as in [time.Date].
func Day(year int, month time.Month, day int) Date {
	return Date(time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix() / secondsPerDay)
}

// ParseDate reads YYYY-MM-DD.
func ParseDate(s string) (Date, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return 0, errors.New("sqldb: date is not YYYY-MM-DD")
	}
	return DateOf(t), nil
}

// Time returns midnight UTC of the day.
func (d Date) Time() time.Time { return time.Unix(int64(d)*secondsPerDay, 0).UTC() }

// String returns YYYY-MM-DD.
func (d Date) String() string { return d.Time().Format(time.DateOnly) }

// Scan reads a DATE column of SQLite; it implements [database/sql.Scanner].
func (d *Date) Scan(src any) error {
	switch v := src.(type) {
	case time.Time:
		*d = DateOf(v)
		return nil
	case string:
		day, err := ParseDate(v)
		if err != nil {
			return errors.New("column does not hold a date")
		}
		*d = day
		return nil
	default:
		return errors.New("column does not hold a date")
	}
}

// ScanDate reads a DATE column of PostgreSQL; it implements [pgtype.DateScanner].
func (d *Date) ScanDate(v pgtype.Date) error {
	if !v.Valid || v.InfinityModifier != pgtype.Finite {
		return errors.New("column does not hold a date")
	}
	*d = DateOf(v.Time)
	return nil
}
