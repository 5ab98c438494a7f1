package circuits

import (
	"errors"
	"fmt"
	"io"
)

// redacted makes a type that embeds it neither print nor marshal.
type redacted struct{}

// Format hides the value from logs.
func (redacted) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "witness:redacted") }

// MarshalJSON refuses.
func (redacted) MarshalJSON() ([]byte, error) {
	return nil, errors.New("circuits: a witness must not leave whoever proves it")
}
