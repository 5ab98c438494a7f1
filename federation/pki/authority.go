package pki

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/smallstep/certificates/authority"
	"github.com/smallstep/certificates/authority/config"
	smallstep "github.com/smallstep/certificates/authority/provisioner"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Bounds and default of Config.Lifetime.
const (
	MinLifetime     = time.Hour
	MaxLifetime     = 90 * 24 * time.Hour
	DefaultLifetime = 30 * 24 * time.Hour
)

// MaxInvitation is the longest an invitation may be valid.
const MaxInvitation = 30 * 24 * time.Hour

// leafTemplate is what every node certificate contains. enroll adds the DID.
const leafTemplate = `{
	"subject": {"commonName": {{ toJson .Subject.CommonName }}},
	"dnsNames": [{{ toJson .Subject.CommonName }}],
	"keyUsage": ["digitalSignature"],
	"extKeyUsage": ["clientAuth"]
}`

// Config configures an [Authority]. Store and Hosts are required.
type Config struct {
	Store Store

	// Hosts are the DNS names and IP addresses at which nodes and people
	// reach the hub's HTTPS server. The hub's certificate is for all of them.
	Hosts []string

	// Lifetime of node and server certificates, MinLifetime to MaxLifetime.
	// A node that stays offline longer needs a new invitation. Defaults to
	// DefaultLifetime.
	Lifetime time.Duration

	// SealingKeyFile opens the keys. Its mode must be 0600. Defaults to the
	// file that Init made in the authority's directory.
	SealingKeyFile string

	Now func() time.Time // Defaults to time.Now. Must not be behind it by more than a minute.
}

// Authority signs, renews and revokes node certificates. It is safe for
// concurrent use and starts no goroutine. It prints as "authority:redacted".
type Authority struct {
	cfg          Config
	root         *x509.Certificate
	intermediate *x509.Certificate
	step         *authority.Authority
	issuer       *issuer
	tokens       *tokens

	mu     sync.Mutex
	server *serverCertificate // guarded by mu; nil until the first handshake
}

// Format prints no part of the authority, which holds keys, whatever the verb.
func (*Authority) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "authority:redacted") }

// material is what an authority's directory holds.
type material struct {
	root         *x509.Certificate
	intermediate *x509.Certificate
	key          crypto.Signer // of the intermediate
	tokenKey     ed25519.PrivateKey
}

// Open loads the authority that [Init] made in dir.
func Open(dir string, cfg Config) (*Authority, error) {
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("open authority: %w", err)
	}
	if cfg.SealingKeyFile == "" {
		cfg.SealingKeyFile = filepath.Join(dir, sealingKeyFile)
	}
	m, err := load(dir, cfg.SealingKeyFile, cfg.Now())
	if err != nil {
		return nil, fmt.Errorf("open authority: %w", err)
	}
	a, err := newAuthority(m, cfg)
	if err != nil {
		return nil, fmt.Errorf("open authority: %w", err)
	}
	return a, nil
}

func newAuthority(m material, cfg Config) (*Authority, error) {
	tokens, err := newTokens(m.tokenKey, fingerprintOf(m.root).String())
	if err != nil {
		return nil, err
	}
	a := &Authority{
		cfg:          cfg,
		root:         m.root,
		intermediate: m.intermediate,
		issuer:       &issuer{intermediate: m.intermediate, key: m.key, lifetime: cfg.Lifetime, now: cfg.Now},
		tokens:       tokens,
	}
	if a.step, err = a.embed(); err != nil {
		return nil, foreign(err)
	}
	return a, nil
}

