// Package canonical writes JSON in the one form of RFC 8785 (JCS), so that
// everybody who signs or hashes a document hashes the same bytes.
//
// [Marshal] serves our own types, [Transform] text from outside. Both refuse
// what JSON readers disagree on: duplicate names, invalid UTF-8, lone
// surrogates, numbers beyond IEEE 754 double precision (integers that it would
// change among them), nesting beyond [MaxDepth].
package canonical

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxDepth is the deepest nesting that is read.
const MaxDepth = 64

// What Transform refuses, apart from malformed JSON.
var (
	ErrDuplicateName = errors.New("canonical: an object has the same name twice")
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
func Transform(raw []byte) ([]byte, error) {
	if !utf8.Valid(raw) {
		return nil, ErrInvalidUTF8
	}
	if err := rejectLoneSurrogates(raw); err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	out, err := appendValue(make([]byte, 0, len(raw)), dec, 0)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, ErrTrailing
	}
	return out, nil
}

func appendValue(out []byte, dec *json.Decoder, depth int) ([]byte, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, fmt.Errorf("canonical: malformed JSON at byte %d", dec.InputOffset())
	}
	switch token := token.(type) {
	case json.Delim:
		if depth == MaxDepth {
			return nil, ErrTooDeep
		}
		if token == '[' {
			return appendArray(out, dec, depth+1)
		}
		return appendObject(out, dec, depth+1)
	case string:
		return appendString(out, token), nil
	case json.Number:
		return appendNumber(out, token)
	case bool:
		return strconv.AppendBool(out, token), nil
	default:
		return append(out, "null"...), nil
	}
}

func appendArray(out []byte, dec *json.Decoder, depth int) ([]byte, error) {
	out = append(out, '[')
	for first := true; dec.More(); first = false {
		if !first {
			out = append(out, ',')
		}
		var err error
		if out, err = appendValue(out, dec, depth); err != nil {
			return nil, err
		}
	}
	return closeDelim(out, dec, ']')
}

// member is one name and its canonical value, kept until the object's names
// can be sorted.
type member struct {
	name  string
	units []uint16
	value []byte
}

func appendObject(out []byte, dec *json.Decoder, depth int) ([]byte, error) {
	var members []member
	for dec.More() {
		token, err := dec.Token()
		name, isName := token.(string)
		if err != nil || !isName {
			return nil, fmt.Errorf("canonical: malformed JSON at byte %d", dec.InputOffset())
		}
		value, err := appendValue(nil, dec, depth)
		if err != nil {
			return nil, err
		}
		members = append(members, member{name, utf16.Encode([]rune(name)), value})
	}
	// RFC 8785 section 3.2.3: names sort by their UTF-16 code units.
	slices.SortFunc(members, func(a, b member) int { return slices.Compare(a.units, b.units) })
	out = append(out, '{')
	for i, m := range members {
		if i > 0 {
			if m.name == members[i-1].name {
				return nil, ErrDuplicateName
			}
			out = append(out, ',')
		}
		out = append(appendString(out, m.name), ':')
		out = append(out, m.value...)
	}
	return closeDelim(out, dec, '}')
}

func closeDelim(out []byte, dec *json.Decoder, delim byte) ([]byte, error) {
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("canonical: malformed JSON at byte %d", dec.InputOffset())
	}
	return append(out, delim), nil
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
func appendNumber(out []byte, n json.Number) ([]byte, error) {
	f, err := strconv.ParseFloat(string(n), 64)
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
		if abs >= maxExact && !strings.ContainsAny(string(n), ".eE") && string(out[start:]) != string(n) {
			return nil, ErrNumber
		}
		return out, nil
	}
	if !strings.ContainsAny(string(n), ".eE") {
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

// rejectLoneSurrogates refuses \uD800–\uDFFF escapes that form no pair:
// encoding/json would silently replace them by U+FFFD.
func rejectLoneSurrogates(raw []byte) error {
	for i := 0; i+1 < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		if raw[i+1] != 'u' {
			i++
			continue
		}
		high, ok := escapedUnit(raw[i:])
		if !ok {
			return nil // malformed; the decoder will say where
		}
		i += 5
		if !utf16.IsSurrogate(rune(high)) {
			continue
		}
		low, ok := escapedUnit(raw[i+1:])
		if !ok || utf16.DecodeRune(rune(high), rune(low)) == utf8.RuneError {
			return ErrInvalidUTF8
		}
		i += 6
	}
	return nil
}

// escapedUnit reads the code unit of the \uXXXX at the start of raw.
func escapedUnit(raw []byte) (uint16, bool) {
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(raw[2:6]), 16, 16)
	return uint16(n), err == nil
}
