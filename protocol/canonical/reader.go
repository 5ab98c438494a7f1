package canonical

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// reader walks over JSON text (RFC 8259) of valid UTF-8 and appends what it meets
// in canonical form.
type reader struct {
	raw    []byte
	at     int // the next byte
	depth  int
	folded bool // refuse names of one object that differ only in case
}

func (r *reader) malformed() error { return fmt.Errorf("canonical: malformed JSON at byte %d", r.at) }

// peek returns the next byte, or 0 at the end: no token begins with that.
func (r *reader) peek() byte {
	if r.at < len(r.raw) {
		return r.raw[r.at]
	}
	return 0
}

func (r *reader) space() {
	for r.at < len(r.raw) {
		switch r.raw[r.at] {
		case ' ', '\t', '\r', '\n':
			r.at++
		default:
			return
		}
	}
}

// take consumes c, after white space, if it comes next.
func (r *reader) take(c byte) bool {
	r.space()
	if r.peek() != c {
		return false
	}
	r.at++
	return true
}

func (r *reader) appendValue(out []byte) ([]byte, error) {
	r.space()
	switch r.peek() {
	case '{', '[':
		if r.depth == MaxDepth {
			return nil, ErrTooDeep
		}
		r.depth++
		defer func() { r.depth-- }()
		if r.peek() == '{' {
			return r.appendObject(out)
		}
		return r.appendArray(out)
	case '"':
		if plain := r.plain(); plain != nil {
			return append(out, plain...), nil
		}
		text, err := r.text()
		if err != nil {
			return nil, err
		}
		return appendString(out, text), nil
	case 't':
		return r.word(out, "true")
	case 'f':
		return r.word(out, "false")
	case 'n':
		return r.word(out, "null")
	default:
		return r.number(out)
	}
}

func (r *reader) word(out []byte, word string) ([]byte, error) {
	if !strings.HasPrefix(string(r.raw[r.at:min(len(r.raw), r.at+len(word))]), word) {
		return nil, r.malformed()
	}
	r.at += len(word)
	return append(out, word...), nil
}

func (r *reader) appendArray(out []byte) ([]byte, error) {
	r.at++
	out = append(out, '[')
	if r.take(']') {
		return append(out, ']'), nil
	}
	for {
		var err error
		if out, err = r.appendValue(out); err != nil {
			return nil, err
		}
		if r.take(']') {
			return append(out, ']'), nil
		}
		if !r.take(',') {
			return nil, r.malformed()
		}
		out = append(out, ',')
	}
}

// number reads the grammar of RFC 8259 section 6.
func (r *reader) number(out []byte) ([]byte, error) {
	start := r.at
	if r.peek() == '-' {
		r.at++
	}
	ok := r.peek() == '0'
	if ok {
		r.at++
	} else {
		ok = r.digits()
	}
	if ok && r.peek() == '.' {
		r.at++
		ok = r.digits()
	}
	if c := r.peek(); ok && (c == 'e' || c == 'E') {
		r.at++
		if c := r.peek(); c == '+' || c == '-' {
			r.at++
		}
		ok = r.digits()
	}
	if !ok {
		return nil, r.malformed()
	}
	return appendNumber(out, string(r.raw[start:r.at]))
}

// digits consumes digits and reports whether there was one.
func (r *reader) digits() bool {
	start := r.at
	for c := r.peek(); '0' <= c && c <= '9'; c = r.peek() {
		r.at++
	}
	return r.at > start
}

// plain returns a string that is written as it is read, with its quotes, or nil and reads nothing.
func (r *reader) plain() []byte {
	for at := r.at + 1; at < len(r.raw); at++ {
		switch c := r.raw[at]; {
		case c == '"':
			text := r.raw[r.at : at+1]
			r.at = at + 1
			return text
		case c == '\\' || c < 0x20:
			return nil
		}
	}
	return nil
}

// text reads a string.
func (r *reader) text() (string, error) {
	r.at++
	start := r.at
	for r.at < len(r.raw) {
		switch c := r.raw[r.at]; {
		case c == '"':
			r.at++
			return string(r.raw[start : r.at-1]), nil
		case c == '\\':
			return r.escaped(r.raw[start:r.at])
		case c < 0x20:
			return "", r.malformed()
		}
		r.at++
	}
	return "", r.malformed()
}

// escapes are the letters behind a backslash and what they stand for.
var escapes = map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escaped reads the rest of a string, from its first backslash on.
func (r *reader) escaped(begun []byte) (string, error) {
	text := append([]byte(nil), begun...)
	for r.at < len(r.raw) {
		c := r.raw[r.at]
		switch {
		case c == '"':
			r.at++
			return string(text), nil
		case c < 0x20:
			return "", r.malformed()
		case c != '\\':
			text = append(text, c)
			r.at++
			continue
		}
		r.at++
		if letter, ok := escapes[r.peek()]; ok {
			text = append(text, letter)
			r.at++
			continue
		}
		point, err := r.codePoint()
		if err != nil {
			return "", err
		}
		text = utf8.AppendRune(text, point)
	}
	return "", r.malformed()
}

// codePoint reads uXXXX, and the second half of a surrogate pair. A lone half is
// no text: encoding/json would silently replace it by U+FFFD.
func (r *reader) codePoint() (rune, error) {
	unit, ok := r.unit()
	if !ok {
		return 0, r.malformed()
	}
	if !utf16.IsSurrogate(unit) {
		return unit, nil
	}
	if r.peek() != '\\' {
		return 0, ErrInvalidUTF8
	}
	r.at++
	low, ok := r.unit()
	point := utf16.DecodeRune(unit, low)
	if !ok || point == utf8.RuneError {
		return 0, ErrInvalidUTF8
	}
	return point, nil
}

// unit reads uXXXX.
func (r *reader) unit() (rune, bool) {
	if len(r.raw)-r.at < 5 || r.raw[r.at] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(r.raw[r.at+1:r.at+5]), 16, 16)
	r.at += 5
	return rune(n), err == nil
}
