package node

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/federation/pki"
	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/protocol/identity"
)

// What a node's directory holds. Secrets have mode 0600.
const (
	keyFile         = "node.key"       // identity: libp2p peer, certificate, signatures
	certificateFile = "node.crt"       // certificate, chain and root
	hubFile         = "hub.json"       // where the hub is
	consentFile     = "consent.secret" // blinds and salts derive from it
	rawKeyFile      = "raw.key"        // encrypts raw files
	tokenFile       = "api.token"      // bearer token of the API
	networkFile     = "network.json"   // what the hub last told
	ledgerDir       = "ledger"         // the hub's checkpoint cosigned last; evidence of forks
	dataFile        = "data.db"
	rawDir          = "raw"
	indexDir        = "index"    // of events, made from the database
	mappingsDir     = "mappings" // of tables, made by the site
	studiesDir      = "studies"  // keys of pseudonyms, one of each study
	filePermissions = 0o600
)

// hubPlace is where a node finds its hub.
type hubPlace struct {
	URL       string   `json:"url"`
	Addresses []string `json:"addresses"` // multiaddresses, ending in the hub's peer ID
}

// ErrUnfinished reports a node whose directory is whole but for its certificate.
// Call [Enroll], with the same invitation or, if that was used, a new one.
var ErrUnfinished = errors.New("the node is not enrolled yet: finish with trialmesh node enroll")

// errAnotherNode reports an invitation that is not for the node of a directory.
var errAnotherNode = errors.New("the invitation is for another hub or under another name than the node's certificate: ask the node's own hub for one under its old name")

// Init joins a network: it makes a node's directory with its keys and enrolls
// the node with a one-time invitation. The directory must be absent or empty; if
// the hub refuses or is not reached it is removed again. When the hub has enrolled
// the node, or may have, and there is no certificate to show for it, the directory
// stays and the error is [ErrUnfinished].
func Init(ctx context.Context, dir string, invitation pki.Invitation) (identity.DID, error) {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return "", fmt.Errorf("node init: %s is not empty; a node that is there is enrolled with trialmesh node enroll", dir)
	}
	did, err := initialize(ctx, dir, invitation)
	if err != nil {
		err = fmt.Errorf("node init: %w", err)
		if !errors.Is(err, ErrUnfinished) {
			err = errors.Join(err, os.RemoveAll(dir))
		}
		return "", err
	}
	return did, nil
}

func initialize(ctx context.Context, dir string, invitation pki.Invitation) (identity.DID, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	key, err := identity.Generate(rand.Reader)
	if err != nil {
		return "", err
	}
	// The key is on disk before the hub hears of it, so that neither a crash nor a
	// lost answer leaves a node at the hub that nobody can be.
	if err := writeFile(filepath.Join(dir, keyFile), key.PEM()); err != nil {
		return "", err
	}
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return "", err
	}
	token := make([]byte, 32)
	if _, err := rand.Read(token); err != nil {
		return "", err
	}
	if err := errors.Join(
		writePlace(dir, invitation),
		writeFile(filepath.Join(dir, consentFile), secret),
		writeFile(filepath.Join(dir, tokenFile), []byte(base64.RawURLEncoding.EncodeToString(token)+"\n")),
		raw.CreateKey(filepath.Join(dir, rawKeyFile)),
	); err != nil {
		return "", err
	}
	certificate, err := pki.NewClient(pki.ClientConfig{}).Enroll(ctx, invitation, key)
	if errors.Is(err, pki.ErrUndecided) {
		return "", fmt.Errorf("%w: %w", ErrUnfinished, err)
	}
	if err != nil {
		return "", err
	}
	// The hub knows the key from here on: whatever fails now must not cost it.
	if err := writeFile(filepath.Join(dir, certificateFile), certificate.PEM()); err != nil {
		return "", fmt.Errorf("%w: write certificate: %w", ErrUnfinished, err)
	}
	return key.DID(), nil
}

// Enroll gets a certificate for the node of a directory: its first one after
// [ErrUnfinished], else a new one, with an invitation of the same hub under its
// old name. Key and identity stay. Whatever the error, the directory does too.
func Enroll(ctx context.Context, dir string, invitation pki.Invitation) (identity.DID, error) {
	did, err := enroll(ctx, dir, invitation)
	if err != nil {
		return "", fmt.Errorf("node enroll: %w", err)
	}
	return did, nil
}

func enroll(ctx context.Context, dir string, invitation pki.Invitation) (identity.DID, error) {
	h, err := readHome(dir)
	unfinished := errors.Is(err, ErrUnfinished)
	switch {
	case err != nil && !unfinished:
		return "", err
	case !unfinished && !h.invited(invitation):
		return "", errAnotherNode
	}
	certificate, err := pki.NewClient(pki.ClientConfig{}).Enroll(ctx, invitation, h.key)
	if err != nil {
		return "", err
	}
	if unfinished { // the first invitation may have been another hub's
		if err := writePlace(dir, invitation); err != nil {
			return "", err
		}
	}
	return h.key.DID(), writeFile(filepath.Join(dir, certificateFile), certificate.PEM())
}

// invited reports whether an invitation is of the node's own hub, by root and
// peer ID, and under the node's own name.
func (h home) invited(i pki.Invitation) bool {
	hub := peerID(h.hub.Addresses[0])
	return i.Root == h.certificate.Root() && i.Name == h.certificate.Holder().Name &&
		!slices.ContainsFunc(i.Hub.Addresses, func(a string) bool { return peerID(a) != hub })
}

// peerID returns what stands after the last slash of a hub's address.
func peerID(address string) string { return address[strings.LastIndexByte(address, '/')+1:] }

func writePlace(dir string, i pki.Invitation) error {
	place, err := json.Marshal(hubPlace{URL: i.Hub.URL, Addresses: i.Hub.Addresses})
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, hubFile), place)
}

// home is what a node reads from its directory when it starts.
type home struct {
	key         identity.Key
	certificate pki.Certificate
	hub         hubPlace
	secret      [32]byte
}

// readHome returns what is there and, if that is all but a certificate, [ErrUnfinished].
func readHome(dir string) (home, error) {
	var h home
	raw, err := os.ReadFile(filepath.Join(dir, keyFile))
	if err != nil {
		return h, fmt.Errorf("read key (was the directory made by node init?): %w", err)
	}
	if h.key, err = identity.ParsePEM(raw); err != nil {
		return h, fmt.Errorf("%s: %w", keyFile, err)
	}
	if raw, err = os.ReadFile(filepath.Join(dir, hubFile)); err != nil {
		return h, err
	}
	if err := json.Unmarshal(raw, &h.hub); err != nil || len(h.hub.Addresses) == 0 {
		return h, fmt.Errorf("%s: malformed", hubFile)
	}
	if raw, err = os.ReadFile(filepath.Join(dir, consentFile)); err != nil {
		return h, err
	}
	if copy(h.secret[:], raw) != len(h.secret) {
		return h, fmt.Errorf("%s: too short", consentFile)
	}
	raw, err = os.ReadFile(filepath.Join(dir, certificateFile))
	if errors.Is(err, os.ErrNotExist) {
		return h, ErrUnfinished
	}
	if err != nil {
		return h, err
	}
	if h.certificate, err = pki.ParseCertificate(raw); err != nil {
		return h, fmt.Errorf("%s: %w", certificateFile, err)
	}
	return h, nil
}

// writeFile replaces a file durably: it is whole before and after.
func writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone after the rename
	_, err = f.Write(data)
	if err := errors.Join(err, f.Chmod(filePermissions), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
