package omop

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// This file reads whole tables in columns. It is for package node/eventindex alone, which
// keeps them on the site's own disk beside the store: numbers of persons come out of it.

// Null is a number that is absent in a [Vector].
const Null int64 = math.MinInt64

// Vector is one column of some rows. What is set is as its kind says.
type Vector struct {
	Whole  []int64   // whole numbers and days since 1970-01-01, Null for none
	Number []float64 // NaN for none
	Text   []string
	Absent []bool // which texts are
}

// Len is the number of rows.
func (v *Vector) Len() int { return len(v.Whole) + len(v.Number) + len(v.Text) }

// reset empties v and keeps its memory.
func (v *Vector) reset() {
	v.Whole, v.Number, v.Text, v.Absent = v.Whole[:0], v.Number[:0], v.Text[:0], v.Absent[:0]
}

// VectorKind says what a column holds.
type VectorKind int

// The kinds.
const (
	WholeVector VectorKind = iota + 1
	NumberVector
	DayVector
	TextVector
)

// Field is a column that [Store.Scan] reads.
type Field struct {
	Name string
	Kind VectorKind
}

// scannedTexts are the texts that questions may compare.
var scannedTexts = map[string]bool{
	"stop_reason": true, "lot_number": true, "value_as_string": true, "unique_device_id": true, "specimen_source_id": true,
}

// Fields returns what Scan reads of a table: first its key, then the columns that can hold
// anything in this store and are a number, a day, or a text that questions compare.
func Fields(t Table) []Field {
	sp := specs[t]
	fields := []Field{{sp.key, WholeVector}}
	for _, name := range sp.columns {
		switch kind := kindOf(t, name); {
		case kind == numberKind:
			fields = append(fields, Field{name, NumberVector})
		case kind == dateKind:
			fields = append(fields, Field{name, DayVector})
		case kind == wholeKind, name == "person_id", name == "visit_occurrence_id", name == "provider_id", name == "care_site_id":
			fields = append(fields, Field{name, WholeVector})
		case scannedTexts[name]:
			fields = append(fields, Field{name, TextVector})
		}
	}
	return fields
}

// Rows says which rows to scan: those with a key above After, in the order of keys, or
// those of persons.
type Rows struct {
	After   int64
	Upto    int64 // inclusive
	Most    int   // rows
	Persons []int64
}

// Scan reads rows of a table into columns, one for each of [Fields], whose memory it uses
// again. Persons, deaths and observation periods come as they are, of other tables what the
// quality checks found invalid is left out. If fewer than Most rows came, and Persons is
// not set, there are no more; the rows that were left out count.
func (s *Store) Scan(ctx context.Context, tx *sqldb.Tx, t Table, which Rows, columns []Vector) (read int, last int64, err error) {
	fields := Fields(t)
	for i := range columns {
		columns[i].reset()
	}
	sp := specs[t]
	where, args := sp.key+" > ? AND "+sp.key+" <= ? ORDER BY "+sp.key+" LIMIT ?", []any{which.After, which.Upto, which.Most}
	if which.Persons != nil {
		condition, arg := tx.Dialect().Among("person_id", which.Persons)
		where, args = condition, []any{arg}
	}
	if tx.Dialect() == sqldb.SQLite {
		err = scanText(ctx, tx, sp.name, fields, where, args, columns)
	}
	if tx.Dialect() == sqldb.Postgres || errors.Is(err, errDigits) {
		for i := range columns {
			columns[i].reset()
		}
		err = scanRows(ctx, tx, sp.name, fields, where, args, columns)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("omop: scan %s: %w", t, err)
	}
	keys := columns[0].Whole
	if read = len(keys); read == 0 {
		return 0, which.After, nil
	}
	last = slices.Max(keys)
	if sp.concept == "" { // a person, a death or an observation period
		return read, last, nil
	}
	if err := dropInvalid(ctx, tx, columns); err != nil {
		return 0, 0, fmt.Errorf("omop: scan %s: %w", t, err)
	}
	return read, last, nil
}

