package cdshooks

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
)

var errPrivate = errors.New("cdshooks: patient data does not marshal")

// private makes a type that holds part of a call refuse to print and to marshal.
type private struct{}

// Format prints a redaction whatever the verb.
func (private) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "patient:redacted") }

// LogValue keeps handlers that use reflection from the content.
func (private) LogValue() slog.Value { return slog.StringValue("patient:redacted") }

// MarshalJSON always fails.
func (private) MarshalJSON() ([]byte, error) { return nil, errPrivate }

// MarshalText always fails.
func (private) MarshalText() ([]byte, error) { return nil, errPrivate }

// MarshalBinary always fails; it also keeps gob from the content.
func (private) MarshalBinary() ([]byte, error) { return nil, errPrivate }
