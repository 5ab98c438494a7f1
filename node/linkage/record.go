package linkage

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
)

var errMustNotLeave = errors.New("linkage: identifiers must not leave the site")

// Record is what identifies one person, in normal form. It neither prints nor
// marshals.
type Record struct {
	values [fields]string
}

// NewRecord returns the record of these values, each put into its normal form
// ([Normalize]). Values that say nothing are left out.
func NewRecord(values map[Field]string, order DateOrder) Record {
	var r Record
	for f, text := range values {
		if int(f) < fields {
			r.values[f] = Normalize(f, text, order)
		}
	}
	return r
}

// Format prints a fixed text whatever the verb.
func (Record) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "record:redacted") }

// LogValue keeps handlers that use reflection from the values.
func (Record) LogValue() slog.Value { return slog.StringValue("record:redacted") }

// MarshalJSON always fails.
func (Record) MarshalJSON() ([]byte, error) { return nil, errMustNotLeave }

// MarshalText always fails.
func (Record) MarshalText() ([]byte, error) { return nil, errMustNotLeave }

// MarshalBinary always fails; it also keeps gob from the values.
func (Record) MarshalBinary() ([]byte, error) { return nil, errMustNotLeave }

// MaxRecords is the most records of one list.
const MaxRecords = 20_000_000

// ReadCSV reads a record from each row after the header. Between columns are commas,
// semicolons or tabs, whichever the header has most of. Columns are found by their
// names, without blanks around and whatever the case; several fields may share one.
// Record i is of row i+1, the header being row 0. An error names the line or the column.
func ReadCSV(r io.Reader, columns map[Field]string, order DateOrder) ([]Record, error) {
	buffered := bufio.NewReaderSize(r, 1<<16)
	rows := csv.NewReader(buffered)
	rows.Comma = separator(buffered)
	rows.ReuseRecord, rows.TrimLeadingSpace = true, true
	header, err := rows.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the file is empty")
	}
	if err != nil {
		return nil, csvError(err)
	}
	var places [fields]int
	for f := range places {
		places[f] = -1
		name, wanted := columns[Field(f)]
		if !wanted {
			continue
		}
		places[f] = slices.IndexFunc(header, func(column string) bool {
			return strings.EqualFold(strings.TrimSpace(strings.TrimPrefix(column, "\ufeff")), name)
		})
		if places[f] < 0 {
			return nil, fmt.Errorf("the header has no column %q", name)
		}
	}
	var records []Record
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return records, nil
		}
		if err != nil {
			return nil, csvError(err)
		}
		if len(records) == MaxRecords {
			return nil, fmt.Errorf("more than %d rows: split the file", MaxRecords)
		}
		var one Record
		for f, place := range places {
			if place >= 0 {
				one.values[f] = Normalize(Field(f), row[place], order)
			}
		}
		records = append(records, one)
	}
}

// separator looks at the first line.
func separator(r *bufio.Reader) rune {
	head, _ := r.Peek(1 << 16) // a shorter file will do; reading it will say what is wrong
	line, _, _ := bytes.Cut(head, []byte("\n"))
	best, most := ',', 0
	for _, c := range ",;\t" {
		if n := bytes.Count(line, []byte(string(c))); n > most {
			best, most = c, n
		}
	}
	return best
}

// csvError says where a file is no CSV.
func csvError(err error) error {
	var p *csv.ParseError
	if errors.As(err, &p) {
		return fmt.Errorf("line %d, column %d: %w", p.Line, p.Column, p.Err)
	}
	return err
}
