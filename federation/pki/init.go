package pki

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.step.sm/crypto/x509util"
)

// Lifetimes of the authority's own certificates, in the 365-day years that
// certificates are usually planned in. Nothing renews them by itself.
const (
	rootLifetime         = 20 * 365 * 24 * time.Hour
	intermediateLifetime = 10 * 365 * 24 * time.Hour
)

// InitConfig configures [Init].
type InitConfig struct {
	// Name of the federation, 1 to 40 bytes, for example "Nordic Heart
	// Study". It appears in the certificates and decides nothing.
	Name string

	Now func() time.Time // Defaults to time.Now.
}

// Init makes a new authority in dir: root and intermediate certificate (ECDSA
// P-256, which browsers read), the key that signs invitations (Ed25519), and
// the sealing key that encrypts all three, in a file of its own. Move that
// file, root.key, or both to other media if the disk's owner is not trusted.
//
// dir must be absent or empty, else [ErrExists]; its parent must exist. It
// appears whole or not at all.
func Init(dir string, cfg InitConfig) error {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Name == "" || len(cfg.Name) > 40 {
		return errors.New("pki: the authority's name must have 1 to 40 bytes")
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("init %s: %w", dir, ErrExists)
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("init authority: %w", err)
	}
	parent := filepath.Dir(filepath.Clean(dir))
	stage, err := os.MkdirTemp(parent, ".pki-init-")
	if err != nil {
		return fmt.Errorf("init authority: %w", err)
	}
	defer os.RemoveAll(stage)
	if err := writeAuthority(stage, cfg); err != nil {
		return fmt.Errorf("init authority: %w", err)
	}
	if err := syncDir(stage); err != nil {
		return fmt.Errorf("init authority: %w", err)
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("init authority: %w", err) // somebody put something there meanwhile
	}
	if err := os.Rename(stage, dir); err != nil {
		return fmt.Errorf("init authority: %w", err)
	}
	return syncDir(parent)
}

func writeAuthority(dir string, cfg InitConfig) error {
	now := cfg.Now().UTC().Truncate(time.Second)
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("generate root key: %w", err)
	}
	template := caTemplate(cfg.Name+" Root CA", now, rootLifetime, 1)
	root, err := x509util.CreateCertificate(template, template, rootKey.Public(), rootKey)
	if err != nil {
		return fmt.Errorf("sign root: %w", err)
	}
	interKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("generate intermediate key: %w", err)
	}
	inter, err := x509util.CreateCertificate(
		caTemplate(cfg.Name+" Intermediate CA", now, intermediateLifetime, 0), root, interKey.Public(), rootKey)
	if err != nil {
		return fmt.Errorf("sign intermediate: %w", err)
	}
	_, tokenKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("generate token key: %w", err)
	}
	sealing := newSealingKey()
	return errors.Join(
		writeSealingKey(filepath.Join(dir, sealingKeyFile), sealing),
		writeDurable(filepath.Join(dir, rootFile), encodeCertificates(root)),
		writeDurable(filepath.Join(dir, intermediateFile), encodeCertificates(inter)),
		writeKey(filepath.Join(dir, rootKeyFile), rootKey, sealing),
		writeKey(filepath.Join(dir, intermediateKey), interKey, sealing),
		writeKey(filepath.Join(dir, tokenKeyFile), tokenKey, sealing),
	)
}

// caTemplate is a certificate that may sign pathLen levels of further
// authorities below it.
func caTemplate(name string, now time.Time, lifetime time.Duration, pathLen int) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(lifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLen:            pathLen,
		MaxPathLenZero:        pathLen == 0,
	}
}
