package table

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// cut returns the rows of a text, and the lines of the problems.
func cut(t require.TestingT, l *lexer) (rows [][]string, lines, bad []int) {
	for {
		r, p, err := l.next()
		switch {
		case errors.Is(err, io.EOF):
			return rows, lines, bad
		case p != nil:
			bad = append(bad, p.Line)
		default:
			require.NoError(t, err)
			rows, lines = append(rows, append([]string{}, r.cells...)), append(lines, r.line)
		}
	}
}

func TestRowsAreCutAtDelimitersOutsideQuotes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][][]string{
		"a,b\nc,d\n":             {{"a", "b"}, {"c", "d"}},
		"a,b\r\nc,d":             {{"a", "b"}, {"c", "d"}},
		"\"a,b\",\"c\"\n":        {{"a,b", "c"}},
		"\"a\nb\",c\nd,e\n":      {{"a\nb", "c"}, {"d", "e"}},
		"\"say \"\"x\"\"\",c\n":  {{`say "x"`, "c"}},
		"5\" tube,b\n":           {{`5" tube`, "b"}},
		",\n,":                   {{"", ""}, {"", ""}},
		"a,\"\"\n":               {{"a", ""}},
		"\n\n":                   {{""}, {""}},
		"a\rb,c\n":               {{"a\rb", "c"}},
		"\"a\",\n":               {{"a", ""}},
		"\"a\"\r\n\"b\"\r\n\r\n": {{"a"}, {"b"}, {""}},
	} {
		rows, _, bad := cut(t, newLexer(strings.NewReader(text), ','))
		require.Empty(t, bad, "%q", text)
		require.Equal(t, want, rows, "%q", text)
	}
}

// TestRowsAreThoseOfTheStandardLibrary: what encoding/csv writes is cut as it was, and
// lines are counted.
func TestRowsAreThoseOfTheStandardLibrary(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		delimiter := rapid.SampledFrom([]byte(delimiters)).Draw(t, "delimiter")
		cell := rapid.StringOf(rapid.SampledFrom([]rune("ab1\",;\t|\n é")))
		rows := rapid.SliceOfN(rapid.SliceOfN(cell, 2, 5), 1, 20).Draw(t, "rows")
		var b bytes.Buffer
		w := csv.NewWriter(&b)
		w.Comma, w.UseCRLF = rune(delimiter), false
		require.NoError(t, w.WriteAll(rows))
		l := newLexer(&b, delimiter)
		got, lines, bad := cut(t, l)
		require.Empty(t, bad)
		require.Equal(t, rows, got)
		at := 1
		for i, row := range rows {
			require.Equal(t, at, lines[i])
			at += 1 + strings.Count(strings.Join(row, ""), "\n")
		}
	})
}

func TestReadingGoesOnBehindABadRow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		bad  []int
		rows int
	}{
		"a quote in quotes":       {"a,b\n\"x\"y,1\nc,d\n", []int{2}, 2},
		"a quote without its end": {"a,b\n\"x,1\nc,d\ne,f\n", []int{2}, 3},
		"one that meets another":  {"a,b\n\"x,1\nc,\"d\ne,f\n", []int{2, 3}, 2},
		"a long line":             {"a,b\n" + strings.Repeat("x", 300) + ",1\nc,d\n", []int{2}, 2},
		"a long last line":        {"a,b\n" + strings.Repeat("x", 300), []int{2}, 1},
		"a long cell":             {"a,b\n" + strings.Repeat("x", 150) + ",1\nc,d\n", []int{2}, 2},
		"many cells":              {"a,b\n1,2,3,4,5,6\nc,d\n", []int{2}, 2},
		"a long row of lines":     {"a,b\n\"" + strings.Repeat("x\n", 120) + "\",1\nc,d\n", []int{2, 122}, 121},
	} {
		l := newLexer(strings.NewReader(c.text), ',')
		l.br = bufio.NewReaderSize(strings.NewReader(c.text), 16) // as if lines were longer than the buffer
		l.maxRow, l.maxCell, l.maxColumns = 200, 100, 5
		rows, _, bad := cut(t, l)
		require.Equal(t, c.bad, bad, name)
		require.Len(t, rows, c.rows, name)
	}
}

func TestAQuoteIsFollowedForALimitedNumberOfLines(t *testing.T) {
	t.Parallel()
	text := "\"" + strings.Repeat("x\n", maxRowLines+5)
	rows, lines, bad := cut(t, newLexer(strings.NewReader(text), ','))
	require.Equal(t, []int{1}, bad)
	require.Len(t, rows, maxRowLines+4)
	require.Equal(t, 2, lines[0])
}
