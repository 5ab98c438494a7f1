package cdm

import (
	"bufio"
	"encoding/csv"
	"io"
	"strings"
)

// rows reads one row after the other. FieldPos gives the line on which the last one
// began.
type rows interface {
	Read() ([]string, error)
	FieldPos(field int) (line, column int)
}

func newRows(src io.Reader, separator rune) rows {
	if separator == '\t' {
		return &tabs{in: bufio.NewReader(src)}
	}
	r := csv.NewReader(src)
	r.Comma, r.FieldsPerRecord, r.ReuseRecord = separator, -1, true
	return r
}

// tabs reads rows with tabs between cells: a row is a line. Most writers quote nothing
// there, so a quote at the beginning of a text must not reach into the next line; a cell
// that is quoted as a whole is taken out of its quotes.
type tabs struct {
	in   *bufio.Reader
	line int
}

func (t *tabs) Read() ([]string, error) {
	for {
		text, err := t.in.ReadString('\n')
		if text == "" && err != nil {
			return nil, err
		}
		if err != nil && err != io.EOF { //nolint:errorlint // bufio returns it as it is
			return nil, err
		}
		t.line++
		if text = strings.TrimRight(text, "\r\n"); text == "" {
			continue
		}
		cells := strings.Split(text, "\t")
		for i, c := range cells {
			if len(c) > 1 && c[0] == '"' && c[len(c)-1] == '"' {
				cells[i] = strings.ReplaceAll(c[1:len(c)-1], `""`, `"`)
			}
		}
		return cells, nil
	}
}

func (t *tabs) FieldPos(int) (line, column int) { return t.line, 1 }
