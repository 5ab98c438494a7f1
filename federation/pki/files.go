package pki

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.step.sm/crypto/pemutil"
)

// The files of an authority's directory. All have mode 0600, the keys are
// PKCS#8 encrypted under the passphrase. root.key is needed only to replace
// the intermediate and may be kept elsewhere.
const (
	rootFile         = "root.crt"
	rootKeyFile      = "root.key"
	intermediateFile = "intermediate.crt"
	intermediateKey  = "intermediate.key"
	tokenKeyFile     = "token.key"
	passphraseFile   = "passphrase"
)

const (
	maxFile         = 64 << 10 // bytes of any file read here
	passphraseBytes = 32       // entropy; the file holds it in base64url
)

func newPassphrase() []byte {
	raw := make([]byte, passphraseBytes)
	_, _ = rand.Read(raw) // never fails: crypto/rand
	return []byte(base64.RawURLEncoding.EncodeToString(raw))
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

// writeKey encrypts key under passphrase into path.
func writeKey(path string, key crypto.Signer, passphrase []byte) error {
	block, err := pemutil.Serialize(key, pemutil.WithPKCS8(true), pemutil.WithPassword(passphrase))
	if err != nil {
		return fmt.Errorf("encrypt key: %w", err)
	}
	return writeDurable(path, pem.EncodeToMemory(block))
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

func readPassphrase(path string) ([]byte, error) {
	raw, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return nil, fmt.Errorf("%s: %w", path, ErrPassphrase)
	}
	return raw, nil
}

// readKey decrypts what writeKey wrote. A wrong passphrase can look like noise
// that parses as no key, so both end as ErrPassphrase.
func readKey(dir, name string, passphrase []byte) (crypto.Signer, error) {
	path := filepath.Join(dir, name)
	raw, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	parsed, err := pemutil.Parse(raw, pemutil.WithPassword(passphrase))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, ErrPassphrase)
	}
	signer, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s: holds no private key", path)
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
