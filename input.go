package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
)

// readValue reads one JSON or YAML value from a file, or from standard input for "-", into
// out. A field that out does not have is an error that names it: a misspelled limit would
// be no limit. Errors say the line and the column.
func readValue(cmd *cobra.Command, path string, out any) error {
	raw, err := readInput(cmd, path)
	if err != nil {
		return err
	}
	place := func(offset int64) string { return placeOf(raw, offset) }
	text := raw
	if isYAML(path, raw) {
		y, err := readYAML(raw)
		if err != nil {
			return usageError{fmt.Errorf("%s: %w", path, err)}
		}
		text, place = y.json.Bytes(), y.place
	}
	if offset, err := decodeAt(text, out); err != nil {
		if at := place(offset); offset >= 0 && at != "" {
			err = fmt.Errorf("%s: %w", at, err)
		}
		return usageError{fmt.Errorf("%s: %w", path, err)}
	}
	return nil
}

// isYAML goes by the name and, of standard input, by what a JSON value begins with.
func isYAML(path string, raw []byte) bool {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".yaml", ".yml":
		return true
	}
	begun := bytes.TrimSpace(raw)
	return path == "-" && len(begun) > 0 && begun[0] != '{' && begun[0] != '['
}

// placeOf says in which line and column of a text a byte is.
func placeOf(raw []byte, offset int64) string {
	before := raw[:max(0, min(offset, int64(len(raw))))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len([]rune(string(before[bytes.LastIndexByte(before, '\n')+1:]))) + 1
	return fmt.Sprintf("line %d, column %d", line, column)
}

// decodeJSON reads exactly one value with no field that out does not have.
func decodeJSON(raw []byte, out any) error {
	_, err := decodeAt(raw, out)
	return err
}

// decodeAt is [decodeJSON], with the byte at which something is wrong, -1 if none is.
func decodeAt(raw []byte, out any) (int64, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	err := dec.Decode(out)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.EOF):
		return -1, errors.New("it is empty")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return int64(len(raw)), errors.New("it ends too early (unexpected EOF)")
	case errors.As(err, &syntax):
		return syntax.Offset - 1, errors.New(syntax.Error())
	case errors.As(err, &kind):
		return kind.Offset - 1, fmt.Errorf("%s: want %s, not %s", fieldPath(kind.Field), kindWords(kind.Type), article(kind.Value))
	case err != nil:
		at, hint := unknownField(raw, reflect.TypeOf(out))
		return at, errors.New(strings.TrimPrefix(err.Error(), "json: ") + hint)
	}
	at := dec.InputOffset()
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return at + int64(len(raw[at:])-len(bytes.TrimLeft(raw[at:], " \t\r\n"))), errors.New("more follows after the value")
	}
	return -1, nil
}

// fieldPath is the path of a field as it stands in the file: a struct within another without
// a name of its own is told by its Go name, which no field begins with.
func fieldPath(path string) string {
	parts := slices.DeleteFunc(strings.Split(path, "."), func(part string) bool {
		return part == "" || unicode.IsUpper([]rune(part)[0])
	})
	return strings.Join(parts, ".")
}

// kindWords says what a field takes, to people who do not know Go.
func kindWords(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number from 0"
	}
	return "text"
}

// article says what stands in a field, as package json calls it.
func article(value string) string {
	switch {
	case value == "string":
		return "text"
	case value == "array":
		return "a list"
	case value == "object":
		return "an object"
	case value == "bool":
		return "true or false"
	case strings.HasPrefix(value, "number "):
		return "this number"
	}
	return "a " + value
}
