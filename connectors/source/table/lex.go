package table

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// delimiters are what can stand between two cells, most frequent first.
const delimiters = ",;\t|"

// maxRowLines is how many lines a row may have. Behind a quote that nobody closed it is
// also how far reading looks for its end.
const maxRowLines = 200

// row is one row of a table as it came.
type row struct {
	line  int    // on which it begins, from 1
	text  string // all of it, with its line end
	cells []string
}

// lexer cuts text into rows (RFC 4180): cells between delimiters, in quotes if they hold
// a delimiter or a line break, and a quote in quotes doubled. A quote inside a cell that
// does not begin with one is a character like any other. Lines end in LF or CRLF.
type lexer struct {
	br         *bufio.Reader
	delimiter  byte
	maxRow     int // bytes
	maxCell    int // bytes
	maxColumns int

	line  int    // of the first byte of ahead, from 1
	ahead []byte // read from br and not yet given, whole lines but for the last of the input
	given int    // bytes of ahead that the last row took
	spans []span // of the row being read
	row   row    // given again and again
}

// span is where a cell stands in ahead. Escaped says that it holds doubled quotes.
type span struct {
	from, to int
	escaped  bool
}

// Problems of a row, without a line.
var (
	problemQuote   = fhir.Problem{Rule: RuleMalformedRow, Detail: "a quote inside a quoted cell is not doubled; the row is passed over"}
	problemOpen    = fhir.Problem{Rule: RuleMalformedRow, Detail: "a quote is not closed; the row is passed over"}
	problemRow     = fhir.Problem{Rule: fhir.RuleTooLarge, Detail: "the row is over the limit"}
	problemCell    = fhir.Problem{Rule: fhir.RuleTooLarge, Detail: "a cell is over the limit"}
	problemColumns = fhir.Problem{Rule: fhir.RuleTooLarge, Detail: "the row has more cells than the limit"}
)

// newLexer returns a lexer with the widest limits that a header needs.
func newLexer(src io.Reader, delimiter byte) *lexer {
	return &lexer{br: bufio.NewReaderSize(src, HeadSize), delimiter: delimiter, maxRow: HeadSize, maxCell: HeadSize, maxColumns: maxNamed, line: 1}
}

// next returns the next row, which is good until the call after it. A row that cannot be
// cut is a problem; reading then goes on with the line after the one on which it began. The
// error is io.EOF at the end, or that of the source.
func (l *lexer) next() (*row, *fhir.Problem, error) {
	l.ahead = l.ahead[:copy(l.ahead, l.ahead[l.given:])]
	l.given = 0
	first, err := l.lineEnd(0)
	if err != nil || first == 0 {
		return nil, nil, err
	}
	if first > l.maxRow {
		return nil, l.giveUp(first, problemRow), l.skipLine()
	}
	end, lines, problem, err := l.cut(first)
	switch {
	case err != nil:
		return nil, nil, err
	case problem != nil:
		return nil, l.giveUp(first, *problem), nil
	}
	l.row.line, l.row.text = l.line, string(l.ahead[:end])
	l.row.cells = l.row.cells[:0]
	for _, s := range l.spans {
		cell := l.row.text[s.from:s.to]
		if s.escaped {
			cell = strings.ReplaceAll(cell, `""`, `"`)
		}
		l.row.cells = append(l.row.cells, cell)
	}
	l.line += lines
	l.given = end
	return &l.row, nil, nil
}

// giveUp passes over one line of n bytes.
func (l *lexer) giveUp(n int, p fhir.Problem) *fhir.Problem {
	p.Line = l.line
	l.line++
	l.given = n
	return &p
}

// lineEnd returns where the line ends that begins at from, behind its line feed, reading on
// as needed; from itself if nothing follows, with io.EOF if from is 0. A line over the
// limit is not read to its end.
func (l *lexer) lineEnd(from int) (int, error) {
	if i := bytes.IndexByte(l.ahead[from:], '\n'); i >= 0 {
		return from + i + 1, nil
	}
	for {
		chunk, err := l.br.ReadSlice('\n')
		l.ahead = append(l.ahead, chunk...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			if len(l.ahead)-from > l.maxRow {
				return len(l.ahead), nil
			}
		case errors.Is(err, io.EOF):
			if len(l.ahead) == 0 {
				return 0, io.EOF
			}
			return len(l.ahead), nil
		default:
			return len(l.ahead), err
		}
	}
}

// skipLine drops what is left of a line of which ahead holds the beginning.
func (l *lexer) skipLine() error {
	if bytes.IndexByte(l.ahead, '\n') >= 0 {
		return nil
	}
	for {
		switch _, err := l.br.ReadSlice('\n'); {
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return nil
		default:
			return err
		}
	}
}

// cut finds the cells of the row whose first line ends at end. It returns where the row
// ends and how many lines it has.
func (l *lexer) cut(end int) (int, int, *fhir.Problem, error) {
	l.spans = l.spans[:0]
	lines, at := 1, 0
	for {
		if len(l.spans) == l.maxColumns {
			return 0, 0, &problemColumns, nil
		}
		s := span{from: at}
		if l.ahead[at:end][0] == '"' {
			s.from++
			close, escaped := closing(l.ahead[:end], s.from)
			for close < 0 {
				more, err := l.lineEnd(end)
				if err != nil {
					return 0, 0, nil, err
				}
				if more == end || lines == maxRowLines {
					return 0, 0, &problemOpen, nil
				}
				if more > l.maxRow {
					return 0, 0, &problemRow, nil
				}
				lines, end = lines+1, more
				close, escaped = closing(l.ahead[:end], s.from)
			}
			s.to, s.escaped, at = close, escaped, close+1
		} else {
			at = s.from + cellLength(l.ahead[s.from:end], l.delimiter)
			s.to = at
		}
		if s.to-s.from > l.maxCell {
			return 0, 0, &problemCell, nil
		}
		l.spans = append(l.spans, s)
		switch rest := l.ahead[at:end]; {
		case len(rest) > 0 && rest[0] == l.delimiter:
			at++
			if at == end { // the input ends behind a delimiter: one more cell, empty
				l.spans = append(l.spans, span{from: at, to: at})
				return end, lines, nil, nil
			}
		case len(bytes.TrimRight(rest, "\r\n")) == 0:
			return end, lines, nil, nil
		default:
			return 0, 0, &problemQuote, nil
		}
	}
}

// closing returns the index of the quote that ends the cell whose inside begins at from,
// -1 if there is none yet, and whether there are doubled ones before it.
func closing(b []byte, from int) (at int, escaped bool) {
	for i := from; ; i += 2 {
		next := bytes.IndexByte(b[i:], '"')
		if next < 0 {
			return -1, escaped
		}
		i += next
		if i+1 == len(b) || b[i+1] != '"' {
			return i, escaped
		}
		escaped = true
	}
}

// cellLength is the length of the cell without quotes with which b begins.
func cellLength(b []byte, delimiter byte) int {
	for i, c := range b {
		if c == delimiter || c == '\n' || c == '\r' && (i+1 == len(b) || b[i+1] == '\n') {
			return i
		}
	}
	return len(b)
}
