package omop

import (
	"context"
	"encoding/hex"
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// errDigits says that a number has more digits than SQLite writes as text.
var errDigits = errors.New("a number has more than 15 digits")

// numberText is the SQL for the text of x: millionths if it is of so many, as whole numbers
// are written and read quicker, else its 15 digits if they are all of it. Either way the
// same division, or the same text, gives x again to the bit.
const numberText = `CASE WHEN x IS NULL THEN '' WHEN x BETWEEN 0 AND 1e9 AND CAST(x * 1e6 + 0.5 AS INTEGER) / 1e6 = x THEN CAST(x * 1e6 + 0.5 AS INTEGER)
	WHEN CAST(CAST(x AS TEXT) AS REAL) = x THEN '=' || CAST(x AS TEXT) ELSE '!' END`

// scanText reads rows of SQLite as one text: a value takes a fifth of the time that the
// driver needs to hand it over. Numbers, days and hexadecimal texts have neither of the
// two signs that separate them.
func scanText(ctx context.Context, tx *sqldb.Tx, table string, fields []Field, where string, args []any, columns []Vector) error {
	parts := make([]string, len(fields))
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
		switch f.Kind {
		case NumberVector:
			parts[i] = strings.ReplaceAll(numberText, "x", f.Name)
		case TextVector:
			parts[i] = "coalesce('x' || hex(" + f.Name + "), '')"
		case WholeVector, DayVector:
			parts[i] = "coalesce(" + f.Name + ", '')"
		}
	}
	var text []byte
	if err := tx.QueryRow(ctx, "SELECT coalesce(group_concat("+strings.Join(parts, " || ',' || ")+", ';'), '') FROM (SELECT "+
		strings.Join(names, ", ")+" FROM "+table+" WHERE "+where+")", args...).Scan(&text); err != nil {
		return err
	}
	for at := 0; at < len(text); {
		for i := range fields {
			end := at
			for end < len(text) && text[end] != ',' && text[end] != ';' {
				end++
			}
			if err := columns[i].parse(fields[i].Kind, text[at:end]); err != nil {
				return err
			}
			at = end + 1
		}
	}
	return nil
}

// parse appends a value.
func (v *Vector) parse(kind VectorKind, text []byte) error {
	switch kind {
	case NumberVector:
		return v.parseNumber(text)
	case TextVector:
		v.Absent = append(v.Absent, len(text) == 0)
		if len(text) == 0 {
			v.Text = append(v.Text, "")
			return nil
		}
		plain, err := hex.DecodeString(string(text[1:]))
		v.Text = append(v.Text, string(plain))
		return err
	case DayVector:
		if len(text) == 0 {
			v.Whole = append(v.Whole, Null)
			return nil
		}
		day, err := parseDay(text)
		v.Whole = append(v.Whole, day)
		return err
	case WholeVector:
		if len(text) == 0 {
			v.Whole = append(v.Whole, Null)
			return nil
		}
		n, ok := digits(text)
		if !ok {
			return errors.New("column does not hold a whole number")
		}
		v.Whole = append(v.Whole, n)
	}
	return nil
}

func (v *Vector) parseNumber(text []byte) error {
	switch {
	case len(text) == 0:
		v.Number = append(v.Number, math.NaN())
		return nil
	case text[0] == '!':
		return errDigits
	case text[0] != '=':
		n, ok := digits(text)
		if !ok {
			return errors.New("column does not hold a number")
		}
		v.Number = append(v.Number, float64(n)/1e6)
		return nil
	}
	x, err := strconv.ParseFloat(string(text[1:]), 64)
	if err != nil {
		return errors.New("column does not hold a number")
	}
	v.Number = append(v.Number, x)
	return nil
}

// digits reads a decimal whole number.
func digits(text []byte) (n int64, ok bool) {
	sign := int64(1)
	if text[0] == '-' {
		sign, text = -1, text[1:]
	}
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	return sign * n, len(text) > 0 && len(text) < 20
}

// parseDay reads YYYY-MM-DD. Source: Howard Hinnant, "chrono-Compatible Low-Level Date
// Algorithms", days_from_civil.
func parseDay(text []byte) (int64, error) {
	if len(text) != len("2006-01-02") || text[4] != '-' || text[7] != '-' {
		return 0, errors.New("column does not hold a date")
	}
	y, ok1 := digits(text[:4])
	m, ok2 := digits(text[5:7])
	d, ok3 := digits(text[8:])
	if !ok1 || !ok2 || !ok3 || m < 1 || m > 12 || d < 1 || d > 31 {
		return 0, errors.New("column does not hold a date")
	}
	if m <= 2 {
		y--
	}
	era := y / 400
	if y < 0 {
		era = (y - 399) / 400
	}
	ofEra := y - era*400
	ofYear := (153*((m+9)%12)+2)/5 + d - 1
	return era*146097 + ofEra*365 + ofEra/4 - ofEra/100 + ofYear - 719468, nil
}
