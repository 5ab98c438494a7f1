package ccda

import (
	"errors"
	"fmt"
	"io"
)

// private makes a type that holds patient data refuse to print and to marshal.
type private struct{}

// Format prints a redaction whatever the verb.
func (private) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "ccda:redacted") }

// MarshalJSON refuses: patient data leaves through node/mapping only.
func (private) MarshalJSON() ([]byte, error) {
	return nil, errors.New("ccda: patient data does not marshal")
}
