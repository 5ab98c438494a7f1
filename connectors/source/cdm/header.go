package cdm

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"io"
	"regexp"
	"slices"
	"strings"
)

const byteOrderMark = "\xef\xbb\xbf"

// Detect reports whether a file that begins with head, uncompressed, is a table of the
// CDM. head has to hold its first line.
func Detect(head []byte) bool {
	names, _, ok := headerOf(head)
	return ok && recognize(names) != nil
}

// Recognize returns the table that src begins with, plain or gzip, or nil. It reads no
// more than the first line may have.
func Recognize(src io.Reader) *Table {
	br := bufio.NewReader(src)
	src = br
	if magic, _ := br.Peek(2); string(magic) == "\x1f\x8b" {
		zipped, err := gzip.NewReader(br)
		if err != nil {
			return nil
		}
		src = zipped
	}
	head, _ := io.ReadAll(io.LimitReader(src, maxHeader))
	names, _, ok := headerOf(head)
	if !ok {
		return nil
	}
	if h := recognize(names); h != nil {
		return h.table
	}
	return nil
}

// headerOf reads the first line of head, and which character separates its fields.
func headerOf(head []byte) (names []string, separator rune, ok bool) {
	head = bytes.TrimPrefix(head, []byte(byteOrderMark))
	line, _, whole := bytes.Cut(head, []byte("\n"))
	if !whole || bytes.ContainsAny(line, "{}<>\x00") {
		return nil, 0, false
	}
	separator = separatorOf(line)
	r := newCSV(bytes.NewReader(line), separator)
	names, err := r.Read()
	return names, separator, err == nil && len(names) > 1
}

func separatorOf(line []byte) rune {
	if bytes.IndexByte(line, '\t') >= 0 {
		return '\t'
	}
	return ','
}

// header says which column of a table stands where.
type header struct {
	table *Table
	at    []int // by position in the file: the column, or -1
}

// recognize returns the table that a file with these column names is, or nil. That is
// the one that most of them belong to, if its key is among them, more than half of
// what the CDM requires of it, and no fewer than half of them are its.
func recognize(names []string) *header {
	var best *header
	most := 0
	for _, t := range model() {
		h, matched, required := t.match(names)
		if !slices.Contains(h.at, 0) || 2*required <= t.required || 2*matched < len(names) {
			continue
		}
		if matched > most || matched == most && t.Name < best.table.Name {
			best, most = h, matched
		}
	}
	return best
}

// match finds the columns of t among names: how many there are, and how many of those
// that the CDM requires.
func (t *Table) match(names []string) (h *header, matched, required int) {
	h = &header{table: t, at: make([]int, len(names))}
	taken := make([]bool, len(t.Columns))
	take := func(i, column int) {
		h.at[i], taken[column] = column, true
		matched++
		if t.Columns[column].Required {
			required++
		}
	}
	for i, name := range names {
		h.at[i] = -1
		if column, ok := t.named(name); ok && !taken[column] {
			take(i, column)
		}
	}
	// What is no name at all, such as SQL that an export has left there, is the column
	// that has this place in the CDM, if the file has as many as the CDM.
	for i, name := range names {
		if h.at[i] < 0 && len(names) == len(t.Columns) && !taken[i] && !isName(name) {
			take(i, i)
		}
	}
	return h, matched, required
}

var word = regexp.MustCompile(`[a-z_][a-z0-9_]*`)

// named returns the column that is called name, or that alone appears in it as in
// date(birth_datetime,'unixepoch').
func (t *Table) named(name string) (column int, ok bool) {
	name = strings.ToLower(strings.TrimSpace(name))
	if isName(name) {
		return t.column(name)
	}
	for _, w := range word.FindAllString(name, -1) {
		if c, known := t.column(w); known {
			if ok && c != column {
				return 0, false
			}
			column, ok = c, true
		}
	}
	return column, ok
}

// column returns the column that CDM 5.4 or 5.3 calls name.
func (t *Table) column(name string) (int, bool) {
	if now, old := renamed[name]; old {
		name = now
	}
	i, ok := t.index[name]
	return i, ok
}

func isName(s string) bool {
	s = strings.ToLower(strings.TrimSpace(s))
	return word.FindString(s) == s && s != ""
}

func newCSV(src io.Reader, separator rune) *csv.Reader {
	r := csv.NewReader(src)
	r.Comma, r.FieldsPerRecord, r.ReuseRecord = separator, -1, true
	r.LazyQuotes = separator == '\t' // most writers of tabs quote nothing
	return r
}
