package fhir

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// text checks the string at pos and steps behind its closing quote.
func (t *tree) text(at int) (escaped, ok bool) {
	t.pos++
	for t.pos += plain(t.raw[t.pos:]); t.pos < len(t.raw); t.pos += plain(t.raw[t.pos:]) {
		switch c := t.raw[t.pos]; {
		case c == '"':
			t.pos++
			return escaped, true
		case c == '\\':
			escaped = true
			if !t.escape(at) {
				return true, false
			}
		case c < 0x20:
			t.fail(RuleMalformedJSON, at, "control character in a string")
			return escaped, false
		default:
			r, size := utf8.DecodeRune(t.raw[t.pos:])
			if r == utf8.RuneError && size == 1 {
				t.fail(RuleInvalidUTF8, at, "invalid UTF-8")
				return escaped, false
			}
			t.pos += size
		}
	}
	t.fail(RuleTruncated, at, "ends inside a string")
	return escaped, false
}

// plain returns how many bytes s begins with that stand for themselves in a string.
func plain(s []byte) int {
	for i, c := range s {
		if c < 0x20 || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return i
		}
	}
	return len(s)
}

// escape checks the escape sequence at pos; surrogates must come in pairs.
func (t *tree) escape(at int) bool {
	rest := t.raw[t.pos:]
	if len(rest) < 2 {
		t.fail(RuleTruncated, at, "ends inside a string")
		return false
	}
	if rest[1] != 'u' {
		if !strings.ContainsRune(`"\/bfnrt`, rune(rest[1])) {
			t.fail(RuleMalformedJSON, at, "unknown escape")
			return false
		}
		t.pos += 2
		return true
	}
	r, ok := hexRune(rest)
	if !ok {
		t.fail(RuleMalformedJSON, at, "unknown escape")
		return false
	}
	t.pos += 6
	switch {
	case r == 0:
		t.fail(RuleForbiddenCharacter, at, "U+0000")
		return false
	case utf16.IsSurrogate(r):
		low, ok := hexRune(t.raw[t.pos:])
		if !ok || utf16.DecodeRune(r, low) == utf8.RuneError {
			t.fail(RuleInvalidUTF8, at, "lone surrogate")
			return false
		}
		t.pos += 6
	}
	return true
}

// hexRune reads the escape \uXXXX that s begins with.
func hexRune(s []byte) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(s[2:6]), 16, 32)
	return rune(n), err == nil
}

// unescape returns the text of a checked JSON string without its quotes.
func unescape(s []byte) string {
	if bytes.IndexByte(s, '\\') < 0 {
		return string(s)
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		i++
		if s[i] != 'u' {
			out = append(out, unescaped[s[i]])
			continue
		}
		r, _ := hexRune(s[i-1:])
		i += 4
		if utf16.IsSurrogate(r) {
			low, _ := hexRune(s[i+1:])
			r = utf16.DecodeRune(r, low)
			i += 6
		}
		out = utf8.AppendRune(out, r)
	}
	return string(out)
}

var unescaped = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}
