package hl7v2

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// charsets are the encodings of MSH-18 (HL7 table 0211) whose bytes below 0x80 are
// ASCII where a segment's delimiters stand, and names that senders use instead. A nil
// entry is UTF-8, which holds ASCII.
//
// Left out are those that switch sets inside the text (ISO IR14, IR87, IR159) and
// UTF-16 and UTF-32, in which segments could not be found.
var charsets = map[string]encoding.Encoding{
	"": nil, "ASCII": nil, "US-ASCII": nil, "UNICODE": nil, "UNICODE UTF-8": nil, "UTF-8": nil, "UTF8": nil,
	"8859/1": charmap.ISO8859_1, "8859/2": charmap.ISO8859_2, "8859/3": charmap.ISO8859_3, "8859/4": charmap.ISO8859_4,
	"8859/5": charmap.ISO8859_5, "8859/6": charmap.ISO8859_6, "8859/7": charmap.ISO8859_7, "8859/8": charmap.ISO8859_8,
	"8859/9": charmap.ISO8859_9, "8859/10": charmap.ISO8859_10, "8859/13": charmap.ISO8859_13, "8859/14": charmap.ISO8859_14,
	"8859/15": charmap.ISO8859_15, "8859/16": charmap.ISO8859_16,
	"CP1250": charmap.Windows1250, "CP1251": charmap.Windows1251, "CP1252": charmap.Windows1252,
	"GB 18030-2000": simplifiedchinese.GB18030, "KS X 1001": korean.EUCKR, "BIG-5": traditionalchinese.Big5,
}

// charsetOf returns the encoding that MSH-18 names; fallback is taken if it is empty.
// Only the first repetition counts: the others are reached by escape sequences.
func charsetOf(name, fallback string) (encoding.Encoding, bool) {
	name = strings.ToUpper(strings.TrimSpace(name))
	if name == "" || name == null {
		name = strings.ToUpper(strings.TrimSpace(fallback))
	}
	name = strings.TrimPrefix(strings.ReplaceAll(name, "WINDOWS-", "CP"), "ISO")
	name = strings.TrimLeft(name, " -")
	if rest, ok := strings.CutPrefix(name, "8859-"); ok {
		name = "8859/" + rest
	}
	e, ok := charsets[name]
	return e, ok
}

// decode returns the text of one segment. ok is false if its bytes are not of the
// character set; bytes that a single-byte set does not define become U+FFFD.
func decode(raw []byte, e encoding.Encoding) (text string, ok bool) {
	if ascii(raw) {
		return string(raw), true
	}
	if e == nil {
		return string(raw), utf8.Valid(raw)
	}
	out, err := e.NewDecoder().Bytes(raw)
	return string(out), err == nil && utf8.Valid(out)
}

func ascii(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
