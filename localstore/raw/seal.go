package raw

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/tink-crypto/tink-go/v2/streamingaead"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// maxSealed bounds what is sealed, in bytes.
const maxSealed = 64 << 10

// Sealer encrypts short secrets that are kept elsewhere, such as in a column of the
// database, with the key that raw copies have: they are lost and rotated with it. It is
// safe for concurrent use.
type Sealer struct{ cipher tink.StreamingAEAD }

// OpenSealer reads a key file made by [CreateKey].
func OpenSealer(keyFile string) (*Sealer, error) {
	handle, err := readKey(keyFile)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	cipher, err := streamingaead.New(handle)
	if err != nil {
		return nil, fmt.Errorf("seal: key file: %w", err)
	}
	return &Sealer{cipher}, nil
}

// Seal encrypts at most 64 KiB with the newest key. What is sealed for one use does not open
// for another, nor as a raw copy: use says what it is and whose.
func (s *Sealer) Seal(text []byte, use string) ([]byte, error) {
	if len(text) > maxSealed {
		return nil, errors.New("seal: the text is over 64 KiB")
	}
	var sealed bytes.Buffer
	w, err := s.cipher.NewEncryptingWriter(&sealed, sealedFor(use))
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	if _, err := w.Write(text); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return sealed.Bytes(), nil
}

// Unseal returns what was sealed for a use with any key of the file, or [ErrDamaged].
func (s *Sealer) Unseal(sealed []byte, use string) ([]byte, error) {
	r, err := s.cipher.NewDecryptingReader(bytes.NewReader(sealed), sealedFor(use))
	if err != nil {
		return nil, fmt.Errorf("unseal: %w", ErrDamaged)
	}
	text, err := io.ReadAll(io.LimitReader(r, maxSealed+1))
	if err != nil || len(text) > maxSealed {
		return nil, fmt.Errorf("unseal: %w", ErrDamaged)
	}
	return text, nil
}

// sealedFor is what is authenticated beside a sealed text. Raw copies have nothing there.
func sealedFor(use string) []byte { return []byte("trialmesh sealed for " + use) }
