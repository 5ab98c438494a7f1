package cdm

import (
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// Row is a row of a table. Its columns are named as in CDM 5.4; asking for one that
// the table does not have is a mistake and panics. It neither prints nor marshals.
type Row struct {
	Table   *Table
	Defects []Defect

	values []value
}

// Defect is something wrong with a row that does not keep it from being used.
type Defect struct {
	Rule   Rule
	Column string
}

// Rule names a [Defect]. The values are stable: operators filter by them.
type Rule string

// The rules of defects.
const (
	RequiredEmpty Rule = "required-empty" // the CDM wants a value
	WrongType     Rule = "wrong-type"     // not a number, a date or an integer; it is left out
	TooLong       Rule = "too-long"       // for the CDM's column
	InvalidUTF8   Rule = "invalid-utf8"
	KeysUnchecked Rule = "keys-unchecked" // so many keys that not all of the following are compared; once a file
)

// Problems of a file or row that package fhir has no rule for. The values are stable.
const (
	RuleUnknownColumn   fhir.Rule = "unknown-column"        // the CDM's table has no such column; it is left out
	RuleColumnCount     fhir.Rule = "column-count"          // a row with more or fewer values than the header
	RuleMalformedRow    fhir.Rule = "malformed-row"         // quotes that CSV does not allow
	RuleDuplicateKey    fhir.Rule = "duplicate-primary-key" // the row's key came before; the first row counts
	RuleTableVocabulary fhir.Rule = "vocabulary-table"      // it is for the vocabulary, not for patients
	RuleTableDerived    fhir.Rule = "derived-table"         // it is computed from others and not read
	RuleTableOther      fhir.Rule = "table-not-stored"      // nothing here has a place for it
)

// at returns the value of a column.
func (r *Row) at(column string) *value {
	i, ok := r.Table.index[column]
	if !ok {
		panic(fmt.Sprintf("cdm: %s has no column %s", r.Table.Name, column))
	}
	return &r.values[i]
}

// Has reports whether there is a value.
func (r *Row) Has(column string) bool { return r.at(column).set }

// Int returns a whole number, 0 for none.
func (r *Row) Int(column string) int64 { return r.at(column).bits }

// Number returns a number, nil for none.
func (r *Row) Number(column string) *float64 {
	v := r.at(column)
	if !v.set {
		return nil
	}
	n := math.Float64frombits(uint64(v.bits)) //nolint:gosec // same bits
	return &n
}

// Day returns a date in days since 1970-01-01; ok is false for none.
func (r *Row) Day(column string) (days int32, ok bool) {
	v := r.at(column)
	return int32(v.bits), v.set //nolint:gosec // years have four digits
}

// Time returns a time, zero for none. The CDM's have no zone: they are read as UTC.
func (r *Row) Time(column string) time.Time {
	v := r.at(column)
	if !v.set {
		return time.Time{}
	}
	return time.UnixMicro(v.bits).UTC()
}

// Text returns a text, empty for none.
func (r *Row) Text(column string) string { return r.at(column).text }

// Each calls visit for every column that has a value.
func (r *Row) Each(visit func(Column)) {
	for i, v := range r.values {
		if v.set {
			visit(r.Table.Columns[i])
		}
	}
}

// EachReference implements [fhir.Resource]; a row has none.
func (*Row) EachReference(func(string, *fhir.Reference)) {}

// Format prints a redaction whatever the verb.
func (*Row) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "cdm:redacted") }

// MarshalJSON refuses: patient data leaves through the store only.
func (*Row) MarshalJSON() ([]byte, error) {
	return nil, errors.New("cdm: patient data does not marshal")
}
