package pki

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.step.sm/crypto/jose"
)

// The files of an authority's directory. All have mode 0600. The keys are PKCS#8,
// each a JWE under the sealing key (RFC 7516; dir, A256GCM): that is random, so
// there is no guessing to slow down. root.key is needed only to replace the
// intermediate and may be kept elsewhere.
const (
	rootFile         = "root.crt"
	rootKeyFile      = "root.key"
	intermediateFile = "intermediate.crt"
	intermediateKey  = "intermediate.key"
	tokenKeyFile     = "token.key"
	sealingKeyFile   = "sealing.key"
)

const (
	maxFile         = 64 << 10 // bytes of any file read here
	sealingKeyBytes = 32       // of AES-256; the file holds them in base64url
)

// sealingKey opens the other keys of an authority. It does not print.
type sealingKey struct{ raw [sealingKeyBytes]byte }

// Format prints a fixed text whatever the verb.
func (sealingKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "sealing key:redacted") }

func newSealingKey() (k sealingKey) {
	_, _ = rand.Read(k.raw[:]) // never fails: crypto/rand
	return k
}

func writeSealingKey(path string, k sealingKey) error {
	return writeDurable(path, append(base64.RawURLEncoding.AppendEncode(nil, k.raw[:]), '\n'))
}

func readSealingKey(path string) (k sealingKey, err error) {
	text, err := readPrivate(path)
	if err != nil {
		return k, err
	}
	raw, err := base64.RawURLEncoding.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(raw) != sealingKeyBytes {
		return k, fmt.Errorf("%s: %w", path, ErrSealingKey)
	}
	return sealingKey{[sealingKeyBytes]byte(raw)}, nil
}

// writeDurable makes path, which must not exist, with mode 0600 and waits until
// it is on disk.
func writeDurable(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncDir makes the names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// writeKey seals key into path.
func writeKey(path string, key crypto.Signer, sealing sealingKey) error {
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("seal key: %w", err)
	}
	encrypter, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.DIRECT, Key: sealing.raw[:]}, nil)
	if err != nil {
		return fmt.Errorf("seal key: %w", err)
	}
	sealed, err := encrypter.Encrypt(raw)
	if err != nil {
		return fmt.Errorf("seal key: %w", err)
	}
	text, err := sealed.CompactSerialize()
	if err != nil {
		return fmt.Errorf("seal key: %w", err)
	}
	return writeDurable(path, append([]byte(text), '\n'))
}

// readPrivate reads a file that must be closed to group and others.
func readPrivate(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s: %w", path, ErrPermissions)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s: over %d bytes", path, maxFile)
	}
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// readKey opens what writeKey wrote.
func readKey(dir, name string, sealing sealingKey) (crypto.Signer, error) {
	path := filepath.Join(dir, name)
	text, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	sealed, err := jose.ParseEncrypted(string(bytes.TrimSpace(text)))
	if err != nil {
		return nil, fmt.Errorf("%s: holds no sealed key", path)
	}
	raw, err := sealed.Decrypt(sealing.raw[:])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, ErrSealingKey)
	}
	key, err := x509.ParsePKCS8PrivateKey(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: holds no private key", path)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s: holds no key that signs", path)
	}
	return signer, nil
}

func readCertificate(dir, name string) (*x509.Certificate, error) {
	path := filepath.Join(dir, name)
	raw, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	certs, err := parseCertificates(raw)
	if err != nil || len(certs) != 1 {
		return nil, fmt.Errorf("%s: want exactly one certificate", path)
	}
	return certs[0], nil
}
