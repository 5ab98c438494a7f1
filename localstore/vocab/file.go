package vocab

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Limits of a file.
const (
	maxLine = 1 << 20  // bytes
	maxFile = 64 << 30 // bytes after decompression
)

// ErrFormat says that a file is not what Athena delivers; the text names file and
// line.
var ErrFormat = errors.New("vocabulary file is malformed")

// table reads a vocabulary file line by line. The separator is a tab, without
// quoting, as Athena delivers it, or a comma with the usual quoting.
type table struct {
	name   string
	lines  *bufio.Scanner
	line   int
	tabs   bool
	column map[string]int
	fields []string
}

// newTable reads the header, which must name all of want, in any order and case.
func newTable(name string, r io.Reader, want ...string) (*table, error) {
	t := &table{name: name, lines: bufio.NewScanner(&capped{r: r, left: maxFile}), column: map[string]int{}}
	t.lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	if !t.scan() {
		return nil, t.fail("no header")
	}
	header := strings.TrimPrefix(t.lines.Text(), "\uFEFF")
	t.tabs = strings.Contains(header, "\t")
	names, err := t.split(header)
	if err != nil {
		return nil, err
	}
	for i, n := range names {
		t.column[strings.ToLower(strings.TrimSpace(n))] = i
	}
	t.fields = names // for its length
	for _, w := range want {
		if _, ok := t.column[w]; !ok {
			return nil, t.fail("no column " + w)
		}
	}
	return t, nil
}

// next reads a row and reports whether there is one.
func (t *table) next() (bool, error) {
	for t.scan() {
		if t.lines.Text() == "" {
			continue
		}
		fields, err := t.split(t.lines.Text())
		if err != nil {
			return false, err
		}
		if len(fields) != len(t.fields) {
			return false, t.fail(fmt.Sprintf("%d fields, the header has %d", len(fields), len(t.fields)))
		}
		t.fields = fields
		return true, nil
	}
	if err := t.lines.Err(); err != nil {
		t.line++
		if errors.Is(err, bufio.ErrTooLong) {
			return false, t.fail(fmt.Sprintf("line is longer than %d bytes", maxLine))
		}
		return false, fmt.Errorf("%s: line %d: %w", t.name, t.line, err)
	}
	return false, nil
}

func (t *table) scan() bool {
	ok := t.lines.Scan()
	if ok {
		t.line++
	}
	return ok
}

func (t *table) split(line string) ([]string, error) {
	if !utf8.ValidString(line) || strings.Contains(line, "\x00") {
		return nil, t.fail("not UTF-8 text")
	}
	line = strings.TrimSuffix(line, "\r")
	if t.tabs {
		return strings.Split(line, "\t"), nil
	}
	fields, err := csv.NewReader(strings.NewReader(line)).Read()
	if err != nil {
		return nil, t.fail("quotes do not match")
	}
	return fields, nil
}

func (t *table) fail(what string) error {
	return fmt.Errorf("%w: %s: line %d: %s", ErrFormat, t.name, t.line, what)
}

// text is a field of the current row.
func (t *table) text(column string) string { return t.fields[t.column[column]] }

// id is a concept's number, 0 to 2^31-1.
func (t *table) id(column string) (int64, error) {
	s := t.text(column)
	var n int64
	for _, c := range []byte(s) {
		if c < '0' || c > '9' || n > 1<<31 {
			return 0, t.fail(column + " is not a number")
		}
		n = 10*n + int64(c-'0')
	}
	if s == "" || n > 1<<31-1 {
		return 0, t.fail(column + " is not a number of 31 bits")
	}
	return n, nil
}

// day is a date, YYYYMMDD as Athena writes it or YYYY-MM-DD.
func (t *table) day(column string) (sqldb.Date, error) {
	for _, layout := range []string{"20060102", time.DateOnly} {
		if at, err := time.Parse(layout, t.text(column)); err == nil {
			return sqldb.DateOf(at), nil
		}
	}
	return 0, t.fail(column + " is not a date")
}

// find returns the path of the file called name, with an extension .csv or .tsv and
// perhaps .gz, in any case.
func find(fsys fs.FS, name string) (string, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		plain := strings.TrimSuffix(strings.ToLower(e.Name()), ".gz")
		if plain == strings.ToLower(name)+".csv" || plain == strings.ToLower(name)+".tsv" {
			return e.Name(), nil
		}
	}
	return "", fmt.Errorf("%s.csv: %w", name, fs.ErrNotExist)
}

// open opens the file called name, unzipped.
func open(fsys fs.FS, name string) (io.ReadCloser, error) {
	path, err := find(fsys, name)
	if err != nil {
		return nil, err
	}
	f, err := fsys.Open(path)
	if err != nil || !strings.HasSuffix(strings.ToLower(path), ".gz") {
		return f, err
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s: not gzip", ErrFormat, path), f.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{z, f}, nil
}

// capped fails after left bytes.
type capped struct {
	r    io.Reader
	left int64
}

func (c *capped) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, fmt.Errorf("%w: larger than %d bytes", ErrFormat, int64(maxFile))
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}
