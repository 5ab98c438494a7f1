package hub

import (
	"context"
	"errors"
	"time"

	"github.com/trialmesh/trialmesh/federation/pki"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// certificates is the authority's memory, kept in the replicated state: a
// token spent on one replica is spent on all. It implements [pki.Store].
type certificates struct {
	log    anyLog
	reader *registry.Reader
}

// UseToken spends a one-time token.
func (c certificates) UseToken(ctx context.Context, id string, _ time.Time) (bool, error) {
	_, err := c.log.Propose(ctx, registry.UseToken{Hash: message.Sum([]byte(id)).String()})
	if errors.Is(err, registry.ErrTokenUsed) {
		return false, nil
	}
	return err == nil, err
}

// RecordCertificate notes a certificate and, with a node's first one, admits
// the node. It runs before the certificate is handed out.
func (c certificates) RecordCertificate(ctx context.Context, i pki.Issued) error {
	if i.Replaces == "" {
		if _, err := c.log.Propose(ctx, registry.EnrollNode{Node: i.Subject, Name: i.Name}); err != nil {
			return err
		}
	}
	_, err := c.log.Propose(ctx, registry.RecordCertificate{Serial: string(i.Serial), DID: i.Subject, NotAfter: i.NotAfter})
	return err
}

// Revoke bars one certificate, or a node for good.
func (c certificates) Revoke(ctx context.Context, r pki.Revocation) error {
	if r.Subject != "" {
		_, err := c.log.Propose(ctx, registry.RevokeNode{Revocation: entry.Revocation{Node: r.Subject, Reason: r.Reason}})
		return err
	}
	_, err := c.log.Propose(ctx, registry.RevokeCertificate{Serial: string(r.Serial)})
	return err
}

// IsRevoked reports whether the certificate or its subject is revoked.
func (c certificates) IsRevoked(ctx context.Context, serial pki.Serial, subject identity.DID) (bool, error) {
	return c.reader.Revoked(ctx, string(serial), subject)
}
