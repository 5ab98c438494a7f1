package cdm

import (
	"bufio"
	"bytes"
	"compress/gzip"
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
	r := newRows(bytes.NewReader(line), separator)
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
	titles := make([]title, len(names))
	for i, name := range names {
		titles[i] = titleOf(name)
	}
	var best *header
	most := 0
	for _, t := range model() {
		h, matched, required := t.match(titles)
		if !slices.Contains(h.at, 0) || 2*required <= t.required || 2*matched < len(names) {
			continue
		}
		if matched > most || matched == most && t.Name < best.table.Name {
			best, most = h, matched
		}
	}
	return best
}

// title is what stands above a column: a name, or an expression with names in it.
type title struct {
	words []string
	plain bool // it is a name
}

var word = regexp.MustCompile(`[a-z_][a-z0-9_]*`)

func titleOf(s string) title {
	s = strings.ToLower(strings.TrimSpace(s))
	words := word.FindAllString(s, -1)
	return title{words, len(words) == 1 && words[0] == s}
}

// match finds the columns of t among titles: how many there are, and how many of those
// that the CDM requires.
func (t *Table) match(titles []title) (h *header, matched, required int) {
	h = &header{table: t, at: make([]int, len(titles))}
	taken := make([]bool, len(t.Columns))
	take := func(i, column int) {
		h.at[i], taken[column] = column, true
		matched++
		if t.Columns[column].Required {
			required++
		}
	}
	for i, s := range titles {
		h.at[i] = -1
		if column, ok := t.named(s); ok && !taken[column] {
			take(i, column)
		}
	}
	// What has no name at all, such as SQL that an export has left there, is the column
	// that has this place in the CDM, if the file has as many as the CDM.
	for i, s := range titles {
		if h.at[i] < 0 && len(titles) == len(t.Columns) && !taken[i] && !s.plain {
			take(i, i)
		}
	}
	return h, matched, required
}

// named returns the one column whose name is in a title, as in
// date(birth_datetime,'unixepoch').
func (t *Table) named(s title) (column int, ok bool) {
	for _, w := range s.words {
		if now, old := renamed[w]; old {
			w = now
		}
		if c, known := t.index[w]; known {
			if ok && c != column {
				return 0, false
			}
			column, ok = c, true
		}
	}
	return column, ok
}
