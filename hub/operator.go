package hub

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/trialmesh/trialmesh/federation/membership"
	"github.com/trialmesh/trialmesh/federation/pki"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/version"
)

// operatorLife is how long the operator's token holds from the first start on.
const operatorLife = 10 * 365 * 24 * time.Hour

// MaxTokenLife bounds the tokens that are issued, one year.
const MaxTokenLife = 366 * 24 * time.Hour

// admitOperator lets whoever can read the hub's directory act as operator. A
// token that was revoked stays so; without the file there is a new one.
func (h *Hub) admitOperator(ctx context.Context) error {
	path := filepath.Join(h.cfg.Dir, operatorFile)
	if err := makeToken(path); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return h.admit(ctx, strings.TrimSpace(string(raw)), h.key.DID(), registry.RoleOperator, operatorLife)
}

func (h *Hub) admit(ctx context.Context, token string, holder identity.DID, role registry.Role, life time.Duration) error {
	_, err := h.Propose(ctx, registry.AdmitToken{
		Hash: registry.TokenHash(token), Holder: holder, Role: role, Expires: h.cfg.Now().Add(life),
	})
	return err
}

// Propose commits a command, at whichever replica leads.
func (h *Hub) Propose(ctx context.Context, body registry.Body) (registry.Outcome, error) {
	return h.proposer().Propose(ctx, body)
}

// Invite keeps a name for a node of an organization and returns the text that
// lets the node in, once, until it expires. The text is a secret.
func (h *Hub) Invite(ctx context.Context, name, organization string, ttl time.Duration) (string, time.Time, error) {
	if _, err := h.Propose(ctx, registry.InviteNode{Name: name, Organization: organization}); err != nil {
		return "", time.Time{}, err
	}
	invitation, err := h.authority.Invite(name, ttl, pki.Endpoint{URL: h.URL(), Addresses: h.host.Addrs()})
	if err != nil {
		return "", time.Time{}, err
	}
	text, err := invitation.Encode()
	return text, invitation.Expires, err
}

// IssueToken returns a new bearer token of the API for the holder of a key.
func (h *Hub) IssueToken(ctx context.Context, holder identity.DID, role registry.Role, ttl time.Duration) (string, error) {
	if _, err := holder.PublicKey(); err != nil {
		return "", problem.New(problem.Invalid, "holder: not a did:key")
	}
	if ttl <= 0 || ttl > MaxTokenLife {
		return "", problem.New(problem.Invalid, "ttl: up to one year")
	}
	token, err := newToken()
	if err != nil {
		return "", err
	}
	return token, h.admit(ctx, token, holder, role, ttl)
}

// Present returns who is there, as far as the group knows.
func (h *Hub) Present() []membership.Member { return h.group.Members() }

// Speaks returns the protocol versions of a node that is connected to this replica.
func (h *Hub) Speaks(node identity.DID) (version.Range, bool) { return h.host.Speaks(node) }

// Mismatch returns why a node and the hub share no protocol version, nil if they do or the
// node is not connected.
func (h *Hub) Mismatch(node identity.DID) error { return h.host.Mismatch(node) }

// Ready reports whether this replica can serve consistent reads.
func (h *Hub) Ready(ctx context.Context) error {
	if h.replica.Leader() == "" {
		return problem.New(problem.Unavailable, "no leader is elected")
	}
	return h.db.Ping(ctx)
}

// RootPEM returns the certificate of the authority, by which the API is
// recognized, and its fingerprint.
func (h *Hub) RootPEM() ([]byte, pki.Fingerprint) {
	return h.authority.RootPEM(), h.authority.Fingerprint()
}

// ChainAccount returns the address of the account that pays for transactions.
func ChainAccount(dir string) (string, error) {
	key, err := readChainKey(dir)
	if err != nil {
		return "", err
	}
	return key.Address().Hex(), nil
}

// PeerAddresses returns the multiaddresses the hub listens on for nodes,
// without its name.
func (h *Hub) PeerAddresses() []string {
	var list []string
	for _, address := range h.host.Addrs() {
		bare, _, _ := strings.Cut(address, "/p2p/")
		list = append(list, bare)
	}
	return list
}