func (cfg *Config) complete() error {
	if cfg.Lifetime == 0 {
		cfg.Lifetime = DefaultLifetime
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	switch {
	case cfg.Store == nil:
		return errors.New("pki: a store is required")
	case len(cfg.Hosts) == 0 || slices.Contains(cfg.Hosts, ""):
		return errors.New("pki: at least one host name or address of the hub is required")
	case cfg.Lifetime < MinLifetime || cfg.Lifetime > MaxLifetime:
		return fmt.Errorf("pki: the certificates' lifetime must be from %s to %s", MinLifetime, MaxLifetime)
	}
	return nil
}

// load reads certificates and keys and checks that they belong together and are
// valid at now, the cheap things first.
func load(dir, sealingFile string, now time.Time) (m material, err error) {
	sealing, err := readSealingKey(sealingFile)
	if err != nil {
		return material{}, err
	}
	if m.root, err = readCertificate(dir, rootFile); err != nil {
		return material{}, err
	}
	if m.intermediate, err = readCertificate(dir, intermediateFile); err != nil {
		return material{}, err
	}
	if err := verifyChain([]*x509.Certificate{m.intermediate}, m.root, x509.VerifyOptions{
		CurrentTime: now,
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}); err != nil {
		return material{}, fmt.Errorf("%s under %s: %w", intermediateFile, rootFile, err)
	}
	if m.key, err = readKey(dir, intermediateKey, sealing); err != nil {
		return material{}, err
	}
	if !samePublicKey(m.key.Public(), m.intermediate.PublicKey) {
		return material{}, fmt.Errorf("%s is not the key of %s", intermediateKey, intermediateFile)
	}
	signer, err := readKey(dir, tokenKeyFile, sealing)
	if err != nil {
		return material{}, err
	}
	tokenKey, ok := signer.(ed25519.PrivateKey)
	if !ok {
		return material{}, fmt.Errorf("%s is not an Ed25519 key", tokenKeyFile)
	}
	m.tokenKey = tokenKey
	return m, nil
}

func samePublicKey(a, b crypto.PublicKey) bool {
	left, err := x509.MarshalPKIXPublicKey(a)
	if err != nil {
		return false
	}
	right, err := x509.MarshalPKIXPublicKey(b)
	return err == nil && bytes.Equal(left, right)
}

// embed starts smallstep's authority on our issuer and our store.
func (a *Authority) embed() (*authority.Authority, error) {
	no := false
	lifetime := &smallstep.Duration{Duration: a.cfg.Lifetime}
	cfg := &config.Config{
		DNSNames: []string{a.Fingerprint().String()}, // only the tokens' audience is made of it
		AuthorityConfig: &config.AuthConfig{
			// Without this no invitation would survive a restart of the hub.
			// Against replay there is the Store.
			DisableIssuedAtCheck: true,
			Backdate:             &smallstep.Duration{Duration: backdate},
			Provisioners: smallstep.List{&smallstep.JWK{
				Type: "JWK",
				Name: provisioner,
				Key:  a.tokens.public,
				Claims: &smallstep.Claims{
					MinTLSDur: lifetime, MaxTLSDur: lifetime, DefaultTLSDur: lifetime,
					EnableSSHCA: &no, DisableRenewal: &no, AllowRenewalAfterExpiry: &no,
				},
				Options: &smallstep.Options{X509: &smallstep.X509Options{Template: leafTemplate}},
			}},
		},
	}
	return authority.NewEmbedded(
		authority.WithConfig(cfg),
		authority.WithDatabase(authDB{a.cfg.Store}),
		authority.WithX509CAService(a.issuer),
		authority.WithX509RootCerts(a.root),
		authority.WithX509IntermediateCerts(a.intermediate),
		authority.WithAuthorizeRenewFunc(a.authorizeRenewal),
		authority.WithQuietInit(),
	)
}

// Fingerprint returns what an invitation pins.
func (a *Authority) Fingerprint() Fingerprint { return fingerprintOf(a.root) }

// RootPEM returns the root certificate, which is public.
func (a *Authority) RootPEM() []byte { return encodeCertificates(a.root) }

var errHubName = problem.New(problem.Invalid, "name: it is the hub's own")

// Invite lets one node enroll under name, once, within ttl (whole seconds, at
// most [MaxInvitation]). hub is where it should go. Nothing is stored: an
// invitation that is lost just expires.
//
// name is one that [identity.CheckName] accepts, and none of the hub's own.
func (a *Authority) Invite(name string, ttl time.Duration, hub Endpoint) (Invitation, error) {
	if err := identity.CheckName(name); err != nil {
		return Invitation{}, fmt.Errorf("invite: %w", err)
	}
	if slices.Contains(a.cfg.Hosts, name) {
		return Invitation{}, fmt.Errorf("invite %s: %w", name, errHubName)
	}
	if ttl < time.Second || ttl > MaxInvitation {
		return Invitation{}, fmt.Errorf("invite %s: an invitation is valid from a second to %s", name, MaxInvitation)
	}
	expires := a.cfg.Now().UTC().Add(ttl).Truncate(time.Second)
	token, err := a.tokens.make(name, expires)
	if err != nil {
		return Invitation{}, fmt.Errorf("invite %s: %w", name, err)
	}
	inv := Invitation{Name: name, Hub: hub, Root: a.Fingerprint(), Token: token, Expires: expires}
	if err := inv.check(); err != nil {
		return Invitation{}, fmt.Errorf("invite %s: %w", name, err)
	}
	return inv, nil
}