// Ends returns the lowest and the highest key of a table, 0 and 0 if it is empty.
func (s *Store) Ends(ctx context.Context, tx *sqldb.Tx, t Table) (low, high int64, err error) {
	sp := specs[t]
	err = tx.QueryRow(ctx, "SELECT coalesce((SELECT min("+sp.key+") FROM "+sp.name+"), 0), coalesce((SELECT max("+sp.key+") FROM "+sp.name+"), 0)").Scan(&low, &high)
	if err != nil {
		return 0, 0, fmt.Errorf("omop: ends of %s: %w", t, err)
	}
	return low, high, nil
}

// dropInvalid takes invalid rows out of columns. There are few.
func dropInvalid(ctx context.Context, tx *sqldb.Tx, columns []Vector) error {
	keys := columns[0].Whole
	bad := people{}
	condition, args := "row_id BETWEEN ? AND ?", []any{slices.Min(keys), slices.Max(keys)}
	if span := args[1].(int64) - args[0].(int64); span > int64(8*len(keys)) { //nolint:forcetypeassert // as set above
		c, arg := tx.Dialect().Among("row_id", keys)
		condition, args = c, []any{arg}
	}
	err := tx.Each(ctx, "SELECT row_id FROM quality WHERE "+condition+" AND NOT is_valid", args, func(rows *sqldb.Rows) error {
		var id int64
		err := rows.Scan(&id)
		bad.add(id)
		return err
	})
	if err != nil || len(bad) == 0 {
		return err
	}
	keep := 0
	for i, key := range keys {
		if _, drop := bad[key]; drop {
			continue
		}
		for c := range columns {
			columns[c].move(keep, i)
		}
		keep++
	}
	for c := range columns {
		columns[c].cut(keep)
	}
	return nil
}

func (v *Vector) move(to, from int) {
	switch {
	case v.Whole != nil:
		v.Whole[to] = v.Whole[from]
	case v.Number != nil:
		v.Number[to] = v.Number[from]
	default:
		v.Text[to], v.Absent[to] = v.Text[from], v.Absent[from]
	}
}

func (v *Vector) cut(n int) {
	switch {
	case v.Whole != nil:
		v.Whole = v.Whole[:n]
	case v.Number != nil:
		v.Number = v.Number[:n]
	default:
		v.Text, v.Absent = v.Text[:n], v.Absent[:n]
	}
}

// scanRows reads value by value.
func scanRows(ctx context.Context, tx *sqldb.Tx, table string, fields []Field, where string, args []any, columns []Vector) error {
	selected := make([]string, len(fields))
	dest := make([]any, len(fields))
	whole, number, text := make([]*int64, len(fields)), make([]*float64, len(fields)), make([]*string, len(fields))
	for i, f := range fields {
		switch f.Kind {
		case NumberVector:
			selected[i], dest[i] = "CAST("+f.Name+" AS DOUBLE PRECISION)", &number[i]
		case TextVector:
			selected[i], dest[i] = f.Name, &text[i]
		case DayVector:
			selected[i], dest[i] = f.Name+" - DATE '1970-01-01'", &whole[i]
			if tx.Dialect() == sqldb.SQLite {
				selected[i] = "CAST(julianday(" + f.Name + ") - 2440587.5 AS INTEGER)"
			}
		case WholeVector:
			selected[i], dest[i] = f.Name, &whole[i]
		}
	}
	return tx.Each(ctx, "SELECT "+strings.Join(selected, ", ")+" FROM "+table+" WHERE "+where, args, func(rows *sqldb.Rows) error {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		for i, f := range fields {
			c := &columns[i]
			switch f.Kind {
			case NumberVector:
				c.Number = append(c.Number, orElse(number[i], math.NaN()))
			case TextVector:
				c.Text, c.Absent = append(c.Text, orElse(text[i], "")), append(c.Absent, text[i] == nil)
			case WholeVector, DayVector:
				c.Whole = append(c.Whole, orElse(whole[i], Null))
			}
		}
		return nil
	})
}

func orElse[T any](p *T, absent T) T {
	if p == nil {
		return absent
	}
	return *p
}
