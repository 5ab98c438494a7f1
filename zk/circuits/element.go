package circuits

import (
	"errors"
	"fmt"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/trialmesh/trialmesh/protocol/consent"
)

// Element is a BN254 scalar as 32 bytes, big-endian, canonical (below the
// group order). [CheckElement] tells whether outside bytes are one.
type Element = consent.Element

// ErrElement reports 32 bytes that are not below the group order. Reducing them
// instead would give one value two encodings, and a proof two statements.
var ErrElement = errors.New("not a canonical field element")

// CheckElement reports [ErrElement] unless e is canonical.
func CheckElement(e Element) error {
	_, err := toField(e)
	return err
}

// Truncate returns the leading 248 bits of a 32-byte digest as an element. No
// reduction happens, so the result is as collision resistant as 248 bits allow.
// Use it for identifiers, salts and blinds that come from SHA-256 or HMAC.
func Truncate(digest [32]byte) Element {
	var e Element
	copy(e[1:], digest[:31])
	return e
}

func toField(e Element) (fr.Element, error) {
	var x fr.Element
	if err := x.SetBytesCanonical(e[:]); err != nil {
		return x, ErrElement
	}
	return x, nil
}

// toFields converts a list and names the first element that is not canonical.
func toFields(what string, list []Element) ([]fr.Element, error) {
	xs := make([]fr.Element, len(list))
	for i, e := range list {
		x, err := toField(e)
		if err != nil {
			return nil, fmt.Errorf("%s %d: %w", what, i, err)
		}
		xs[i] = x
	}
	return xs, nil
}

func fromField(x fr.Element) Element { return x.Bytes() }

func uintElement(v uint64) Element {
	var x fr.Element
	x.SetUint64(v)
	return fromField(x)
}
