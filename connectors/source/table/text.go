package table

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

// byteOrderMark begins UTF-8 as spreadsheets write it.
const byteOrderMark = "\xef\xbb\xbf"

// decoded returns the UTF-8 text of src. A byte order mark decides; without one the text
// is UTF-8, or Windows-1252 if latin is set, which holds what ISO 8859-1 prints. Bytes
// that are not UTF-8 stay as they are, to be refused by row.
func decoded(src io.Reader, latin bool) (*bufio.Reader, error) {
	br := bufio.NewReaderSize(src, HeadSize)
	mark, err := br.Peek(3)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case string(mark) == byteOrderMark:
		_, err := br.Discard(3)
		return br, err
	case bytes.HasPrefix(mark, []byte("\xff\xfe")), bytes.HasPrefix(mark, []byte("\xfe\xff")):
		decoder := unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM).NewDecoder()
		return bufio.NewReaderSize(decoder.Reader(br), HeadSize), nil
	case latin:
		return bufio.NewReaderSize(charmap.Windows1252.NewDecoder().Reader(br), HeadSize), nil
	}
	return br, nil
}

// clean removes characters that nobody sees (zero-width ones and byte order marks),
// makes ordinary blanks of those that do not break, and cuts blanks off both ends.
func clean(s string) string {
	ascii := true
	for i := range len(s) {
		ascii = ascii && s[i] < utf8.RuneSelf
	}
	if !ascii {
		s = invisible.Replace(s)
	}
	return strings.TrimSpace(s)
}

// isUnclean reports whether clean takes more than ordinary blanks off s.
func isUnclean(s string) bool { return clean(s) != strings.Trim(s, " \t\r\n") }

// invisible are characters that spreadsheets and web pages leave in cells.
var invisible = strings.NewReplacer(
	"\u200b", "", "\u200c", "", "\u200d", "", "\u2060", "", "\ufeff", "", "\u00ad", "",
	"\u00a0", " ", "\u202f", " ", "\u2007", " ")

// latinNames are the names of a header that was written in Windows-1252.
func latinNames(header []string) []string {
	out := make([]string, len(header))
	for i, name := range header {
		text, err := charmap.Windows1252.NewDecoder().String(name)
		if err != nil {
			return header
		}
		out[i] = clean(text)
	}
	return out
}
