package cdm

import (
	"bufio"
	"io"
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// rows reads one row after the other. Line is that on which the last one began. An error of
// [RuleMalformedRow] is about that row alone.
type rows interface {
	Read() ([]string, error)
	Line() int
}

func newRows(src io.Reader, separator rune) rows {
	in := lines{in: bufio.NewReader(src)}
	if separator == '\t' {
		return &tabs{in}
	}
	return &commas{lines: in, separator: byte(separator)} //nolint:gosec // one of three characters of ASCII
}

// lines reads lines without their ends, of which some may be read again.
type lines struct {
	in    *bufio.Reader
	again []string
	line  int // the last one that was read, from 1
}

func (l *lines) next() (string, error) {
	if len(l.again) > 0 {
		text := l.again[0]
		l.again = l.again[1:]
		l.line++
		return text, nil
	}
	text, err := l.in.ReadString('\n')
	if err != nil && (err != io.EOF || text == "") { //nolint:errorlint // bufio returns it as it is
		return "", err
	}
	l.line++
	return strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r"), nil
}

// nextFull is next without the lines that are empty.
func (l *lines) nextFull() (string, error) {
	for {
		if text, err := l.next(); text != "" || err != nil {
			return text, err
		}
	}
}

// tabs reads rows with tabs between cells: a row is a line. Most writers quote nothing
// there, so a quote at the beginning of a text must not reach into the next line; a cell
// that is quoted as a whole is taken out of its quotes.
type tabs struct{ lines }

func (t *tabs) Read() ([]string, error) {
	text, err := t.nextFull()
	if err != nil {
		return nil, err
	}
	cells := strings.Split(strings.TrimRight(text, "\r"), "\t")
	for i, c := range cells {
		if len(c) > 1 && c[0] == '"' && c[len(c)-1] == '"' {
			cells[i] = strings.ReplaceAll(c[1:len(c)-1], `""`, `"`)
		}
	}
	return cells, nil
}

func (t *tabs) Line() int { return t.line }

// Bounds of a cell in quotes that goes over several lines.
const (
	maxQuotedLines = 100
	maxQuotedBytes = 64 << 10 // of the row
)

var (
	errBare = &fhir.Problem{Rule: RuleMalformedRow, Detail: "a quote stands where CSV does not allow it"}
	errOpen = &fhir.Problem{Rule: RuleMalformedRow, Detail: "a quote of this row is not closed within 100 lines and 64 KiB; the rows behind it are read without it"}
)

// commas reads rows as RFC 4180 has them. A quote that is not closed takes one line with it
// and not what comes after.
type commas struct {
	lines
	separator byte
	start     int // line of the row
	cells     []string
}

func (c *commas) Line() int { return c.start }

func (c *commas) Read() ([]string, error) {
	text, err := c.nextFull()
	if err != nil {
		return nil, err
	}
	c.start = c.line
	open, err := c.split(text)
	var more []string
	for size := len(text); open && err == nil; {
		next, ended := c.next()
		if ended != nil && ended != io.EOF { //nolint:errorlint // as it comes from lines
			return nil, ended
		}
		if ended == nil {
			more = append(more, next)
			size += len(next) + 1
		}
		if ended != nil || len(more) == maxQuotedLines || size > maxQuotedBytes {
			c.again = append(more, c.again...)
			c.line = c.start
			return nil, errOpen
		}
		if strings.Contains(next, `"`) {
			open, err = c.split(text + "\n" + strings.Join(more, "\n"))
		}
	}
	if err != nil {
		c.again = append(more, c.again...) // the quote may have closed where another cell began one
		c.line = c.start
		return nil, err
	}
	return c.cells, nil
}

// split takes the cells out of a row. It is open if the last one has a quote that is not
// closed.
func (c *commas) split(text string) (open bool, err error) {
	c.cells = c.cells[:0]
	for {
		cell, rest, more := text, "", false
		if strings.HasPrefix(text, `"`) {
			if cell, rest, open, err = unquote(text[1:]); open || err != nil {
				return open, err
			}
			if more = rest != ""; more {
				if rest[0] != c.separator {
					return false, errBare
				}
				rest = rest[1:]
			}
		} else {
			if at := strings.IndexByte(text, c.separator); at >= 0 {
				cell, rest, more = text[:at], text[at+1:], true
			}
			if strings.Contains(cell, `"`) {
				return false, errBare
			}
		}
		c.cells = append(c.cells, cell)
		if !more {
			return false, nil
		}
		text = rest
	}
}

// unquote reads to the quote that closes a cell.
func unquote(text string) (cell, rest string, open bool, err error) {
	at := 0
	for {
		i := strings.IndexByte(text[at:], '"')
		if i < 0 {
			return "", "", true, nil
		}
		at += i + 1
		if !strings.HasPrefix(text[at:], `"`) {
			return strings.ReplaceAll(text[:at-1], `""`, `"`), text[at:], false, nil
		}
		at++
	}
}
