package table

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// HeadSize is how many bytes of a table may stand before the end of its header line.
const HeadSize = 64 << 10

// separatorLine is what a spreadsheet may write before the header: sep=;
func separatorLine(text string) bool {
	if len(text) > len("sep=;\r\n") {
		return false
	}
	rest, ok := strings.CutPrefix(strings.ToLower(strings.TrimRight(text, "\r\n")), "sep=")
	return ok && len(rest) == 1
}

// firstRow returns the first row of head as a delimiter cuts it, and how many lines come
// before it; nil if there is none.
func firstRow(head []byte, delimiter byte) (cells []string, before int) {
	l := newLexer(bytes.NewReader(head), delimiter)
	for {
		r, p, err := l.next()
		switch {
		case err != nil || p != nil:
			return nil, 0
		case strings.TrimSpace(r.text) != "" && !separatorLine(r.text):
			return r.cells, r.line - 1
		}
	}
}

// names returns the cells of a header, cleaned.
func names(cells []string) []string {
	out := make([]string, len(cells))
	for i, c := range cells {
		out[i] = clean(c)
	}
	return out
}

// claims reports whether the mapping is for a table with that header, and where its
// columns stand there. A column that a header has twice is not found. The problem says
// what is in the way.
func (m *Mapping) claims(header []string) (at []int, p *fhir.Problem) {
	at = make([]int, len(m.columns))
	for i, name := range m.columns {
		at[i] = slices.Index(header, name)
		switch {
		case at[i] < 0:
			return nil, &fhir.Problem{Rule: RuleWrongHeader, Path: name, Detail: "the header lacks this column"}
		case slices.Contains(header[at[i]+1:], name):
			return nil, &fhir.Problem{Rule: RuleWrongHeader, Path: name, Detail: "the header has this column twice"}
		}
	}
	if !m.extra {
		named := 0
		for _, name := range header {
			if name != "" {
				named++
			}
		}
		if named != len(m.columns) {
			return nil, &fhir.Problem{Rule: RuleWrongHeader, Detail: "the header has columns that the mapping does not list; list them or set extra: true"}
		}
	}
	return at, nil
}

// layout is how a table is written.
type layout struct {
	delimiter byte
	before    int   // lines before the first row
	at        []int // where the columns of the mapping stand in a row
	width     int   // cells of a row
	narrow    int   // the same without those at the end that have no name
	cleaned   []string
}

// layout finds out how a table that begins with head is written: with the delimiter that
// gives the columns of the mapping.
func (m *Mapping) layout(head []byte) (found layout, problem *fhir.Problem) {
	problem = &fhir.Problem{Rule: RuleWrongHeader, Detail: "no row was found in the first 64 KiB"}
	least := -1
	for _, delimiter := range []byte(delimiters) {
		cells, before := firstRow(head, delimiter)
		if cells == nil {
			continue
		}
		found := layout{delimiter: delimiter, before: before, width: len(cells), narrow: len(cells)}
		if !m.header {
			if len(cells) == len(m.columns) {
				for i := range cells {
					found.at = append(found.at, i)
				}
				return found, nil
			}
			problem = &fhir.Problem{Rule: RuleWrongHeader, Line: before + 1, Detail: "the first row has not as many cells as the mapping has columns"}
			continue
		}
		header := names(cells)
		at, p := m.claims(header)
		if p == nil {
			found.at = at
			for found.narrow > 0 && header[found.narrow-1] == "" {
				found.narrow--
			}
			for i, name := range header {
				if isUnclean(cells[i]) {
					found.cleaned = append(found.cleaned, name)
				}
			}
			return found, nil
		}
		// The delimiter that cuts most names out is the one to complain about.
		if len(cells) > least {
			least, problem = len(cells), p
			problem.Line = before + 1
		}
	}
	problem.Line = max(problem.Line, 1)
	return layout{}, problem
}

// Detect reports whether head, plain or gzip, begins as a table does: a first row that a
// delimiter cuts, of something that is not JSON, XML, PDF or binary. Workbooks and archives
// (.xlsx, .zip) are binary, and so is whatever has a byte below the tab.
func Detect(head []byte) bool {
	br, err := decoded(bytes.NewReader(plain(head)), false)
	if err != nil {
		return false
	}
	text, err := peek(br)
	if first := bytes.TrimSpace(text); err != nil || len(first) == 0 || strings.ContainsRune("{[<", rune(first[0])) || isBinary(first) {
		return false
	}
	for _, delimiter := range []byte(delimiters) {
		if cells, _ := firstRow(text, delimiter); len(cells) > 1 {
			return true
		}
	}
	return false
}

// isBinary reports whether text is none: by the signatures of ZIP and PDF, which may be
// followed by text for a while, and by control characters that no table has.
func isBinary(text []byte) bool {
	return bytes.HasPrefix(text, []byte("PK\x03\x04")) || bytes.HasPrefix(text, []byte("PK\x05\x06")) || bytes.HasPrefix(text, []byte("%PDF-")) ||
		bytes.IndexFunc(text, func(c rune) bool { return c < '\t' }) >= 0
}

// peek returns the beginning of a table without consuming it.
func peek(br *bufio.Reader) ([]byte, error) {
	head, err := br.Peek(HeadSize)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		return nil, err
	}
	return head, nil
}
