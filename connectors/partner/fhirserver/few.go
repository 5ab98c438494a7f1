package fhirserver

import (
	"bytes"
	"encoding/json"
	"errors"
)

// maxListed is how many entries, files or links an answer may list. What lists nothing
// takes three bytes of an answer for each and ten times that of memory.
const maxListed = 100_000

// errListed says that an answer lists too much.
var errListed = errors.New("the server's answer lists over 100,000 things")

// few is a list of JSON of up to maxListed members.
type few[T any] []T

// UnmarshalJSON implements [json.Unmarshaler].
func (f *few[T]) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return nil
	}
	if !bytes.HasPrefix(text, []byte("[")) {
		return errJSON
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		if len(*f) == maxListed {
			return errListed
		}
		var member T
		if err := d.Decode(&member); err != nil {
			return err
		}
		*f = append(*f, member)
	}
	return nil
}

// unmarshal is [json.Unmarshal] with errors that quote nothing.
func unmarshal(text []byte, v any) error {
	err := json.Unmarshal(text, v)
	switch {
	case errors.Is(err, errListed):
		return errListed
	case err != nil:
		return errJSON
	}
	return nil
}
