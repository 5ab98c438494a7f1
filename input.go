package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// readJSON reads one JSON value from a file, or from standard input for "-",
// into out. A field that out does not have is an error that names it: a
// misspelled limit would be no limit.
func readJSON(cmd *cobra.Command, path string, out any) error {
	raw, err := readInput(cmd, path)
	if err != nil {
		return err
	}
	if err := decodeJSON(raw, out); err != nil {
		return usageError{fmt.Errorf("%s: %w", path, err)}
	}
	return nil
}

// decodeJSON reads exactly one value with no field that out does not have.
func decodeJSON(raw []byte, out any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	err := dec.Decode(out)
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("it is empty")
	case err != nil:
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more follows after the JSON value")
	}
	return nil
}
