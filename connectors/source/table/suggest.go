package table

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// Suggestion is a proposal for a mapping.
type Suggestion struct {
	// YAML is the text of the mapping file. Where a person must decide it has a comment,
	// and "?" where nothing could be proposed, which [Parse] refuses. It holds names of
	// columns, codes and spellings of units of the file and no other cell.
	YAML []byte

	// Notes are what a person must decide or look at, in the order of the file.
	Notes []string
}

// Bounds of what [Suggest] looks at.
const (
	sampleBytes = 1 << 20
	sampleRows  = 2000
)

// ErrNoTable reports an input that is no table: not two columns over several rows.
var ErrNoTable = errors.New("table: no table was found: want at least two columns and two rows, with a delimiter of , ; tab or |")

// Suggest proposes a mapping called name for a table, plain, gzip or [Typed], by its first
// rows: at most 1 MiB and 2,000 of them. It fails with [ErrNoTable], or if src does.
func Suggest(ctx context.Context, src io.Reader, name string) (*Suggestion, error) {
	s, err := newSample(ctx, src)
	if err != nil {
		return nil, err
	}
	d := &draft{name: mappingNameOf(name), sample: s}
	d.decide()
	text := d.write()
	if m, err := Parse(text); err == nil {
		d.key = s.key(ctx, m, d)
		text = d.write()
	}
	return &Suggestion{YAML: text, Notes: d.notes}, nil
}

// mappingNameOf makes a name for a mapping of that of a file.
func mappingNameOf(s string) string {
	s = strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '-':
			return c
		}
		return '-'
	}, s)
	if s = strings.Trim(s, "-."); len(s) > 64 {
		s = s[:64]
	}
	if s == "" {
		return "table"
	}
	return s
}

// sample is the beginning of a table.
type sample struct {
	text    []byte // decoded
	latin   bool
	header  bool
	columns []*profile
	rows    int
}

func newSample(ctx context.Context, src io.Reader) (*sample, error) {
	in, err := fhir.OpenInput(ctx, src, fhir.Options{})
	if err != nil {
		return nil, inputError(err)
	}
	raw, err := io.ReadAll(io.LimitReader(in, sampleBytes))
	if err != nil {
		return nil, inputError(err)
	}
	s := &sample{}
	marked := bytes.HasPrefix(raw, []byte("\xff\xfe")) || bytes.HasPrefix(raw, []byte("\xfe\xff"))
	if len(raw) == sampleBytes && !marked {
		raw = raw[:bytes.LastIndexByte(raw, '\n')+1]
	}
	s.latin = !marked && !utf8.Valid(raw)
	br, err := decoded(bytes.NewReader(raw), s.latin)
	if err != nil {
		return nil, err
	}
	if s.text, err = io.ReadAll(br); err != nil {
		return nil, err
	}
	rows := s.cut()
	if len(rows) < 2 {
		return nil, ErrNoTable
	}
	_, typed := src.(Typed)
	s.profile(rows, typed)
	return s, nil
}

// inputError is an error of an input without its bytes.
func inputError(err error) error {
	if p, ok := fhir.InputProblem(err, 1); ok {
		return p
	}
	return fmt.Errorf("table: read input: %w", err)
}

// cut returns the rows as the delimiter cuts them that gives most cells in rows that are
// all as long as the first.
func (s *sample) cut() (best [][]string) {
	score := 0
	for _, delimiter := range []byte(delimiters) {
		rows := rowsOf(s.text, delimiter)
		if len(rows) < 2 || len(rows[0]) < 2 {
			continue
		}
		even := 0
		for _, r := range rows {
			if len(r) == len(rows[0]) {
				even++
			}
		}
		if even*10 >= len(rows)*8 && even*len(rows[0]) > score {
			best, score = rows, even*len(rows[0])
		}
	}
	width := 0
	if best != nil {
		width = len(best[0])
	}
	return slices.DeleteFunc(best, func(r []string) bool { return len(r) != width })
}

// rowsOf returns the first rows that can be cut.
func rowsOf(text []byte, delimiter byte) (rows [][]string) {
	l := newLexer(bytes.NewReader(text), delimiter)
	for len(rows) <= sampleRows {
		r, p, err := l.next()
		if err != nil {
			break
		}
		if p == nil && !blank(r) && !separatorLine(r.text) {
			rows = append(rows, slices.Clone(r.cells))
		}
	}
	return rows
}

// profile looks at the cells of each column. A typed table has a header, of which others
// leave a doubt.
func (s *sample) profile(rows [][]string, typed bool) {
	cells := make([]*profile, len(rows[0]))
	for i := range cells {
		cells[i] = &profile{distinct: map[string]int{}}
		for _, r := range rows[1:] {
			cells[i].add(clean(r[i]))
		}
		cells[i].look()
	}
	s.columns, s.rows = cells, len(rows)-1
	s.header = typed || isHeader(rows[0], cells)
	for i, c := range cells {
		if c.name = clean(rows[0][i]); !s.header {
			c.add(c.name)
			c.look()
			c.name = fmt.Sprintf("column-%d", i+1)
		}
		c.plain = letters(c.name)
	}
	if !s.header {
		s.rows++
	}
}

// isHeader reports whether the first row has names: texts that differ, of which at least
// one stands over cells of another form, and none is found in its own column. In doubt it
// has none: a row of a patient must not be taken for names.
func isHeader(first []string, below []*profile) bool {
	seen, evident := map[string]bool{}, false
	for i, cell := range first {
		name := clean(cell)
		switch {
		case name == "" && i == 0, name == "" && below[i].n == 0:
			continue // names of rows, or a delimiter at the end
		case name == "", seen[name], len(name) > maxName, below[i].distinct[name] > 0, shapeOf(name) != shapeText:
			return false
		}
		seen[name] = true
		evident = evident || below[i].n > 0 && below[i].share(below[i].texts) < 0.5
	}
	return evident && len(seen) > 1
}
