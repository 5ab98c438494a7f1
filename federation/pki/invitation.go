package pki

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/identity"
)

// Limits of an invitation.
const (
	maxInvitationText = 16 << 10 // bytes, white space included
	maxAddresses      = 16
	maxAddress        = 512 // bytes
	maxURL            = 512 // bytes

	invitationVersion = 1
)

// Endpoint says where a hub is reached.
type Endpoint struct {
	URL       string   // HTTPS origin, for example "https://hub.example:8443"
	Addresses []string // libp2p multiaddresses with the hub's peer ID, 0 to 16
}

// Invitation is everything a site needs to join: where the hub is, how to
// recognize it, and a secret to be let in with, once. Hand its text over on a
// channel you trust. It prints as "invitation:redacted".
type Invitation struct {
	Name    string // the node's name at this hub
	Hub     Endpoint
	Root    Fingerprint
	Token   Token
	Expires time.Time // UTC, whole seconds
}

// invitationJSON is the form inside the base64url text.
type invitationJSON struct {
	Version   int         `json:"v"`
	Name      string      `json:"name"`
	URL       string      `json:"url"`
	Addresses []string    `json:"addresses,omitempty"`
	Root      Fingerprint `json:"root"`
	Token     Token       `json:"token"`
	Expires   time.Time   `json:"expires"`
}

// Format prints no part of the invitation, whatever the verb.
func (Invitation) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "invitation:redacted") }

// LogValue keeps the invitation out of structured logs.
func (Invitation) LogValue() slog.Value { return slog.StringValue("invitation:redacted") }

// MarshalJSON refuses: [Invitation.Encode] is the one way to write it down.
func (Invitation) MarshalJSON() ([]byte, error) {
	return nil, errors.New("pki: an invitation must not be marshaled; encode it")
}

// Encode returns the text to hand to the site: base64url of canonical JSON.
// Whoever has the text can take the node's place.
func (i Invitation) Encode() (string, error) {
	if err := i.check(); err != nil {
		return "", err
	}
	raw, err := canonical.Marshal(invitationJSON{
		Version:   invitationVersion,
		Name:      i.Name,
		URL:       i.Hub.URL,
		Addresses: i.Hub.Addresses,
		Root:      i.Root,
		Token:     i.Token,
		Expires:   i.Expires,
	})
	if err != nil {
		return "", fmt.Errorf("encode invitation: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(raw), nil
}

// ParseInvitation reads the text of an invitation. White space anywhere is
// skipped, since mail programs break lines. Errors wrap [ErrInvitation] and
// repeat nothing of the text. Whether the invitation is still valid is checked
// by [Client.Enroll].
func ParseInvitation(text string) (Invitation, error) {
	if len(text) > maxInvitationText {
		return Invitation{}, fmt.Errorf("%w: over %d bytes", ErrInvitation, maxInvitationText)
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		return Invitation{}, fmt.Errorf("%w: not base64url, is it complete?", ErrInvitation)
	}
	clean, err := canonical.Transform(raw) // refuses duplicate names and bad UTF-8
	if err != nil {
		return Invitation{}, fmt.Errorf("%w: not JSON inside", ErrInvitation)
	}
	var version struct {
		Version int `json:"v"`
	}
	if err := json.Unmarshal(clean, &version); err != nil || version.Version != invitationVersion {
		return Invitation{}, fmt.Errorf("%w: this program reads version %d", ErrInvitation, invitationVersion)
	}
	dec := json.NewDecoder(bytes.NewReader(clean))
	dec.DisallowUnknownFields()
	var in invitationJSON
	if err := dec.Decode(&in); err != nil {
		return Invitation{}, fmt.Errorf("%w: a field is missing, unknown or of the wrong form", ErrInvitation)
	}
	inv := Invitation{
		Name:    in.Name,
		Hub:     Endpoint{URL: in.URL, Addresses: in.Addresses},
		Root:    in.Root,
		Token:   in.Token,
		Expires: in.Expires.UTC(),
	}
	return inv, inv.check()
}

func (i Invitation) check() error {
	if err := identity.CheckName(i.Name); err != nil {
		return fmt.Errorf("%w: name", ErrInvitation)
	}
	if err := checkURL(i.Hub.URL); err != nil {
		return fmt.Errorf("%w: %w", ErrInvitation, err)
	}
	if len(i.Hub.Addresses) > maxAddresses {
		return fmt.Errorf("%w: over %d addresses", ErrInvitation, maxAddresses)
	}
	for n, address := range i.Hub.Addresses {
		if len(address) > maxAddress || !strings.HasPrefix(address, "/") || strings.ContainsFunc(address, notGraphic) {
			return fmt.Errorf("%w: address %d is not a multiaddress", ErrInvitation, n)
		}
	}
	switch {
	case i.Root == Fingerprint{}:
		return fmt.Errorf("%w: no root fingerprint", ErrInvitation)
	case i.Token == "" || len(i.Token) > maxToken || strings.ContainsFunc(string(i.Token), notGraphic):
		return fmt.Errorf("%w: no usable token", ErrInvitation)
	case i.Expires.IsZero() || i.Expires.Year() > 9999:
		return fmt.Errorf("%w: no expiry", ErrInvitation)
	}
	return nil
}

// notGraphic reports whether r is anything but visible ASCII.
func notGraphic(r rune) bool { return r <= ' ' || r > '~' }

// checkURL accepts an HTTPS origin: no user, no path, no query.
func checkURL(text string) error {
	errURL := errors.New("the hub's URL must be like https://host:port")
	if len(text) > maxURL {
		return errURL
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil ||
		(u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return errURL
	}
	return nil
}
