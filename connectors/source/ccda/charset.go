package ccda

import (
	"bufio"
	"bytes"
	"io"
	"regexp"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// charsets are the encodings that an XML declaration may name, in lower case. A nil
// entry is UTF-8. UTF-16 is told by its bytes; a declaration of it that can be read as
// ASCII is wrong, as that of a document which a program has turned into UTF-8.
var charsets = map[string]encoding.Encoding{
	"utf-8": nil, "utf8": nil, "us-ascii": nil, "ascii": nil, "utf-16": nil, "unicode": nil,
	"iso-8859-1": charmap.ISO8859_1, "latin1": charmap.ISO8859_1, "iso-8859-2": charmap.ISO8859_2,
	"iso-8859-9": charmap.ISO8859_9, "iso-8859-15": charmap.ISO8859_15,
	"windows-1250": charmap.Windows1250, "windows-1251": charmap.Windows1251, "windows-1252": charmap.Windows1252,
}

var declared = regexp.MustCompile(`^<\?xml[^>]*\sencoding\s*=\s*["']([A-Za-z0-9._-]+)["']`)

// charsetOf returns the encoding of a document that begins with head, nil for UTF-8, and
// how many bytes of a byte order mark stand before it. ok is false if it names one that
// is not read here.
func charsetOf(head []byte) (e encoding.Encoding, mark int, ok bool) {
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		return nil, 3, true
	case bytes.HasPrefix(head, []byte("\xfe\xff")), bytes.HasPrefix(head, []byte("\x00<\x00?")):
		return unicode.UTF16(unicode.BigEndian, unicode.UseBOM), 0, true
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("<\x00?\x00")):
		return unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), 0, true
	}
	name := "utf-8"
	if found := declared.FindSubmatch(head); found != nil {
		name = strings.ToLower(string(found[1]))
	}
	e, ok = charsets[name]
	return e, 0, ok
}

// declarationSize is how far into a document its declaration is looked for, in bytes.
const declarationSize = 1024

// decoded returns the document that br holds in UTF-8, without a byte order mark. ok is
// false if its encoding is not read here.
func decoded(br *bufio.Reader) (r *bufio.Reader, ok bool, err error) {
	head, err := br.Peek(declarationSize)
	if err != nil && len(head) == 0 {
		return nil, true, err
	}
	e, mark, ok := charsetOf(head)
	if !ok {
		return nil, false, nil
	}
	_, _ = br.Discard(mark)
	if e == nil {
		return br, true, nil
	}
	return bufio.NewReaderSize(transform.NewReader(br, e.NewDecoder()), 32<<10), true, nil
}

// utf8Head is head in UTF-8, as far as it goes.
func utf8Head(head []byte) []byte {
	e, mark, ok := charsetOf(head)
	if e == nil || !ok {
		return head[mark:]
	}
	out, _ := io.ReadAll(transform.NewReader(bytes.NewReader(head), e.NewDecoder()))
	return out
}
