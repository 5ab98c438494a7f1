package hl7v2

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// unescape replaces the escape sequences of HL7 v2.8 chapter 2.7 between two escape
// characters. Highlighting (\H\ \N\) is dropped, formatting commands of FT become line
// breaks or blanks, \X..\ becomes the characters it names if they are UTF-8. What is
// no sequence, as a lone backslash in a Windows path, stays.
func unescape(s string, d *delimiters) string {
	at := strings.IndexByte(s, d.escape)
	if at < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for at >= 0 {
		b.WriteString(s[:at])
		s = s[at:]
		end := strings.IndexByte(s[1:], d.escape)
		if end < 0 {
			break
		}
		if replaced, ok := sequence(s[1:1+end], d); ok {
			b.WriteString(replaced)
			s = s[end+2:]
		} else {
			b.WriteByte(s[0])
			s = s[1:]
		}
		at = strings.IndexByte(s, d.escape)
	}
	b.WriteString(s)
	return b.String()
}

// sequence is what one escape sequence stands for, without its escape characters.
func sequence(s string, d *delimiters) (string, bool) {
	switch s {
	case "F":
		return string(d.field), true
	case "S":
		return string(d.component), true
	case "T":
		if d.sub == 0 {
			return "&", true
		}
		return string(d.sub), true
	case "R":
		return string(d.repeat), true
	case "E":
		return string(d.escape), true
	case "H", "N":
		return "", true
	case "P":
		return "#", true // the truncation character, HL7 v2.7
	case "":
		return "", false
	}
	switch s[0] {
	case '.':
		return formatting(s[1:])
	case 'X':
		return hexText(s[1:])
	case 'Z', 'C', 'M':
		// Local sequences, and shifts to character sets that are not supported. They
		// are dropped only if they look like one.
		_, ok := hexBytes(s[1:])
		return "", ok && len(s) > 1
	}
	return "", false
}

// formatting is what a command of an FT field comes to in plain text.
func formatting(command string) (string, bool) {
	name, count := command, 1
	if at := strings.IndexAny(command, "+-0123456789"); at >= 0 {
		name = command[:at]
		n, err := strconv.Atoi(strings.TrimPrefix(command[at:], "+"))
		if err != nil {
			return "", false
		}
		count = max(1, min(n, 100))
	}
	switch name {
	case "br", "sp", "ce":
		return strings.Repeat("\n", count), true
	case "sk":
		return strings.Repeat(" ", count), true
	case "fi", "nf", "in", "ti":
		return "", true
	}
	return "", false
}

// hexText is the text of hexadecimal bytes; control characters other than tab and line
// ends have no place in a record.
func hexText(digits string) (string, bool) {
	b, ok := hexBytes(digits)
	if !ok || !utf8.Valid(b) {
		return "", false
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\r':
			return '\n'
		case r < ' ' && r != '\t' && r != '\n':
			return -1
		}
		return r
	}, string(b)), true
}

func hexBytes(digits string) ([]byte, bool) {
	if digits == "" || len(digits)%2 != 0 {
		return nil, false
	}
	b := make([]byte, 0, len(digits)/2)
	for i := 0; i < len(digits); i += 2 {
		n, err := strconv.ParseUint(digits[i:i+2], 16, 8)
		if err != nil {
			return nil, false
		}
		b = append(b, byte(n))
	}
	return b, true
}
