// Package canonical writes JSON in the one form of RFC 8785 (JCS), so that
// everybody who signs or hashes a document hashes the same bytes.
//
// [Marshal] serves our own types, [Transform] text from outside, [Fields] text
// from outside that encoding/json decodes next. All refuse what JSON readers
// disagree on: duplicate names, invalid UTF-8, lone surrogates, numbers beyond
// IEEE 754 double precision (integers that it would change among them), nesting
// beyond [MaxDepth].
package canonical

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxDepth is the deepest nesting that is read.
const MaxDepth = 64

// What is refused, apart from malformed JSON.
var (
	ErrDuplicateName = errors.New("canonical: an object has the same name twice")
	ErrFoldedName    = errors.New("canonical: two names of an object differ only in case")
	ErrInvalidUTF8   = errors.New("canonical: text is not valid UTF-8")
	ErrTooDeep       = fmt.Errorf("canonical: nested deeper than %d", MaxDepth)
	ErrNumber        = errors.New("canonical: number is outside IEEE 754 double precision")
	ErrTrailing      = errors.New("canonical: more follows the JSON value")
)

// Marshal returns v as encoding/json writes it, in canonical form.
func Marshal(v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("canonical: %w", err)
	}
	return Transform(raw)
}

// Transform returns the canonical form of one JSON value.
func Transform(raw []byte) ([]byte, error) { return transform(raw, false) }

// Fields is [Transform] for text that becomes Go structs. encoding/json takes names
// in any case, so two names of one object that differ only in case would be one field
// to us and two to others: [ErrFoldedName].
func Fields(raw []byte) ([]byte, error) { return transform(raw, true) }

func transform(raw []byte, folded bool) ([]byte, error) {
	if !utf8.Valid(raw) {
		return nil, ErrInvalidUTF8
	}
	r := reader{raw: raw, folded: folded}
	out, err := r.appendValue(make([]byte, 0, len(raw)))
	if err != nil {
		return nil, err
	}
	if r.space(); r.at < len(raw) {
		return nil, ErrTrailing
	}
	return out, nil
}

const hexDigits = "0123456789abcdef"

// appendString writes s with the escapes of RFC 8785 section 3.2.2.2 only.
func appendString(out []byte, s string) []byte {
	out = append(out, '"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\':
			out = append(out, '\\', c)
		case '\b':
			out = append(out, `\b`...)
		case '\t':
			out = append(out, `\t`...)
		case '\n':
			out = append(out, `\n`...)
		case '\f':
			out = append(out, `\f`...)
		case '\r':
			out = append(out, `\r`...)
		default:
			if c < 0x20 {
				out = append(out, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
				continue
			}
			out = append(out, c)
		}
	}
	return append(out, '"')
}

// maxExact is the number up to which every integer is a double.
const maxExact = 1 << 53

// appendNumber writes n as ECMAScript's Number::toString does (RFC 8785
// section 3.2.2.3): shortest digits, exponent form below 1e-6 and from 1e21.
func appendNumber(out []byte, n string) ([]byte, error) {
	f, err := strconv.ParseFloat(n, 64)
	if err != nil || math.IsInf(f, 0) {
		return nil, ErrNumber
	}
	if f == 0 {
		return append(out, '0'), nil // minus zero too
	}
	start := len(out)
	if abs := math.Abs(f); abs >= 1e-6 && abs < 1e21 {
		out = strconv.AppendFloat(out, f, 'f', -1, 64)
		// An integer that a double cannot hold would be signed as another one
		// than a reader of 64-bit integers sees.
		if abs >= maxExact && !strings.ContainsAny(n, ".eE") && string(out[start:]) != n {
			return nil, ErrNumber
		}
		return out, nil
	}
	if !strings.ContainsAny(n, ".eE") {
		return nil, ErrNumber
	}
	text := strconv.AppendFloat(nil, f, 'e', -1, 64)
	// Go pads the exponent to two digits, ECMAScript does not.
	mark := bytes.IndexByte(text, 'e')
	exponent := text[mark+2:]
	if len(exponent) == 2 && exponent[0] == '0' {
		exponent = exponent[1:]
	}
	out = append(out, text[:mark+2]...)
	return append(out, exponent...), nil
}
