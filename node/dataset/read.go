package dataset

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/localstore/dataset"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/node/mapping"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// Limits of a file. Its values are in memory until they are stored, 8 bytes each.
const (
	MaxBytes  = 256 << 20 // of the file, and of the text of a Parquet file
	MaxRows   = 1_000_000
	MaxValues = 20_000_000 // rows times columns of the schema
	maxHeader = 2000       // columns of a file, with those that the schema does not name
)

var (
	errTooLarge = problem.New(problem.TooLarge, fmt.Sprintf("the file is over a limit of data sets: %d MiB of text, %d rows, %d values", MaxBytes>>20, MaxRows, MaxValues))
	errHeader   = problem.New(problem.Invalid, "the file has no header: want the names of the columns, separated by commas, in line 1")
)

// table is what a file says: rows without a fault of their own, of persons yet to be found.
type table struct {
	person string // its column
	keys   []omop.Key
	lines  []int
	values []float64
	width  int
	faults Faults
}

func (t *table) row(i int) []float64 { return t.values[i*t.width : (i+1)*t.width] }

// read reads a CSV file whose header has all columns of the schema, and perhaps others,
// which are left out.
func read(schema dataset.Schema, text io.Reader) (*table, error) {
	in := &io.LimitedReader{R: text, N: MaxBytes + 1}
	rows := csv.NewReader(in)
	rows.ReuseRecord = true
	header, err := rows.Read()
	if errors.Is(err, io.EOF) {
		return nil, errHeader
	}
	if err != nil {
		return nil, malformed(err)
	}
	if len(header) > maxHeader {
		return nil, problem.New(problem.TooLarge, fmt.Sprintf("the file has over %d columns", maxHeader))
	}
	r, err := newReader(schema, header)
	if err != nil {
		return nil, err
	}
	for {
		record, err := rows.Read()
		switch {
		case in.N <= 0 || len(r.keys) > MaxRows || len(r.values) > MaxValues:
			return nil, errTooLarge
		case errors.Is(err, io.EOF):
			return r.table, nil
		case errors.Is(err, csv.ErrFieldCount):
			r.faults.add(lineOf(rows), "", Width)
		case err != nil:
			return nil, malformed(err)
		default:
			r.add(lineOf(rows), record)
		}
	}
}

func lineOf(rows *csv.Reader) int {
	line, _ := rows.FieldPos(0)
	return line
}

// malformed is the error of text that is no CSV, or of a file that could not be read.
func malformed(err error) error {
	if p := new(csv.ParseError); errors.As(err, &p) {
		return problem.New(problem.Invalid, fmt.Sprintf("line %d is no CSV: %s", p.Line, p.Err))
	}
	return unreadable(err)
}

// reader makes a table of records.
type reader struct {
	*table
	key   func(text string) (omop.Key, bool)
	at    int // of the person in a record
	cells []cell
	seen  map[omop.Key]struct{}
}

// cell reads the values of a column.
type cell struct {
	name string
	at   int // in a record
	read func(text string) (float64, Rule)
}

func newReader(schema dataset.Schema, header []string) (*reader, error) {
	places := make(map[string]int, len(header))
	twice := make(map[string]bool)
	for i, name := range header {
		if i == 0 {
			name = strings.TrimPrefix(name, "\uFEFF")
		}
		name = strings.TrimSpace(name)
		_, there := places[name]
		places[name], twice[name] = i, there
	}
	var absent []string
	place := func(name string) int {
		at, there := places[name]
		if !there || twice[name] {
			absent = append(absent, strconv.Quote(name))
		}
		return at
	}
	r := &reader{
		table: &table{person: schema.Person.Column, width: len(schema.Columns), faults: Faults{Count: map[Rule]int{}}},
		key:   keyOf(schema.Person.System), at: place(schema.Person.Column), seen: make(map[omop.Key]struct{}),
	}
	for _, c := range schema.Columns {
		r.cells = append(r.cells, cell{c.Name, place(c.Name), valueOf(c)})
	}
	if len(absent) > 0 {
		return nil, problem.New(problem.Invalid, "line 1: the header has not, or has twice, the schema's "+strings.Join(absent, ", "))
	}
	return r, nil
}

// add takes a record, or its first fault.
func (r *reader) add(line int, record []string) {
	id := strings.TrimSpace(record[r.at])
	key, ok := r.key(id)
	if !ok || missing(id) {
		r.faults.add(line, r.person, NoPerson)
		return
	}
	if _, twice := r.seen[key]; twice {
		r.faults.add(line, r.person, SecondRow)
		return
	}
	r.seen[key] = struct{}{}
	begun := len(r.values)
	for _, c := range r.cells {
		v, rule := math.NaN(), Rule("")
		if text := strings.TrimSpace(record[c.at]); !missing(text) {
			v, rule = c.read(text)
		}
		if rule != "" {
			r.faults.add(line, c.name, rule)
			r.values = r.values[:begun]
			return
		}
		r.values = append(r.values, v)
	}
	r.keys, r.lines = append(r.keys, key), append(r.lines, line)
}

// missing reports whether a cell holds nothing.
func missing(text string) bool { return text == "" || text == "NA" }

// keyOf returns how identifiers of a system become the keys that loads gave the persons.
func keyOf(system string) func(text string) (omop.Key, bool) {
	switch system {
	case dataset.FHIR:
		return func(text string) (omop.Key, bool) { return mapping.PersonKey(text), fhir.IsResourceID(text) }
	case dataset.OMOP:
		return func(text string) (omop.Key, bool) {
			id, err := strconv.ParseInt(text, 10, 64)
			return mapping.CDMKey("person", id), err == nil
		}
	}
	return func(text string) (omop.Key, bool) {
		return mapping.PersonKey(fhir.Digest("Patient", system, text)), true
	}
}

// valueOf returns how a column's texts become values.
func valueOf(c dataset.Column) func(text string) (float64, Rule) {
	switch c.Kind {
	case query.FactorValues:
		return func(text string) (float64, Rule) {
			i := slices.Index(c.Levels, text)
			if i < 0 {
				return 0, NoLevel
			}
			return float64(i), ""
		}
	case query.LogicalValues:
		return func(text string) (float64, Rule) {
			switch text {
			case c.True:
				return 1, ""
			case c.False:
				return 0, ""
			}
			return 0, NotLogical
		}
	}
	return func(text string) (float64, Rule) {
		v, err := strconv.ParseFloat(text, 64)
		switch {
		case err != nil || strings.Trim(text, "0123456789+-.eE") != "":
			return 0, NoNumber
		case v < c.Low || v > c.High:
			return 0, OutOfRange
		}
		return v, ""
	}
}
