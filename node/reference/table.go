package reference

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Table reads a CSV file by the names of its columns, which may come in any order and
// case.
type Table struct {
	reader *csv.Reader
	index  map[string]int
	fields []string
	line   int
}

// NewTable reads the header, which must have all of required and nothing beyond optional.
func NewTable(content []byte, required, optional []string) (*Table, error) {
	if len(content) > MaxFile {
		return nil, Faults{{1, "the file is over 64 MiB"}}
	}
	if !utf8.Valid(content) {
		return nil, Faults{{1, "the file is not UTF-8"}}
	}
	t := &Table{reader: csv.NewReader(bytes.NewReader(bytes.TrimPrefix(content, []byte("\uFEFF")))), index: map[string]int{}}
	header, err := t.reader.Read()
	if err != nil {
		return nil, Faults{{1, "the file has no header"}}
	}
	var faults Faults
	for i, name := range header {
		name = strings.ToLower(strings.TrimSpace(name))
		switch _, twice := t.index[name]; {
		case twice:
			faults.Add(1, "column %q comes twice", name)
		case !slices.Contains(required, name) && !slices.Contains(optional, name):
			faults.Add(1, "there is no column %q; the columns are %s", name, strings.Join(slices.Concat(required, optional), ", "))
		}
		t.index[name] = i
	}
	for _, name := range required {
		if _, ok := t.index[name]; !ok {
			faults.Add(1, "column %q is missing", name)
		}
	}
	return t, faults.Err()
}

// Next reads a row. It returns false at the end.
func (t *Table) Next() (bool, error) {
	var err error
	t.fields, err = t.reader.Read()
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	var parse *csv.ParseError
	if errors.As(err, &parse) {
		return false, Faults{{parse.Line, parse.Err.Error()}}
	}
	if err != nil {
		return false, err
	}
	t.line, _ = t.reader.FieldPos(0)
	return true, nil
}

// Line is where the current row begins.
func (t *Table) Line() int { return t.line }

// Text is a field of the current row without the spaces around it, "" for a column that
// the file does not have.
func (t *Table) Text(column string) string {
	if i, ok := t.index[column]; ok {
		return strings.TrimSpace(t.fields[i])
	}
	return ""
}
