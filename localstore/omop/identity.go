package omop

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

var errMustNotLeave = errors.New("omop: a person's identity must not leave the site")

// PersonID names a person inside one site. It must not leave the site, so it
// neither prints nor marshals. It is comparable, so it can be a map key, and can
// be an argument and a result of statements of this site's database.
type PersonID struct{ id int64 }

// Format prints a fixed text whatever the verb.
func (PersonID) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "person:redacted") }

// LogValue keeps handlers that use reflection from the number.
func (PersonID) LogValue() slog.Value { return slog.StringValue("person:redacted") }

// MarshalJSON always fails.
func (PersonID) MarshalJSON() ([]byte, error) { return nil, errMustNotLeave }

// MarshalText always fails.
func (PersonID) MarshalText() ([]byte, error) { return nil, errMustNotLeave }

// MarshalBinary always fails; it also keeps gob from the number.
func (PersonID) MarshalBinary() ([]byte, error) { return nil, errMustNotLeave }

// Value gives the number to the site's own database.
func (p PersonID) Value() (driver.Value, error) { return p.id, nil }

// Scan reads the number from the site's own database.
func (p *PersonID) Scan(src any) error {
	id, ok := src.(int64)
	if !ok {
		return errors.New("column does not hold a person")
	}
	p.id = id
	return nil
}

// Less orders persons as the store does.
func (p PersonID) Less(q PersonID) bool { return p.id < q.id }

// Key is a source's own name for a person, visit or record, unique within one
// site and table, for example "fhir|Patient/9d1f". It can identify a person, so it
// prints and marshals as little as a [PersonID].
type Key struct{ text string }

// NewKey returns the key with the given text. The empty text is no key.
func NewKey(text string) Key { return Key{text} }

// IsZero reports whether k is no key.
func (k Key) IsZero() bool { return k.text == "" }

// Format prints a fixed text whatever the verb.
func (Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "key:redacted") }

// LogValue keeps handlers that use reflection from the text.
func (Key) LogValue() slog.Value { return slog.StringValue("key:redacted") }

// MarshalJSON always fails.
func (Key) MarshalJSON() ([]byte, error) { return nil, errMustNotLeave }

// MarshalText always fails.
func (Key) MarshalText() ([]byte, error) { return nil, errMustNotLeave }

// MarshalBinary always fails; it also keeps gob from the text.
func (Key) MarshalBinary() ([]byte, error) { return nil, errMustNotLeave }
